"""The client: a session that travels between nodes."""
