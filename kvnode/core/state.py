"""The state of a node: what it has delivered, and what this turn changes of it.

A write is applied the same way whoever made it. What a turn changes stands in an overlay, which its
reads see, and which is just what its commit writes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Protocol

from kvnode.core.batch import Batch, Write
from kvnode.core.chain import NO_CHAIN, chained
from kvnode.core.clock import HybridLogicalClock
from kvnode.core.expiry import due_of
from kvnode.core.limits import RESERVED_PREFIX
from kvnode.core.messages import Commit, Due, OriginState, Saved
from kvnode.core.once import Done
from kvnode.core.succession import Cut, ends_of
from kvnode.core.truncation import Logged
from kvnode.core.vector import Dot, Vector
from kvnode.core.versions import DIGEST_MODULUS, Version, Versions, digest_change, merged

#: The key of a record of kvnode's own, what is left there, and the origin of the write that did it.
RecordChanged = Callable[[bytes, Versions, str], None]


class Committed(Protocol):
    """What is committed."""

    def versions(self, key: bytes) -> Versions:
        """The versions of a key, the winner first; empty if it is not there."""

    def origin_state(self, origin: str) -> OriginState:
        """What is kept of an origin that was delivered from."""


class State:
    """What a replica has delivered."""

    def __init__(self, saved: Saved, table: Committed, record_changed: RecordChanged) -> None:
        self.clock = HybridLogicalClock(saved.clock_us)
        self.digest = saved.digest
        self.cut = Cut.restored(
            {origin: state.delivered for origin, state in saved.origins.items()},
            {origin: state.ends for origin, state in saved.origins.items() if state.ends},
        )
        #: Of incarnations that vectors name: none has ended them, or only before their last write.
        #: What is kept of the others stands on disk only: it is needed just if a copy of a disk
        #: goes on from where one was ended.
        self.origins = {
            origin: state for origin, state in saved.origins.items() if origin in self.cut.heads
        }
        #: The log has every batch beyond this vector, in normal form.
        self.floor: Vector = self.cut.succession.normal(saved.floor)
        #: Whether a write was ever made on this disk: the first one joins the cluster.
        self.joined = saved.joined
        #: What this turn has changed: versions, when they are due, and the batches that did it.
        self.changed: dict[bytes, Versions] = {}
        self.due: dict[Due, bool] = {}
        self.log: list[Batch] = []
        #: The same by their origins.
        self._brought: dict[str, list[Batch]] = {}
        self._touched: dict[str, None] = {}
        self._table = table
        self._record_changed = record_changed

    def begin(self) -> None:
        """A turn begins; what the one before has changed is committed."""
        self.changed, self.due, self.log, self._touched = {}, {}, [], {}
        self._brought = {}

    def brought(self, dot: Dot) -> Batch | None:
        """The batch of this turn that has a dot."""
        batches = self._brought.get(dot.origin, [])
        at = bisect_right(batches, dot.seq, key=lambda batch: batch.first) - 1
        return batches[at] if at >= 0 and dot.seq <= batches[at].last else None

    # --- what is shown

    def versions(self, key: bytes) -> Versions:
        """The versions of a key: what the turn has changed, else what is committed."""
        changed = self.changed.get(key)
        return self._table.versions(key) if changed is None else changed

    def chain_of(self, origin: str) -> bytes:
        """The chain of an origin's last delivered batch; reads the disk if it was ended."""
        return self._state_of(origin).chain if origin in self.cut.entries else NO_CHAIN

    def known_chain_of(self, origin: str) -> bytes:
        """The same, if it is at hand."""
        known = self.origins.get(origin)
        return NO_CHAIN if known is None else known.chain

    def reaches_log(self, vector: Vector) -> bool:
        """Whether the log has all batches beyond a vector."""
        return self.cut.succession.reading(vector).covers_all(self.floor)

    def floor_without(self, dropped: Iterable[Logged]) -> Vector:
        """The floor when the oldest batches of the log are gone, these."""
        floor = dict(self.floor)
        for batch in dropped:
            floor[batch.origin] = max(floor.get(batch.origin, 0), batch.last)
        return self.cut.succession.normal(floor)

    # --- what changes it

    def deliver(self, batch: Batch) -> None:
        """Apply the next batch of another origin, all of whose deps are delivered."""
        row = self._row_at(batch)
        for seq, write in enumerate(batch.writes, batch.first):
            self.apply(write, batch.origin, seq, batch.stamp_us, row)
        self.clock.observe(batch.stamp_us)
        self.record(batch, row)

    def apply(self, write: Write, origin: str, seq: int, stamp_us: int, row: Vector) -> None:
        """Apply one write, made where its row was visible; `record` counts its batch."""
        for key, value, expires_us in write:
            before = self.versions(key)
            own = Version(stamp_us, origin, seq, value or b"", expires_us)
            after = merged(before, self.cut.succession, row, own, deleted=value is None)
            if key.startswith(RESERVED_PREFIX):
                self._record_changed(key, after, origin)
            self.digest += digest_change(key, before, after)
            if before or expires_us is not None:
                self._note_due(key, before, after)
            self.changed[key] = after
        self.digest %= DIGEST_MODULUS

    def record(self, batch: Batch, row: Vector) -> None:
        """The writes of a batch are applied: count it as delivered."""
        origin = batch.origin
        self.cut.advance(
            origin, batch.last, ends_of(origin, batch.deps) if batch.first == 1 else {}
        )
        ends = self.cut.succession.ends.get(origin, {})
        self.origins[origin] = OriginState(
            batch.last, batch.stamp_us, row, ends, chained(batch.encoded)
        )
        self._touched[origin] = None
        self.log.append(batch)
        self._brought.setdefault(origin, []).append(batch)

    def commit(self, done: Done, remembered_max: int) -> Commit | None:
        """What the turn has changed; None if it has delivered nothing."""
        return self.as_it_is(done, remembered_max) if self.log else None

    def as_it_is(self, done: Done, remembered_max: int) -> Commit:
        """The same, though it may be nothing."""
        origins = {origin: self.origins[origin] for origin in self._touched}
        for origin, state in origins.items():
            for each in (origin, *state.ends):
                if each not in self.cut.heads:
                    self.origins.pop(each, None)
        return Commit(
            table=self.changed,
            batches=tuple(self.log),
            origins=origins,
            clock_us=self.clock.last_us,
            digest=self.digest,
            due=self.due,
            done=done.added,
            remembered_max=remembered_max,
            joined=self.joined,
        )

    def _row_at(self, batch: Batch) -> Vector:
        """What the origin had delivered when it made this batch, its own writes included.

        Accumulated from the entries that each of its batches brought.
        """
        if batch.first == 1:
            return dict(batch.deps)
        before = self._state_of(batch.origin).row
        row = {**before, **batch.deps, batch.origin: batch.first - 1}
        if not batch.deps and batch.origin in before:
            return row  # nothing came that could imply another entry
        return self.cut.succession.normal(row)

    def _state_of(self, origin: str) -> OriginState:
        known = self.origins.get(origin)
        if known is None:  # it goes on beyond its end
            known = self._table.origin_state(origin)
        return known

    def _note_due(self, key: bytes, before: Versions, after: Versions) -> None:
        was_due, is_due = due_of(key, before), due_of(key, after)
        for due in sorted(was_due ^ is_due):
            self.due[due] = due in is_due
