"""Mending: what a machine that went back in time wrote under dots that were given before.

Where a peer's history of an incarnation of this node's parts from its own, the peer's stays: others
have it. This node's own writes from there on are made those of a new incarnation, just as if it had
been opened then: in the same order, with the same stamps, and after all that they came after. So
they are where they were in the log and in the table, under other dots. What this node has delivered
of the old incarnation goes back to where the two part, and the rest comes like anybody's.

Clients may hold tokens that name what was moved. A record that is written with the rest tells every
node where it went: see `renaming`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from kvnode.core.author import Encode
from kvnode.core.batch import Batch, Change, Write
from kvnode.core.chain import NO_CHAIN, chain_of_ends, chained, check_in, told_check_of
from kvnode.core.limits import MIB
from kvnode.core.messages import Commit, Moved, OriginState, OwnPast, Saved
from kvnode.core.renaming import Renamed, renamed_key
from kvnode.core.state import Committed, State
from kvnode.core.succession import ends_of
from kvnode.core.vector import Dot, Vector
from kvnode.core.versions import DIGEST_MODULUS, Versions, digest_change

#: What is moved at most, in one commit, which clients wait for: a second's work. What a machine
#: wrote before it missed its peers is far less; who is cut off for long after that may have more,
#: and takes a person to mend.
MENDED_BYTES_MAX: Final = 16 * MIB


def mended(
    saved: Saved,
    table: Committed,
    parting: Dot,
    batches: Sequence[Batch],
    origin: str,
    encode: Encode,
    wall_us: int,
) -> Commit:
    """All that changes on disk; the replica must be made anew from that.

    `batches` are this node's own ones that are unconfirmed, all of them, in order; `origin` is to
    be the new incarnation.
    """
    stays, moved = _parted(saved.own, parting, batches)
    gone = {batch.origin for batch in moved if batch.origin != parting.origin or not parting.seq}
    kept = {} if stays is None else {parting.origin: stays}
    before = _Before(table, kept, lambda dot: dot.origin in gone or _is_beyond(dot, parting))
    keys = sorted({change.key for batch in moved for write in batch.writes for change in write})
    digest = saved.digest + sum(before.digest_change(key) for key in keys)
    origins = {o: state for o, state in saved.origins.items() if o not in gone}
    origins |= kept
    state = State(
        saved._replace(origins=origins, digest=digest % DIGEST_MODULUS),
        before,
        lambda key, versions, by: None,
    )
    if stays is not None:
        stays = stays._replace(row=state.cut.succession.normal(stays.row))
        kept[parting.origin] = stays
    _Moving(state, origin, encode).run(moved, parting, stays, wall_us)
    return Commit(
        table=state.changed,
        batches=(state.log[-1],),
        origins={**kept, origin: state.origins[origin]},
        clock_us=state.clock.last_us,
        digest=state.digest,
        due=state.due,
        joined=True,
        own=OwnPast(origin, state.origins[origin]),
        moved=tuple(Moved(was, now) for was, now in zip(moved, state.log, strict=False)),
        gone=tuple(sorted(gone)),
    )


def are_all(batches: Sequence[Batch], firsts: Vector, delivered: Vector) -> bool:
    """Whether these are all writes of these origins from their first seqs on."""
    expected = dict(firsts)
    for batch in batches:
        if batch.first != expected[batch.origin]:
            return False
        expected[batch.origin] = batch.last + 1
    return all(seq == delivered[origin] + 1 for origin, seq in expected.items())


def _parted(
    past: OwnPast, parting: Dot, batches: Sequence[Batch]
) -> tuple[OriginState | None, list[Batch]]:
    """The incarnation in which they part as it stays, if anything does; and what is moved."""
    stays = past.state if parting.origin == past.origin else None
    order = [past.origin, *past.opened]
    moved = []
    for batch in batches:
        if order.index(batch.origin) < order.index(parting.origin):
            continue
        if batch.origin == parting.origin and batch.last <= parting.seq:
            stays = _after(stays, batch)
        else:
            moved.append(batch)
    return stays, moved


def _after(state: OriginState | None, batch: Batch) -> OriginState:
    """The state of an incarnation after its next batch; its row may spell out what is implied."""
    if state is None:
        row, ends = dict(batch.deps), ends_of(batch.origin, batch.deps)
    else:
        row, ends = {**state.row, **batch.deps, batch.origin: batch.first - 1}, dict(state.ends)
    return OriginState(batch.last, batch.stamp_us, row, ends, chained(batch.encoded))


def _is_beyond(dot: Dot, parting: Dot) -> bool:
    return dot.origin == parting.origin and dot.seq > parting.seq


class _Before:
    """What is committed, without the versions that are moved."""

    def __init__(
        self,
        table: Committed,
        kept: Mapping[str, OriginState],
        is_moved: Callable[[Dot], bool],
    ) -> None:
        self._table = table
        #: What is as it was when they parted; it may have been ended since.
        self._kept = kept
        self._is_moved = is_moved

    def versions(self, key: bytes) -> Versions:
        """See `Committed`."""
        held = self._table.versions(key)
        return tuple(it for it in held if not self._is_moved(Dot(it.origin, it.seq)))

    def origin_state(self, origin: str) -> OriginState:
        """See `Committed`."""
        return self._kept.get(origin) or self._table.origin_state(origin)

    def digest_change(self, key: bytes) -> int:
        """What it adds to the digest that they are not there."""
        return digest_change(key, self._table.versions(key), self.versions(key))


class _Moving:
    """Writes batches again as those of a new incarnation."""

    def __init__(self, state: State, origin: str, encode: Encode) -> None:
        self._state = state
        self._origin = origin
        self._encode = encode

    def run(
        self, moved: Sequence[Batch], parting: Dot, stays: OriginState | None, wall_us: int
    ) -> None:
        """They are in the state's log then, and after them what tells where they went."""
        dropped = {batch.origin for batch in moved}
        went: dict[str, Renamed] = {}
        for batch in moved:
            base = self._state.cut.entries.get(self._origin, 0)
            after = parting.seq if batch.origin == parting.origin else 0
            first = went.get(batch.origin)
            is_whole = batch.origin != parting.origin
            went[batch.origin] = Renamed(
                after, batch.last, self._origin, first.base if first else base, is_whole
            )
            deps = {o: seq for o, seq in batch.deps.items() if o not in dropped}
            if not base and stays is not None:
                row = {**stays.row, **deps, parting.origin: parting.seq}
                deps = self._state.cut.succession.normal(row)
            self._write(deps, batch, batch.stamp_us, batch.writes)
        changes = [Change(renamed_key(o), record.encode()) for o, record in went.items()]
        self._write({}, None, self._state.clock.tick(wall_us), (tuple(changes),))

    def _write(
        self, deps: Vector, was: Batch | None, stamp_us: int, writes: tuple[Write, ...]
    ) -> None:
        first = self._state.cut.entries.get(self._origin, 0) + 1
        previous = self._state.chain_of(self._origin)
        if first == 1:
            previous = chain_of_ends(ends_of(self._origin, deps), partial(self._chain_at, deps))
        checks = b"".join(self._check(origin, deps, was) for origin in deps)
        told = (self._origin, first, deps, stamp_us, writes)
        encoded = self._encode(*told, previous, checks)
        self._state.deliver(Batch(*told, encoded, previous, checks))

    def _check(self, origin: str, deps: Vector, was: Batch | None) -> bytes:
        said = b"" if was is None else check_in(was.deps, was.checks, origin)
        return said or told_check_of(self._chain_at(deps, origin))

    def _chain_at(self, deps: Vector, origin: str) -> bytes:
        """The chain of a dep, if it is what stands here."""
        is_here = self._state.cut.entries.get(origin, 0) == deps[origin]
        return self._state.chain_of(origin) if is_here else NO_CHAIN
