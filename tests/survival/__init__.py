"""Real daemons that lose processes, logs, links and disks, and what must hold afterwards.

    survivors.py   what must hold: all is there, all agree, every disk is sound

These run everywhere, on loopback and without root; the nemesis is harsher, but needs both.
"""
