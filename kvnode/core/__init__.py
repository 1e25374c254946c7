"""The replica: everything that decides what a node shows, and nothing that does I/O.

Time, randomness and the table come in as arguments; what to save, send and answer goes
out as effects. The daemon and the tests drive the very same code in the same order.
"""
