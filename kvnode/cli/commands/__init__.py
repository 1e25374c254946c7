"""What `kv` can be told: each module has some commands, with their arguments."""
