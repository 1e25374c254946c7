"""The daemon: one thread around one poll loop."""
