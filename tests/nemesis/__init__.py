"""The nemesis: real daemons in network namespaces, faults from outside, clients all the while.

    network.py     namespaces on a bridge, made and removed by the tests
    cluster.py     daemons that live in them
    load.py        clients: sessions that move between nodes, and note what they saw
    links.py       faults of the network; relay.py, a TCP relay that delays connections
    processes.py   nodes that are killed, stopped, wiped; disks.py, clocks.py
    schedule.py    which fault comes when, from a seed
    field.py       what faults act on; verdict.py, what must hold in the end

Each fault is a context manager: entering starts it, leaving ends it, whatever happened between.
On leaving it counts in `Field.toll` what it did, so that a fault without effect is seen.
The simulator (tests/simulation) looks for races; this looks for what a simulator can't have:
sockets, kernels, processes and disks that behave as they do.
"""
