"""One node without sockets: its replica, its store, and the order between them.

    turn -> stage and commit -> publish -> claim -> reply -> report -> pull

Save, then send: nothing leaves before the commit that it speaks of. The daemon and the
tests drive this very code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from kvnode.codec.snapshots import Part
from kvnode.core.batch import Batch
from kvnode.core.catch_up import CatchUp
from kvnode.core.clock import Now, WallClock
from kvnode.core.continuity import Continuity
from kvnode.core.expiry import ExpiryClock
from kvnode.core.messages import (
    Claim,
    Commit,
    Effects,
    Fetch,
    Inputs,
    Pull,
    Report,
    Saved,
    Snapshot,
    Stage,
)
from kvnode.core.replica import Replica
from kvnode.core.requests import Request, WriteOperation
from kvnode.core.results import Failed, Reply
from kvnode.core.vector import Dot, Vector, name_of
from kvnode.daemon.fold import SwitchFailedError, fold
from kvnode.daemon.kept import Kept
from kvnode.daemon.snapshots import Snapshots
from kvnode.daemon.upkeep import Upkeep
from kvnode.errors import Refused, StorageError
from kvnode.storage.frozen import Before, FrozenStore, before, expect_all
from kvnode.storage.store import Store

#: How often a process may open another incarnation to end those that came to light late,
#: and how long it waits between.
RENEWALS_MAX: Final = 5
RENEWAL_PAUSE_US: Final = 5_000_000

_FOLDING: Final = "this node puts a snapshot in place; nothing was done: try later, or another"
_TIME_IS_MISSING: Final = (
    "time is missing at this node, as on a machine that was reverted while the request waited; it "
    "is not done now, but may have been before"
)
_QUIET: Final = "this node may have gone back in time; it serves peers when it has heard one"
_MENDED: Final = "the machine went back in time, and some of its writes were moved"
_DONE: Final = object()

#: After a failure the store is opened for writing at once, but not more often than this: in
#: between, the node only reads.
REOPEN_US: Final = 1_000_000


class Durability(StrEnum):
    """When a commit is made to survive a power loss."""

    #: Before it is published or acknowledged.
    ALWAYS = "always"
    #: Every so many milliseconds.
    INTERVAL = "interval"
    #: When the operating system gets to it.
    NEVER = "never"


class Outbox(Protocol):
    """Where a turn's messages go once they may."""

    def publish(self, batch: Batch) -> None:
        """To all peers, as a hint."""

    def claim(self, claim: Claim) -> None:
        """To all peers: the heartbeat."""

    def reply(self, reply: Reply, token: Vector) -> None:
        """To the client; the token goes with it if the request was run."""

    def awaited(self, dot: Dot) -> None:
        """To all peers, as a hint: somebody waits for them to have this write synced."""

    def report(self, report: Report) -> None:
        """To the node whose origin it is about, as a hint."""

    def pull(self, pull: Pull | Fetch) -> None:
        """To one peer."""


class OpenStore(Protocol):
    """Opens the node's store; raises StorageError."""

    def __call__(self, *, read_only: bool = False) -> Store: ...


@dataclass(slots=True)
class Health:
    """How the disk does."""

    failures: int = 0
    last_error: str | None = None
    #: Whether the store is open, and reads are answered.
    serving: bool = True
    #: Whether it is open for writing, too.
    writable: bool = True


