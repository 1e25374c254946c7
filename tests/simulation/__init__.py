"""A deterministic simulation of whole clusters: one integer seed decides everything.

The nodes are the daemon's own (`kvnode.daemon.node.Node` and all below it), the messages
go through the real codec, the clients are real sessions; network, disks and clocks are
made here, and fail as the seed says. An oracle knows what every write's author had seen,
and convicts whatever a node shows, sends or loses against that.
"""
