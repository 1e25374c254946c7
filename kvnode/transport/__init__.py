"""ZeroMQ sockets, made with the options and bounds that kvnode needs."""
