"""The replica: the state machine of one node. All that affects what a node shows, sends
or saves is decided here and in the modules that this one uses.

One turn, in this order and no other:

    deliver remote batches -> freeze deps -> serve clients -> (commit -> publish -> reply)

All remote deliveries of a turn come before its first local write: a delivery in between
would be seen by a write whose deps omit it. The driver carries out the part in brackets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from kvnode.core.author import Author, Encode
from kvnode.core.batch import Batch, Change, Write, reduced, write_bytes_max
from kvnode.core.clock import STAMP_US_MAX, HybridLogicalClock, Now
from kvnode.core.holdback import Holdback
from kvnode.core.limits import ANSWER_VALUE_BYTES_MAX, Limits
from kvnode.core.messages import (
    Claim,
    Commit,
    Delayed,
    Delete,
    Effects,
    Entry,
    Failed,
    Get,
    Inputs,
    Operation,
    OriginState,
    Pull,
    Put,
    Read,
    Reply,
    Request,
    Result,
    Written,
)
from kvnode.core.repair import Repair
from kvnode.core.succession import Cut, ends_of
from kvnode.core.vector import Missing, Vector
from kvnode.core.versions import DIGEST_MODULUS, Version, Versions, digest_change, merged


class Table(Protocol):
    """Where the replica reads committed versions; the storage is one."""

    def versions(self, key: bytes) -> Versions:
        """The versions of a key, the winner first; empty if it is not there."""


class Saved(NamedTuple):
    """What a replica needs from disk to go on, beside the table."""

    origins: Mapping[str, OriginState]
    clock_us: int
    digest: int


class Identity(NamedTuple):
    """Who this process is."""

    name: str
    #: The incarnation that its first local write will open.
    origin: str
    #: Tells this process from others that bear the name.
    instance: int


class Replica:
    """One node's state, driven by `turn`."""

    def __init__(
        self,
        identity: Identity,
        saved: Saved,
        table: Table,
        encode: Encode,
        random: Callable[[], float],
        *,
        limits: Limits,
        heartbeat_us: int,
        commits_are_synced: bool,
    ) -> None:
        self.identity = identity
        self.clock = HybridLogicalClock(saved.clock_us)
        self.digest = saved.digest
        self.origins = dict(saved.origins)
        self.cut = Cut.restored(
            {origin: state.delivered for origin, state in saved.origins.items()},
            {origin: state.ends for origin, state in saved.origins.items()},
        )
        self.holdback = Holdback(limits)
        self.repair = Repair(random, heartbeat_us=heartbeat_us)
        #: Requests whose past is here, and that wait for their turn.
        self.ready: deque[Request] = deque()
        #: Those that this turn ran, and those that it refused: none of their answers is
        #: sent if its commit fails.
        self.ran: list[Request] = []
        self.refused: list[Request] = []
        self._limits = limits
        self._author = Author(identity.origin, self.cut, self.clock, encode)
        self._table = table
        self._heartbeat_us = heartbeat_us
        self._heartbeat_due_us = 0
        self._synced: Vector | None = None if commits_are_synced else dict(self.cut.heads)
        self._changed: dict[bytes, Versions] = {}
        self._touched: dict[str, None] = {}
        self._writes_left = 0
        self._log: list[Batch] = []
        self._own: list[Batch] = []

    # --- the turn

    def turn(self, inputs: Inputs, now: Now) -> Effects:
        """Take in what was received; say what to commit, then publish, then answer."""
        self._changed, self._touched, self._log, self._own = {}, {}, [], []
        self.ran, self.refused = [], []
        self._receive(inputs, now)
        replies = [*self._admit(inputs.requests, now), *self._serve(now)]
        self._close_batch()
        return Effects(
            commit=self._commit(),
            publish=tuple(self._own),
            claim=self._claim_if_due(now),
            replies=tuple(replies),
            token=dict(self.cut.heads),
            pull=self._next_pull(now),
        )

    def synced(self) -> None:
        """All that was committed is on disk now, should the power fail."""
        if self._synced is not None:
            self._synced = dict(self.cut.heads)

    def lacking(self, vector: Vector) -> dict[str, int]:
        """Where this replica goes beyond a vector: origin -> first seq that it lacks."""
        theirs = self.cut.succession.expanded(vector)
        return {
            origin: theirs.get(origin, 0) + 1
            for origin, seq in self.cut.entries.items()
            if seq > theirs.get(origin, 0)
        }

    def wake_us(self) -> int:
        """When the next turn must come, input or not, by the steady clock."""
        if self.holdback.has_ready or self.ready:
            return 0
        times = [self._heartbeat_due_us]
        for time_us in (self.holdback.earliest_deadline_us, self.repair.wake_us()):
            if time_us is not None:
                times.append(time_us)
        return min(times)

    # --- receive and deliver

    def _receive(self, inputs: Inputs, now: Now) -> None:
        """Deliver what is ready as it comes, so that the queue holds only what must wait."""
        self._writes_left = self._limits.delivered_writes_per_turn
        self._deliver_ready()
        for batch in inputs.batches:
            self._take_in(batch)
        for name, batches in inputs.pulled:
            lacked = [b for b in batches if b.last > self.cut.entries.get(b.origin, 0)]
            for batch in lacked:
                self._take_in(batch)
            advanced = any(b.last <= self.cut.entries.get(b.origin, 0) for b in lacked)
            advanced = advanced or self.holdback.has_ready_batches
            self.repair.answered(name, now.steady_us, advanced=advanced)
        for claim in inputs.claims:
            self.repair.claimed(claim)

    def _take_in(self, batch: Batch) -> None:
        self.holdback.hold(batch, self.cut.entries)
        self._deliver_ready()

    def _deliver_ready(self) -> None:
        while self._writes_left > 0 and (batch := self.holdback.take_ready_batch()) is not None:
            if batch.first != self.cut.entries.get(batch.origin, 0) + 1:
                continue  # it overlaps one that is delivered: no honest origin makes such
            self._writes_left -= len(batch.writes)
            row = self._row_at(batch)
            for seq, write in enumerate(batch.writes, batch.first):
                self._apply(write, batch.origin, seq, batch.stamp_us, row)
            self.clock.observe(batch.stamp_us)
            self._author.delivered(batch.origin)
            self._record(batch, row)

    def _row_at(self, batch: Batch) -> Vector:
        """What the origin had delivered when it made this batch, its own writes included.

        Accumulated from the entries that each of its batches brought.
        """
        if batch.first == 1:
            return dict(batch.deps)
        before = self.origins[batch.origin].row
        row = {**before, **batch.deps, batch.origin: batch.first - 1}
        if not batch.deps and batch.origin in before:
            return row  # nothing came that could imply another entry
        return self.cut.succession.normal(row)

    def _apply(self, write: Write, origin: str, seq: int, stamp_us: int, row: Vector) -> None:
        for key, value in write:
            before = self._versions(key)
            own = Version(stamp_us, origin, seq, value or b"")
            after = merged(before, self.cut.succession, row, own, deleted=value is None)
            self.digest = (self.digest + digest_change(key, before, after)) % DIGEST_MODULUS
            self._changed[key] = after

    def _record(self, batch: Batch, row: Vector) -> None:
        """The batch is applied: count it as delivered and wake what waited for it."""
        origin = batch.origin
        if batch.first == 1:
            ends = ends_of(origin, batch.deps)
        else:
            ends = dict(self.origins[origin].ends)
        self.origins[origin] = OriginState(batch.last, batch.stamp_us, row, ends)
        self._touched[origin] = None
        self._log.append(batch)
        self.cut.advance(origin, batch.last, ends if batch.first == 1 else {})
        self.holdback.wake(origin, batch.first, batch.last, self.cut.entries)

    # --- serve

    def _admit(self, requests: list[Request], now: Now) -> list[Reply]:
        """Queue what is ready, woken requests first; park the rest or answer it at once."""
        self.ready.extend(self.holdback.take_ready_requests())
        replies = []
        for request in requests:
            if self.cut.covers(request.token):
                self.ready.append(request)
            elif request.deadline_us is None or request.deadline_us <= now.steady_us:
                replies.append(self._delayed(request, "the session is ahead of this node"))
            elif not self.holdback.park(request, self.cut.entries):
                message = "too many requests wait at this node; try another, or later"
                replies.append(self._for_all(request, Failed("overloaded", message)))
        for request in self.holdback.take_expired_requests(now.steady_us):
            reason = "the deadline passed while the request waited"
            replies.append(self._delayed(request, reason))
        return replies

    def _serve(self, now: Now) -> list[Reply]:
        """Run what is ready, until the answers are as many as memory should hold."""
        replies = []
        bytes_left = self._limits.answered_bytes_per_turn
        while self.ready and bytes_left > 0:
            request = self.ready.popleft()
            self.ran.append(request)
            answer = _Answer()
            for operation in request.operations:
                answer.add(self._run(operation, now))
            bytes_left -= answer.size_bytes
            replies.append(Reply(request.reply_to, request.id, tuple(answer.results), ran=True))
        return replies

    def _run(self, operation: Operation, now: Now) -> Result:
        match operation:
            case Get(key):
                versions = self._versions(key)
                return Entry(versions[:1], max(0, len(versions) - 1))
            case Read(key, skip):
                return Entry(self._versions(key)[skip:], 0)
            case Put(key, value):
                return self._write(reduced([Change(key, value)]), now)
            case Delete(key):
                return self._write(reduced([Change(key, None)]), now)

    def _write(self, write: Write, now: Now) -> Result:
        if self.clock.last_us >= STAMP_US_MAX:
            return Failed("clock_exhausted", "a stamp of the year 2200 was delivered")
        write_bytes = write_bytes_max(write)
        if not self._author.has_room(write_bytes):
            self._close_batch()
            self._author.open(now.wall_us)
        dot, stamp_us, row = self._author.add(write, write_bytes)
        self._apply(write, dot.origin, dot.seq, stamp_us, row)
        return Written(dot, stamp_us)

    def _close_batch(self) -> None:
        closed = self._author.close()
        if closed is not None:
            batch, row = closed
            self._own.append(batch)
            self._record(batch, row)

    def _versions(self, key: bytes) -> Versions:
        """As this turn sees the key: what it has changed, else what is committed."""
        changed = self._changed.get(key)
        return self._table.versions(key) if changed is None else changed

    def _delayed(self, request: Request, reason: str) -> Reply:
        entries = self.cut.entries
        missing = tuple(
            Missing(origin, entries.get(origin, 0) + 1, seq)
            for origin, seq in sorted(request.token.items())
            if seq > entries.get(origin, 0)
        )
        delayed = Delayed(reason, request.token, dict(self.cut.heads), missing)
        return self._for_all(request, delayed)

    def _for_all(self, request: Request, result: Result) -> Reply:
        """One result that stands for the whole request, which was not run."""
        self.refused.append(request)
        return Reply(request.reply_to, request.id, (result,), ran=False)

    # --- what the turn leaves

    def _commit(self) -> Commit | None:
        if not self._log:
            return None
        return Commit(
            table=self._changed,
            batches=tuple(self._log),
            origins={origin: self.origins[origin] for origin in self._touched},
            clock_us=self.clock.last_us,
            digest=self.digest,
        )

    def _next_pull(self, now: Now) -> Pull | None:
        """None while batches are ready: the next turn delivers them, and lacks less."""
        if self.holdback.has_ready_batches:
            return None
        return self.repair.next_pull(self.cut, self.holdback, now.steady_us)

    def _claim_if_due(self, now: Now) -> Claim | None:
        """The heartbeat: by the clock, and at once when a batch is too large for gossip."""
        unheard = any(not batch.is_gossip for batch in self._own)
        if now.steady_us < self._heartbeat_due_us and not unheard:
            return None
        self._heartbeat_due_us = now.steady_us + self._heartbeat_us
        delivered = dict(self.cut.heads)
        synced = delivered if self._synced is None else self._synced
        return Claim(self.identity.name, self.identity.instance, delivered, synced, self.digest)


class _Answer:
    """The results of one request, with no more values than an answer holds."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.size_bytes = 0

    def add(self, result: Result) -> None:
        """Add a result; of versions, those that fit."""
        if isinstance(result, Entry):
            result = self._fitting(result)
        self.results.append(result)

    def _fitting(self, entry: Entry) -> Result:
        versions, more = entry
        for at, version in enumerate(versions):
            if self.size_bytes + len(version.value) > ANSWER_VALUE_BYTES_MAX:
                if at == 0:
                    message = f"an answer holds at most {ANSWER_VALUE_BYTES_MAX} bytes of values"
                    return Failed("too_large", message)
                return Entry(versions[:at], more + len(versions) - at)
            self.size_bytes += len(version.value)
        return entry
