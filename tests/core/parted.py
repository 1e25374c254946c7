"""Histories that part: what a machine wrote that went back in time, on a disk that is mended then.

The same is made by a node that opened the new incarnation where the two pasts part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import NamedTuple

from kvnode.codec.batches import decode_batch, encode_batch
from kvnode.core.author import Author
from kvnode.core.batch import Batch, Change, Write, write_bytes_max
from kvnode.core.chain import chained, check_of
from kvnode.core.mending import are_all, mended
from kvnode.core.messages import Commit, OwnPast
from kvnode.core.once import Done
from kvnode.core.state import State
from kvnode.core.vector import Dot, new_origin
from kvnode.storage.memory import MemoryDisk, MemoryStore
from kvnode.storage.store import Store

H, J, L, K, Y = (new_origin(name, at, at) for at, name in enumerate(["V", "V", "V", "V", "Y"], 1))
MIB = 1 << 20
WALL_US = 1_000


class Step(NamedTuple):
    """V makes a batch of these writes, or Y does, or V goes on as another incarnation."""

    who: str
    writes: tuple[Write, ...] = ()
    wall_us: int = 0


class Disk:
    """V's disk, by what a node does to it: each batch is a turn."""

    def __init__(self, store: Store | None = None) -> None:
        """It is a memory disk unless a store is given, which then has no `families`."""
        self.disk = MemoryDisk()
        self.store = store or MemoryStore(self.disk)
        self.state = State(self.store.load(), self.store, lambda *_: None)
        self.past = OwnPast()
        self.author = self._author("")

    def opens(self, origin: str) -> None:
        self.author = self._author(origin)
        self.past = self.past._replace(opened=(*self.past.opened, origin))

    def writes(self, writes: Sequence[Write], wall_us: int) -> None:
        self.author.open(wall_us)
        for write in writes:
            dot, stamp_us, row = self.author.add(write, write_bytes_max(write))
            self.state.apply(write, dot.origin, dot.seq, stamp_us, row)
        closed = self.author.close()
        assert closed is not None
        self.state.record(*closed)
        self.commits()

    def delivers(self, batch: Batch) -> None:
        self.state.deliver(batch)
        self.author.delivered(batch.origin)
        self.commits()

    def commits(self) -> None:
        commit = self.state.commit(Done(self.store, 0), 0)
        assert commit is not None
        self.store.commit(replace(commit, own=self.past, joined=True), sync=True)
        self.state.begin()

    def confirms(self) -> None:
        """A peer has all that the latest incarnation made."""
        origin = self.author.origin
        self.past = OwnPast(origin, self.state.origins[origin])

    def mends(self, parting: Dot, wall_us: int = WALL_US) -> Commit:
        """As the replica does it."""
        saved = self.store.load()._replace(own=self.past)
        entries = self.state.cut.entries
        firsts = {self.past.origin: self.past.seq + 1} if self.past.origin else {}
        firsts |= {origin: 1 for origin in self.past.opened if origin in entries}
        firsts = {origin: first for origin, first in firsts.items() if first <= entries[origin]}
        batches = self.store.batches(firsts, MIB, self.state.cut.succession.ends)
        assert are_all(batches, firsts, entries)
        commit = mended(saved, self.store, parting, batches, K, encode_batch, wall_us)
        self.store.commit(commit, sync=True)
        return commit

    def log(self) -> list[Batch]:
        """All of it, in its order."""
        firsts = dict.fromkeys(self.store.load().origins, 1)
        return self.store.batches(firsts, MIB)

    def _author(self, origin: str) -> Author:
        state = self.state
        return Author(origin, state.cut, state.clock, encode_batch, state.chain_of)


class Made(NamedTuple):
    """A history: what was confirmed, what came after it, and where the machine had gone back."""

    before: tuple[Step, ...]
    since: tuple[Step, ...]
    #: How many of V's batches since then others have, of the incarnation that was confirmed.
    shared: int


def as_it_was(made: Made, store: Store | None = None) -> tuple[Disk, Dot]:
    """V's disk; and where others have another past."""
    disk, origins, others = Disk(store), iter((J, L)), Others()
    disk.opens(H)
    for step in made.before:
        play(disk, step, others, origins)
    if disk.state.cut.entries.get(H):
        disk.confirms()
    parting, shared = Dot(H, disk.state.cut.entries.get(H, 0)), made.shared
    for step in made.since:
        if step.who == "V" and disk.author.origin == H and shared:
            shared -= 1
            parting = Dot(H, parting.seq + len(step.writes))
        play(disk, step, others, origins)
    return disk, parting


