"""What may befall a node: killed, stopped, restarted, cut off, or its disk wiped.

Each fault is a context manager: entering starts it, leaving ends it, whatever happened between.
"""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final

from kvnode.cli.cluster import LocalCluster, LocalNode, NotSeen, until
from kvnode.cli.load import Writers

#: How long to wait until a disk may be wiped.
_SPARE_S: Final = 10.0


@dataclass
class Field:
    """What faults act on, and where they count."""

    cluster: LocalCluster
    writers: Writers
    #: How often each came about.
    toll: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(KINDS, 0)))
    #: Snapshots that processes had taken before they were ended.
    snapshots_taken: int = 0

    def others(self, victim: str) -> list[LocalNode]:
        """All nodes but this one."""
        return [node for node in self.cluster.nodes.values() if node.name != victim]

    def end(self, victim: str, number: int) -> LocalNode:
        """End a node's process by a signal; the node."""
        node = self.cluster[victim]
        self.snapshots_taken += int(node.status()["snapshots_taken"])
        node.stop(number)
        return node


@contextmanager
def killed(field: Field, victim: str) -> Iterator[None]:
    """A node is gone at once, and started again on the same disk."""
    node = field.end(victim, signal.SIGKILL)
    field.toll["killed"] += 1
    yield
    node.start()


@contextmanager
def restarted(field: Field, victim: str) -> Iterator[None]:
    """A node ends in order, and is started again."""
    node = field.end(victim, signal.SIGTERM)
    field.toll["restarted"] += 1
    yield
    node.start()


@contextmanager
def stopped(field: Field, victim: str) -> Iterator[None]:
    """A node stands still with all connections open, and then goes on as if nothing were."""
    process = field.cluster[victim].process
    assert process is not None
    try:
        process.send_signal(signal.SIGSTOP)
        field.toll["stopped"] += 1
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@contextmanager
def cut_off(field: Field, victim: str) -> Iterator[None]:
    """A node and all others do not hear each other; clients go on writing on both sides."""
    _set_links(field, victim, "drop")
    field.toll["cut_off"] += 1
    yield
    _set_links(field, victim, "pass")


@contextmanager
def wiped(field: Field, victim: str) -> Iterator[None]:
    """A node loses its disk, and begins with an empty one.

    What only that disk held would rightly be lost. So nobody writes there from now on, and
    another disk must hold all that it has; else it is left alone.
    """
    with field.writers.away_from(victim):
        if not _is_soon_spare(field, victim):
            yield
            return
        node = field.end(victim, signal.SIGKILL)
        shutil.rmtree(node.data)
        field.toll["wiped"] += 1
        yield
        node.start()


@dataclass(frozen=True)
class Kind:
    """A kind of fault, as people are told of it."""

    fault: Callable[[Field, str], AbstractContextManager[None]]
    told: str


KINDS: Final[dict[str, Kind]] = {
    "killed": Kind(killed, "{} is killed (-9)"),
    "stopped": Kind(stopped, "{} stands still (SIGSTOP)"),
    "restarted": Kind(restarted, "{} restarts"),
    "cut_off": Kind(cut_off, "{} is cut off"),
    "wiped": Kind(wiped, "{} has lost its disk"),
}

#: What may come over one node while another one is cut off.
_BESIDE_A_CUT: Final = ("killed", "stopped", "restarted")


@dataclass(frozen=True)
class Step:
    """One fault that befalls one node."""

    kind: str
    victim: str

    def __str__(self) -> str:
        return KINDS[self.kind].told.format(self.victim)

    def played(self, field: Field) -> AbstractContextManager[None]:
        """The fault itself."""
        return KINDS[self.kind].fault(field, self.victim)


def plan(random: Random, names: list[str]) -> Iterator[tuple[Step, ...]]:
    """Faults without end, one or two at a time, where each kind has its turn before any has
    its next."""
    while True:
        for kind in random.sample(list(KINDS), len(KINDS)):
            victim, other = random.sample(names, 2)
            steps = [Step(kind, victim)]
            if kind in _BESIDE_A_CUT and random.random() < 0.5:
                steps.insert(0, Step("cut_off", other))
            yield tuple(steps)


def _is_soon_spare(field: Field, victim: str) -> bool:
    try:
        return until("the disk may go", lambda: _is_spare(field, victim), _SPARE_S)
    except NotSeen:
        return False


def _is_spare(field: Field, victim: str) -> bool:
    """Whether one other node has all that this one has.

    Entries are compared one by one: where vectors name other incarnations this says no, until
    they have settled.
    """
    vector = field.cluster[victim].status()["vector"]
    others = [node.status()["vector"] for node in field.others(victim)]
    return any(all(o.get(origin, 0) >= seq for origin, seq in vector.items()) for o in others)


def _set_links(field: Field, victim: str, action: str) -> None:
    node = field.cluster[victim]
    for other in field.others(victim):
        for listener, peer in ((node, other), (other, node)):
            with listener.client() as admin:
                for channel in ("gossip", "repair"):
                    admin.fault(peer.name, channel, action)