class Node:
    """Drives a replica over a store, and starts both anew when the disk fails."""

    def __init__(
        self,
        open_store: OpenStore,
        make_replica: Callable[[Saved, Store], Replica],
        *,
        durability: Durability,
        sync_interval_us: int,
        heartbeat_us: int,
        random_number: Callable[[], int],
        founds: bool = False,
    ) -> None:
        self.health = Health()
        self._open_store = open_store
        self._make_replica = make_replica
        self._durability = durability
        self._sync_interval_us = sync_interval_us
        self._sync_due_us: int | None = None
        self._reopen_due_us = 0
        #: Own batches of a failed commit: if the reopened store has them, they count.
        self._in_doubt: tuple[Batch, ...] = ()
        #: What is shown until the store is open for writing again; None if the disk could
        #: not tell.
        self._before: Before | None = None
        #: What is delivered and committed, in normal form.
        self.vector: Vector = {}
        #: What a disk that failed had synced by then: one without it is not the same disk.
        self._kept: Vector = {}
        #: What is wrong, whichever replica found it.
        self._raised: dict[str, str] = {}
        #: What this process takes for the time.
        self.clock = WallClock()
        #: By which versions expire, whichever replica hides them.
        self._expiry = ExpiryClock()
        #: What it has had since its start, whichever replica has it.
        self.catch_up = CatchUp(heartbeat_us=heartbeat_us, founds=founds)
        #: Whether it may have gone back in time.
        self._continuity = Continuity(heartbeat_us=heartbeat_us)
        self._store: Store | None = None
        #: A snapshot that is being folded with the state that is here.
        self._fold: Iterator[None] | None = None
        #: Requests that waited for their past, and go on waiting at another replica.
        self._carried: list[Request] = []
        self._renewals = 0
        #: The number of the latest claim of this process, whichever replica made it.
        self._claims_told = 0
        self._renew_not_before_us = 0
        self._snapshots = Snapshots(random_number)
        self.replica: Replica
        #: The incarnations that this process has opened.
        self._written: set[str] = set()
        #: How often it moved its writes since its machine went back in time.
        self.mended = 0
        #: What peers get in pieces.
        self.kept = Kept()
        self.upkeep = Upkeep()
        #: How often this process put a snapshot in place.
        self.snapshots_taken = 0
        self._load(open_store())

    def turn(self, inputs: Inputs, now: Now, outbox: Outbox) -> None:
        """One turn: deliver and serve, save, then send."""
        self._look_back(inputs, now, outbox)
        now = self.clock.read(now, self.replica.limits.clock_held_us)
        self.replica.alarms.clock(self.clock.jump_us, self.replica.limits.clock_held_us)
        self._turn(inputs, now, outbox)

    def rests(self, now: Now) -> None:
        """The turn and all around it is over; it is this time by the machine's clocks."""
        self._continuity.rests(now)

    def _look_back(self, inputs: Inputs, now: Now, outbox: Outbox) -> None:
        """Before anything is written: a process that may have gone back in time must not go on with
        its incarnation. The machine's own clock tells, and not what is believed of it."""
        said = (inputs.heard, inputs.claims, inputs.batches, inputs.pulled, inputs.chunks)
        hears = any(said) or bool(inputs.progress or inputs.reports)
        is_in_doubt = self._continuity.may_be_broken(now, hears=hears)
        if self._continuity.misses_time:
            # Peers have heard claims with higher numbers, perhaps, and would ignore these.
            self._claims_told = max(self._claims_told, now.wall_us)
            self._refuse_what_waits(outbox)
        if is_in_doubt:
            self.replica.doubt(
                renews=not self.replica.renews and self._continuity.may_renew(now.steady_us)
            )

    def _refuse_what_waits(self, outbox: Outbox) -> None:
        """Writes that were to be made before: their clients may have been told something else
        since, and have asked somewhere else."""
        refused = self.replica.take_waiting(_writes)
        refused += [request for request in self._carried if _writes(request)]
        self._carried = [request for request in self._carried if not _writes(request)]
        for request in refused:
            outbox.reply(_failed(request, "unavailable", _TIME_IS_MISSING, maybe=True), {})

    def _turn(self, inputs: Inputs, now: Now, outbox: Outbox) -> None:
        if not self.health.writable:
            inputs = self._resumed(inputs, now, outbox)
        if not self.health.writable:
            inputs = self._readable(inputs, outbox)
        if self._store is None:
            return
        if self._fold is not None and not self._folded(self._fold, inputs, now, outbox):
            return
        inputs.requests, self._carried = [*self._carried, *inputs.requests], []
        effects: Effects | None = None
        decided = self.catch_up.decided
        try:
            effects = self.replica.turn(inputs, now)
            if effects.stage is not None:
                self._put_aside(effects.stage)
            if effects.commit is not None:
                self._commit(self._store, effects.commit, self.replica.own, now)  # save ...
            self._sync_if_due(now)
            if self.health.writable:
                is_heartbeat = effects.claim is not None
                if is_heartbeat:
                    self._snapshots.close_idle(now.steady_us)
                    self.kept.let_go_of_the_idle(now.steady_us)
                self.upkeep.step(self._store, self.replica, now, is_heartbeat=is_heartbeat)
                effects = self._with_floor(effects)
                if is_heartbeat or effects.commit is not None:
                    self._store.expect_in_place()
        except StorageError as error:
            self.catch_up.decided = decided  # what came in this turn may be gone
            self._fail(inputs, effects, error, now, outbox, readable=effects is not None)
            return
        self.vector = effects.token
        self._send(effects, now, outbox)  # ... then send
        if effects.stage is not None and effects.stage.snapshot is not None:
            self._begin_fold(effects.stage.snapshot, outbox)
        elif self.replica.standing.parting is not None and self.health.writable:
            self._mend(now, outbox)
        elif effects.claim is not None and self.replica.has_unended():
            self._renew(now, outbox)

    def claim(self, now: Now) -> Claim | None:
        """What is committed, between two heartbeats; None while the disk does not answer."""
        return None if self._store is None else self._told(self.replica.claim(now))

    def since(self, vector: Vector, bytes_max: int) -> list[bytes]:
        """Committed batches beyond a vector, for a peer: as many as fit, or one that does not.
        Raises StorageError, or Refused where the log does not reach down to it."""
        if self._store is None:
            raise StorageError(self.trouble())
        if not self.replica.is_asked(vector):
            return []
        if not self.replica.state.reaches_log(vector):
            raise Refused("the log starts later; fetch a snapshot")
        lacking, ends = self.replica.lacking(vector), self.replica.cut.succession.ends
        return self._store.since(lacking, bytes_max, ends)

    def snapshot(self, number: int | None, after: bytes, bytes_max: int, steady_us: int) -> Part:
        """A part of a view of what is committed, for a peer: of about so many bytes, or one record
        that has more. Raises StorageError or Refused."""
        if self._store is None:
            raise StorageError(self.trouble())
        if number is None and self.replica.standing.is_quiet:
            raise Refused(_QUIET)
        bytes_max = min(bytes_max, self.replica.limits.snapshot_part_bytes)
        return self._snapshots.part(self._store.view, number, after, bytes_max, steady_us)

    def reads_on(self, number: int, steady_us: int) -> None:
        """A peer still reads a part of that snapshot, which is at hand."""
        self._snapshots.reads_on(number, steady_us)

    @property
    def is_folding(self) -> bool:
        """Whether a snapshot is being put in place, and requests must go elsewhere."""
        return self._fold is not None

    @property
    def snapshots_open(self) -> int:
        """How many snapshots peers are reading."""
        return len(self._snapshots)

    @property
    def requests_done(self) -> int:
        """How many requests with ids were done ever. Raises StorageError while the node takes no
        writes."""
        if self._store is None or not self.health.writable:
            raise StorageError(self.trouble())
        return self._store.remembered_span.end

    @property
    def log_bytes(self) -> int:
        """The size of the log."""
        return 0 if self._store is None else self._store.log_bytes

    def wake_us(self) -> int:
        """When the next turn must come, input or not, by the steady clock."""
        if self._store is None:
            return self._reopen_due_us
        if not self.health.writable:
            return min(self._reopen_due_us, self.replica.wake_us())
        if self._fold is not None or self._carried or self.upkeep.is_busy:
            return 0
        if self._durability is Durability.INTERVAL and self._sync_due_us is not None:
            return min(self._sync_due_us, self.replica.wake_us())
        return self.replica.wake_us()

    def trouble(self) -> str:
        """What to tell whoever is refused while the disk fails."""
        state = "takes no writes, but reads go on" if self.health.serving else "does not answer"
        return f"the node's disk {state}; nothing was done: {self.health.last_error}"

    def close(self, outbox: Outbox) -> StorageError | None:
        """Answer what waits, sync and close; nothing may be called afterwards.

        Returns the error if not all that was acknowledged could be synced.
        """
        failure = None
        for request in self._waiting():
            message = "the node is shutting down; nothing was done"
            outbox.reply(_failed(request, "unavailable", message, maybe=False), {})
        self._abandon_concerns("the node is shutting down", outbox)
        if not self.health.writable:
            if self._durability is not Durability.ALWAYS:
                failure = StorageError(f"the last writes were not synced: {self.health.last_error}")
        elif self._store is not None:
            try:
                self._store.sync()
            except StorageError as error:
                self.health.last_error = str(error)
                failure = error
        self._close_store()
        return failure

    def _send(self, effects: Effects, now: Now, outbox: Outbox) -> None:
        for batch in effects.publish:
            outbox.publish(batch)
        if effects.claim is not None:
            outbox.claim(self._told(effects.claim))
        for reply in effects.replies:
            if reply.concern is None:
                outbox.reply(reply, effects.token)
            else:
                self.replica.concerns.hold(reply)
        if self.health.writable:
            self._settle(effects.token, now, outbox)
        if effects.pull is not None and self.health.writable:
            outbox.pull(effects.pull)

    def _settle(self, token: Vector, now: Now, outbox: Outbox) -> None:
        """What hangs on disks: this one's, which is synced as far as it is due, and others'."""
        settled = self.replica.settle(now)
        if settled.awaited is not None:
            outbox.awaited(settled.awaited)
        for reply in settled.replies:
            outbox.reply(reply, token)
        for report in settled.reports:
            outbox.report(report)

    def _abandon_concerns(self, reason: str, outbox: Outbox) -> None:
        """Their writes are committed; but this replica will not hear any more who has them."""
        for reply in self.replica.abandon_concerns(reason):
            outbox.reply(reply, self.vector)

    def _told(self, claim: Claim) -> Claim:
        """As others are told: numbered, and without what may not be synced. A store that is open
        for reading could not be synced: see `_load`."""
        self._claims_told += 1
        is_sound = self.health.writable or self._durability is Durability.ALWAYS
        synced = claim.synced if is_sound else {}
        return replace(claim, synced=synced, number=self._claims_told)

    def _commit(self, store: Store, commit: Commit, own: Sequence[Batch], now: Now) -> None:
        """An incarnation's first batch is synced whatever the durability: had the disk lost it,
        no later one could end that incarnation, and sessions would wait for it in vain. So is what
        is done once: had the disk lost it, and peers not, it would be done again."""
        always = self._durability is Durability.ALWAYS
        must = bool(commit.done) or any(batch.first == 1 for batch in own)
        store.commit(commit, sync=always or must)
        if must:
            self.replica.synced()
            self._sync_due_us = None
        elif self._sync_due_us is None:
            self._sync_due_us = now.steady_us + self._sync_interval_us

    def _sync_if_due(self, now: Now) -> None:
        if (
            self._durability is Durability.INTERVAL
            and self._sync_due_us is not None
            and now.steady_us >= self._sync_due_us
        ):
            assert self._store is not None
            self._store.sync()
            self.replica.synced()
            self._sync_due_us = None

    def _with_floor(self, effects: Effects) -> Effects:
        """The claim as it is after the truncation: else peers would pull what just went."""
        if effects.claim is None or self.replica.is_joining:
            return effects
        floor = dict(self.replica.state.floor)
        return replace(effects, claim=replace(effects.claim, floor=floor))

    # --- a state other than before

    def _put_aside(self, stage: Stage) -> None:
        assert self._store is not None
        if stage.is_first:
            self._store.clear_staged()
        self._store.stage(stage.table)

    def _begin_fold(self, snapshot: Snapshot, outbox: Outbox) -> None:
        assert self._store is not None
        self._carry("the node puts a snapshot in place", outbox)
        keys_max = self.replica.limits.folded_keys_per_turn
        self._fold = fold(self._store, snapshot, keys_max)

    def _folded(self, slices: Iterator[None], inputs: Inputs, now: Now, outbox: Outbox) -> bool:
        """Fold one slice more; whether the node goes on, from what became of it.

        Meanwhile it claims what it had before, which is still so, lest others take it for dead.
        """
        try:
            self._sync_if_due(now)
            if next(slices, _DONE) is _DONE:
                self._end_fold()
                return True
            claim = self.replica.claim_if_due(now)
            if claim is not None and self._store is not None:
                self._store.expect_in_place()
        except StorageError as error:
            self._fail(inputs, None, error, now, outbox)
            return False
        if claim is not None:
            outbox.claim(self._told(claim))
        refused = [*inputs.requests, *(it for it in self._carried if _is_late(it, now))]
        self._carried = [request for request in self._carried if not _is_late(request, now)]
        for request in refused:
            outbox.reply(_failed(request, "joining", _FOLDING, maybe=False), {})
        return False

    def _end_fold(self) -> None:
        was_member, registered = self.replica.record is not None, self.replica.registered
        self._reload()
        self.replica.goes_on(registered)
        self._fold = None
        self.snapshots_taken += 1
        if was_member and self.replica.record is None:
            self.replica.alarms.forgotten()

    def _renew(self, now: Now, outbox: Outbox) -> None:
        """Go on as a new incarnation, within bounds: two nodes of one name would do it for
        ever."""
        if self._renewals == RENEWALS_MAX or now.steady_us < self._renew_not_before_us:
            return
        self._renewals += 1
        self._renew_not_before_us = now.steady_us + RENEWAL_PAUSE_US
        self._carry("the node went on as a new incarnation", outbox)
        try:
            self._reload()
        except StorageError as error:
            self._fail(Inputs(), None, error, now, outbox)

    def _mend(self, now: Now, outbox: Outbox) -> None:
        """Make what this node wrote under dots that were given before those of a new incarnation;
        then start anew from the disk."""
        assert self._store is not None
        try:
            commit = self.replica.mended(self._store.load(), now)
            if commit is None:
                return
            self._carry(_MENDED, outbox)
            self._switch(self._store, commit)
        except StorageError as error:
            self._fail(Inputs(), None, error, now, outbox)
            return
        self.mended += 1

    def _switch(self, store: Store, commit: Commit) -> None:
        """A commit after which less is delivered than before, and a start from there."""
        try:
            store.commit(commit, sync=True)
            self._reload()
        except StorageError as error:
            raise SwitchFailedError(str(error)) from error

    def _carry(self, reason: str, outbox: Outbox) -> None:
        """Remember who waits to be served; who waits for replicas is told why no longer."""
        self._abandon_concerns(reason, outbox)
        self._carried = self._waiting()
        self.replica.set_aside()

    def _reload(self) -> None:
        """Start anew from the store that is open."""
        assert self._store is not None
        self._store.sync()
        self._begin(self._store, self._make_replica(self._store.load(), self._store), writable=True)

    # --- when the disk fails

    def _fail(
        self,
        inputs: Inputs,
        effects: Effects | None,
        error: StorageError,
        now: Now,
        outbox: Outbox,
        *,
        readable: bool = True,
    ) -> None:
        """Publish nothing, fail the writes, discard memory, and reload from disk.

        Requests that only read are run on what is committed, if it is not reading that failed.
        Held batches are forgotten with the rest; repair brings them again.
        """
        replica, store = self.replica, self._store
        assert store is not None
        tried = set() if effects is None else {id(request) for request in replica.ran}
        unanswered = [*replica.ran, *replica.refused, *self._waiting(), *inputs.requests]
        if self.health.writable:  # else it is known from the failure before
            self._in_doubt = () if effects is None else effects.publish
            # A snapshot may have been switched to, or not: that must not be guessed.
            switching = isinstance(error, SwitchFailedError)
            self._before = None if switching else _before(store, effects)
            synced = replica.synced_vector
            self._kept = self.vector if synced is None else synced
            if switching:  # perhaps to less of this node's own, which was moved
                name = self.replica.identity.name
                self._kept = {o: seq for o, seq in self._kept.items() if name_of(o) != name}
        self._fold, self._carried = None, []
        self._abandon_concerns(f"the node's disk failed: {error}", outbox)
        self.health.failures += 1
        self.health.last_error = str(error)
        reads = []
        for request in {id(request): request for request in unanswered}.values():
            if id(request) in tried and _writes(request):
                message = f"the disk failed during the commit; the write may be there: {error}"
                outbox.reply(_failed(request, "commit_failed", message, maybe=True), {})
            elif not readable or _writes(request):
                message = f"the node's disk failed; nothing was done: {error}"
                outbox.reply(_failed(request, "unavailable", message, maybe=False), {})
            else:
                reads.append(request)
        replica.ready.clear()
        self._close_store()
        self._reopen(now, outbox)
        if reads:
            self._turn(Inputs(requests=reads), now, outbox)

    def _reopen(self, now: Now, outbox: Outbox) -> None:
        """Open the store for writing if it is time to, else for reading if it is not open."""
        if now.steady_us >= self._reopen_due_us:
            self._reopen_due_us = now.steady_us + REOPEN_US
            try:
                self._load(self._open_store())
            except StorageError as error:
                self.health.last_error = str(error)
            else:
                self._publish_what_was_in_doubt(outbox)
        if self._store is None and self._before is not None:
            with suppress(StorageError):
                self._load_frozen(FrozenStore(self._open_store(read_only=True), self._before))

    def _publish_what_was_in_doubt(self, outbox: Outbox) -> None:
        told = () if self.replica.standing.is_quiet else self._in_doubt
        for batch in told:
            if self.replica.cut.entries.get(batch.origin, 0) >= batch.last:
                outbox.publish(batch)
        self._in_doubt, self._before = (), None

    def _load(self, store: Store) -> None:
        """Start from what a store has, which is synced first: a process that was killed
        may have left commits that a power failure would take back."""
        try:
            store.sync()
            saved = store.load()
            expect_all(saved, self._kept)
            replica = self._make_replica(saved, store)
        except StorageError:
            store.close()
            raise
        self._close_store()  # it may be open for reading
        self._begin(store, replica, writable=True)

    def _load_frozen(self, store: FrozenStore) -> None:
        """Serve reads from what was committed before the failure."""
        try:
            replica = self._make_replica(store.load(), store)
        except StorageError:
            store.close()
            raise
        replica.only_read()
        self._begin(store, replica, writable=False)

    def _begin(self, store: Store, replica: Replica, *, writable: bool) -> None:
        was_quiet = bool(self._written) and self.replica.standing.is_quiet
        self._store, self.replica = store, replica
        replica.alarms.raised, replica.expiry = self._raised, self._expiry
        replica.catch_up, replica.standing.written = self.catch_up, self._written
        if was_quiet:
            replica.standing.doubt()
        self.vector = dict(replica.cut.heads)
        self.health.serving, self.health.writable = True, writable

    def _close_store(self) -> None:
        self._snapshots.close()
        self.kept.clear()
        self.upkeep.close()
        if self._store is not None:
            self._store.close()
        self._store = None
        self._sync_due_us = None
        self.health.serving = self.health.writable = False

    def _resumed(self, inputs: Inputs, now: Now, outbox: Outbox) -> Inputs:
        """Try to write again, if it is time to. What waited goes on waiting."""
        if now.steady_us < self._reopen_due_us:
            return inputs
        waiting = self._waiting()
        self._reopen(now, outbox)
        if not self.health.writable:
            return inputs
        return replace(inputs, requests=[*waiting, *inputs.requests])

    def _readable(self, inputs: Inputs, outbox: Outbox) -> Inputs:
        """What a node takes in that can't write: no batches, which repair will bring again,
        and of the requests those that only read. The others are refused."""
        reads = []
        for request in inputs.requests:
            if self._store is None or _writes(request):
                outbox.reply(_failed(request, "unavailable", self.trouble(), maybe=False), {})
            else:
                reads.append(request)
        return Inputs(claims=inputs.claims, heard=inputs.heard, requests=reads)

    def _waiting(self) -> list[Request]:
        """Requests that have no answer yet and were not run."""
        if self._store is None:
            return []
        if self._fold is not None:
            return list(self._carried)
        parked = (waiter.item for waiter in self.replica.holdback.requests.values())
        watches = self.replica.watches.waiting()
        waiting = [*self._carried, *self.replica.ready, *parked, *watches]
        return list({id(item): item for item in waiting if isinstance(item, Request)}.values())


def _before(store: Store, effects: Effects | None) -> Before | None:
    try:
        return before(store, None if effects is None else effects.commit)
    except StorageError:
        return None


def _is_late(request: Request, now: Now) -> bool:
    return request.deadline_us is not None and request.deadline_us <= now.steady_us


def _writes(request: Request) -> bool:
    return any(isinstance(operation, WriteOperation) for operation in request.operations)


def _failed(request: Request, code: str, message: str, *, maybe: bool) -> Reply:
    return Reply(request.reply_to, request.id, (Failed(code, message, maybe),), ran=False)
