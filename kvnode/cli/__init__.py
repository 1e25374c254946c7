"""The commands `kvnode` and `kv`: ordinary clients, and the daemon's start."""
