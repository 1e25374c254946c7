"""Faults of processes: stopped, killed, and killed with the disk gone."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from kvnode.cli.cluster import until
from tests.nemesis.field import Field


@contextmanager
def paused(field: Field, victim: str) -> Iterator[None]:
    """A node stands still with all connections open, and then goes on as if nothing were."""
    process = field.node(victim).process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)
        field.toll["paused"] += 1


@contextmanager
def killed(field: Field, victim: str) -> Iterator[None]:
    """A node is gone at once, and started again on the same disk."""
    node = field.node(victim)
    node.stop(signal.SIGKILL)
    try:
        yield
    finally:
        node.start()
        field.toll["killed"] += 1


@contextmanager
def wiped(field: Field, victim: str) -> Iterator[None]:
    """A node loses its disk, and begins with an empty one.

    What only it had would rightly be lost. So the clients leave it first, and another node
    must hold all that it has.
    """
    node = field.node(victim)
    with field.load.away_from(victim):
        until(f"another node holds all that {victim} has", lambda: _is_spare(field, victim))
        node.stop(signal.SIGKILL)
        shutil.rmtree(node.data)
        try:
            yield
        finally:
            node.start()
            field.toll["wiped"] += 1


def _is_spare(field: Field, victim: str) -> bool:
    """Whether one other node has all that this one has, also what waited to be written.

    Entries are compared one by one: where vectors name other incarnations this says no, until
    they have settled.
    """
    status = field.node(victim).status()
    if status["parked_requests"]:
        return False
    for other in field.others(victim):
        theirs = field.node(other).status()["vector"]
        if all(theirs.get(origin, 0) >= seq for origin, seq in status["vector"].items()):
            return True
    return False