def as_it_would_be(made: Made) -> Disk:
    """The disk of a node that went on as K from there on, and tells what it did not do before."""
    disk, others, shared, was_opened = Disk(), Others(), made.shared, False
    disk.opens(H)
    for step in made.before:
        play(disk, step, others, iter(()))
    for step in made.since:
        if step.who == "opens":
            was_opened = True
            continue
        if step.who == "V" and disk.author.origin == H:
            if was_opened or not shared:
                disk.opens(K)
            shared -= 1
        play(disk, step, others, iter(()))
    return disk


class Others:
    """What Y makes, which starts anew now and then: each of its batches depends only on its own."""

    def __init__(self) -> None:
        self.origin, self.seq, self.encoded, self.stamp_us = Y, 0, b"", WALL_US
        self.starts = 0

    def makes(self, step: Step) -> Batch:
        deps = {}
        if step.who == "Y anew" and self.seq:
            deps = {self.origin: self.seq}
            self.starts += 1
            self.origin, self.seq = new_origin("Y", 6, self.starts), 0
        previous = chained(self.encoded) if self.encoded else b""
        checks = check_of(previous) if deps else b""
        self.stamp_us += 1 + step.wall_us
        told = (self.origin, self.seq + 1, deps, self.stamp_us, step.writes)
        self.encoded = encode_batch(*told, previous, checks)
        self.seq += len(step.writes)
        return decode_batch(self.encoded)


def play(disk: Disk, step: Step, others: Others, origins: Iterator[str]) -> None:
    if step.who == "opens":
        origin = next(origins, None)
        if origin is not None:
            disk.opens(origin)
    elif step.who.startswith("Y"):
        disk.delivers(others.makes(step))
    else:
        disk.writes(step.writes, step.wall_us)


def put(*keys: str, value: str = "v", expires_us: int | None = None) -> Write:
    return tuple(Change(key.encode(), value.encode(), expires_us) for key in keys)


def delete(*keys: str) -> Write:
    return tuple(Change(key.encode(), None) for key in keys)


def v(*writes: Write) -> Step:
    return Step("V", writes, WALL_US)


def y(*writes: Write) -> Step:
    return Step("Y", writes)


OPENS = Step("opens")


def random_made(seed: int, length: int, opens: int) -> Made:
    random = Random(seed)

    def write() -> Write:
        keys = random.sample("abcd", random.choice((1, 1, 2, 3)))
        changes = []
        for key in sorted(keys):
            kind = random.random()
            value = None if kind < 0.3 else b"%d" % random.randrange(100)
            expires_us = random.randrange(1, 4) if kind > 0.7 else None
            changes.append(Change(key.encode(), value, expires_us))
        return tuple(changes)

    def step() -> Step:
        writes = tuple(write() for _ in range(random.choice((1, 1, 1, 2, 3))))
        return Step(random.choice(("V", "V", "Y", "Y anew")), writes, random.randrange(2_000))

    before = tuple(step() for _ in range(random.randrange(length)))
    since = [step() for _ in range(random.randrange(length))]
    since.insert(random.randrange(len(since) + 1), v(write()))
    for _ in range(opens):
        since.insert(random.randrange(len(since) + 1), OPENS)
        since.append(v(write()))
    return Made(before, tuple(since), random.choice((0, 0, 1, 2)))


def moved_of(made: Made) -> int:
    """How many batches there are to move."""
    parting = as_it_was(made)[1]
    disk = as_it_was(made)[0]
    return sum(
        batch.origin in (J, L) or (batch.origin == H and batch.first > parting.seq)
        for batch in disk.log()
    )


def compared(made: Made) -> tuple[Disk, Disk, Commit] | None:
    """The disk that is mended, and the one that never went back; None if nothing is to be mended.

    The latter also writes what tells where the writes went, which it needs to be equal.
    """
    was, parting = as_it_was(made)
    if not moved_of(made):
        return None
    commit = was.mends(parting)
    would_be = as_it_would_be(made)
    would_be.delivers(commit.batches[0])
    return was, would_be, commit


def settled(disk: Disk) -> dict[str, object]:
    """What stands on a disk, but for how its batches are encoded and what is confirmed."""
    meta = {key: state._replace(chain=b"") for key, state in disk.store.load().origins.items()}
    return {
        "table": disk.disk.families["table0"],
        "due": disk.disk.families["due0"],
        "origins": meta,
        "digest": disk.store.load().digest,
        "clock": disk.store.load().clock_us,
        "log": [(it.origin, it.first, it.stamp_us, it.writes) for it in disk.log()],
    }
