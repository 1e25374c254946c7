"""Histories: what replicas that write, deliver, restart and lose disks can have made.

A small model beside the real one. Each process is a log in causal order, so the true
causal past of a write is known: all that stands in the log before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

from kvnode.codec.batches import encode_batch
from kvnode.core.author import Author
from kvnode.core.batch import Batch, Change, Write, reduced, write_bytes_max
from kvnode.core.chain import NO_CHAIN, chained
from kvnode.core.clock import HybridLogicalClock
from kvnode.core.succession import Cut, ends_of
from kvnode.core.vector import Dot, Vector, new_origin


class Made(NamedTuple):
    """A batch and what is true of it."""

    batch: Batch
    #: What its author says that its origin had delivered.
    row: Vector
    #: What its origin really had delivered, before its first write.
    past: frozenset[Dot]

    @property
    def ends(self) -> dict[str, int]:
        """What it ends, if it is the first of its incarnation."""
        return ends_of(self.batch.origin, self.batch.deps) if self.batch.first == 1 else {}


def dots_of(batch: Batch) -> set[Dot]:
    """The dots of a batch's writes."""
    return {Dot(batch.origin, seq) for seq in range(batch.first, batch.last + 1)}


def highest(dots: Iterable[Dot]) -> dict[str, int]:
    """The vector of these dots, with every entry spelled out."""
    entries: dict[str, int] = {}
    for origin, seq in dots:
        entries[origin] = max(seq, entries.get(origin, 0))
    return entries


class Process:
    """A replica as far as histories need it."""

    def __init__(self, name: str, log: Sequence[Made]) -> None:
        self.name = name
        self.log: list[Made] = []
        self.author: Author | None = None
        self.clock = HybridLogicalClock()
        #: Of each origin at its latest batch in the log.
        self.chains: dict[str, bytes] = {}
        entries: dict[str, int] = {}
        ends: dict[str, dict[str, int]] = {}
        for made in log:
            self._log(made)
            self.clock.observe(made.batch.stamp_us)
            entries[made.batch.origin] = made.batch.last
            ends.setdefault(made.batch.origin, made.ends)
        self.cut = Cut.restored(entries, ends)

    @property
    def dots(self) -> frozenset[Dot]:
        """All that it has delivered."""
        return frozenset(dot for made in self.log for dot in dots_of(made.batch))

    def append(self, made: Made) -> None:
        """Deliver a batch."""
        self._log(made)
        self.cut.advance(made.batch.origin, made.batch.last, made.ends)

    def chain_of(self, origin: str) -> bytes:
        """The chain of an origin at what is delivered of it."""
        return self.chains.get(origin, NO_CHAIN)

    def _log(self, made: Made) -> None:
        self.log.append(made)
        self.chains[made.batch.origin] = chained(made.batch.encoded)

    def receive(self, made: Made) -> None:
        """Deliver another's batch."""
        self.clock.observe(made.batch.stamp_us)
        if self.author is not None:
            self.author.delivered(made.batch.origin)
        self.append(made)


class History:
    """Processes, and all that they ever made. Indices wrap, so that any number will do."""

    def __init__(self, names: str) -> None:
        self.processes = [Process(name, []) for name in names]
        self.made: list[Made] = []
        #: How it came about, for whoever reads of a failure.
        self.story: list[object] = []
        self._incarnations = 0

    def __repr__(self) -> str:
        return f"History({''.join(process.name for process in self.processes)}, {self.story})"

    def process(self, index: int) -> Process:
        """One of the processes."""
        return self.processes[index % len(self.processes)]

    def write(self, index: int, writes: Sequence[Write], wall_us: int = 1) -> None:
        """A process makes a batch; its first one opens an incarnation."""
        process = self.process(index)
        if process.author is None:
            self._incarnations += 1
            origin = new_origin(process.name, self._incarnations, self._incarnations)
            process.author = Author(
                origin, process.cut, process.clock, encode_batch, process.chain_of
            )
        process.author.open(wall_us)
        for write in writes:
            process.author.add(write, write_bytes_max(write))
        closed = process.author.close()
        assert closed is not None
        made = Made(*closed, process.dots)
        process.append(made)
        self.made.append(made)

    def deliver(self, index: int, source: int, batches_max: int = 1 << 30) -> None:
        """A process delivers the first batches of another's log that it lacks."""
        process = self.process(index)
        entries = process.cut.entries
        lacking = [
            made
            for made in self.process(source).log
            if made.batch.last > entries.get(made.batch.origin, 0)
        ]
        for made in lacking[:batches_max]:
            process.receive(made)

    def restart(self, index: int) -> None:
        """A process starts anew from all that it had."""
        self.roll_back(index, 1 << 30)

    def roll_back(self, index: int, length: int) -> None:
        """A process starts anew from an old copy of its disk."""
        process = self.process(index)
        self.processes[index % len(self.processes)] = Process(process.name, process.log[:length])

    def copy(self, index: int, source: int) -> None:
        """A process is replaced by one that runs on a copy of another's disk."""
        original = self.process(source)
        self.processes[index % len(self.processes)] = Process(original.name, original.log)


def random_history(names: str, length: int, seed: int) -> History:
    """So many steps of these replicas; the same arguments give the same history."""
    history, random = History(names), Random(seed)
    for _ in range(length):
        who, other = random.randrange(len(names)), random.randrange(len(names))
        step = random.choices(
            [
                ("write", who, _random_writes(random), random.randrange(20)),
                ("deliver", who, other, random.randint(1, 6)),
                ("restart", who),
                ("roll_back", who, random.randrange(20)),
                ("copy", who, other),
            ],
            weights=[8, 8, 1, 1, 1],
        )
        ((action, *arguments),) = step
        getattr(history, action)(*arguments)
        history.story.append((action, *arguments))
    return history


def _random_writes(random: Random) -> list[Write]:
    """One to three writes of one or two changes each, many of them of the same key."""
    return [
        reduced(
            Change(random.choice((b"a", b"b", b"c")), random.choice((None, b"1", b"2")))
            for _ in range(random.choice((1, 1, 2)))
        )
        for _ in range(random.choice((1, 1, 2, 3)))
    ]


def causal_order(made: Sequence[Made], seed: int) -> list[Made]:
    """All of these in a random order that delivers each after its past."""
    random = Random(seed)
    waiting, delivered, order = list(made), set[Dot](), list[Made]()
    while waiting:
        ready = [at for at, each in enumerate(waiting) if each.past <= delivered]
        chosen = waiting.pop(random.choice(ready))
        delivered |= dots_of(chosen.batch)
        order.append(chosen)
    return order
