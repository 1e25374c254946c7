"""The disk: one atomic commit a turn, and everything that a restart needs."""
