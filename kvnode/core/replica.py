"""The replica: the state machine of one node. All that affects what a node shows, sends
or saves is decided here and in the modules that this one uses.

One turn, in this order and no other:

    deliver remote batches -> freeze deps -> serve clients -> (commit -> publish -> reply)

All remote deliveries of a turn come before its first local write: a delivery in between
would be seen by a write whose deps omit it. The driver carries out the part in brackets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from kvnode.core.alarms import Alarms
from kvnode.core.answer import Answer
from kvnode.core.author import Author, Encode
from kvnode.core.batch import Batch, Write, write_bytes_max
from kvnode.core.branches import Branches
from kvnode.core.catch_up import CatchUp
from kvnode.core.chain import checks_of, told_check_of
from kvnode.core.clock import STAMP_US_MAX, ClocksAhead, Now
from kvnode.core.concerns import Concerns, awaits_replicas, with_concern
from kvnode.core.doubts import Doubts
from kvnode.core.expiry import ExpiryClock
from kvnode.core.holdback import Holdback, first_missed
from kvnode.core.limits import WRITE_BYTES_MAX, Limits
from kvnode.core.lost import is_lost, lost_of
from kvnode.core.members import Members, all_records, member_key
from kvnode.core.mending import MENDED_BYTES_MAX, are_all, mended
from kvnode.core.messages import (
    Chunk,
    Claim,
    Commit,
    Effects,
    Fetch,
    Inputs,
    OriginState,
    Pull,
    Report,
    Saved,
    Settled,
    Stage,
)
from kvnode.core.once import Done, Remembering, run_once
from kvnode.core.operations import run
from kvnode.core.overlay import TableView
from kvnode.core.registration import Registration
from kvnode.core.renaming import RENAMED_PREFIX, as_position, as_token, renamed
from kvnode.core.repair import STRANGER_HEARTBEATS, Repair
from kvnode.core.reports import Reports
from kvnode.core.requests import Once, Request, Scan, Watch
from kvnode.core.results import Compacted, Delayed, Failed, Lost, Reply, Result, Written
from kvnode.core.scans import Scans
from kvnode.core.standing import INQUIRY_FAILURES_MAX, Inquiry, Standing
from kvnode.core.state import State
from kvnode.core.succession import NO_ENDS
from kvnode.core.truncation import Logged, Truncation
from kvnode.core.vector import Dot, Missing, Vector, name_of
from kvnode.core.versions import Versions
from kvnode.core.watches import Log, Watches


class Table(Log, Remembering, Protocol):
    """Where the replica reads what is committed; the storage is one."""

    def versions(self, key: bytes) -> Versions:
        """The versions of a key, the winner first; empty if it is not there."""

    def origin_state(self, origin: str) -> OriginState:
        """What is kept of an origin that was delivered from."""

    def page(self, prefix: bytes, after: bytes, records_max: int) -> dict[bytes, Versions]:
        """The first keys after `after`, of those with the prefix, in their order; not
        necessarily so many, but one if there is any."""

    def table_view(self) -> TableView:
        """The committed table as it is now."""


class Identity(NamedTuple):
    """Who this process is."""

    name: str
    #: Tells this process from others that bear the name.
    instance: int
    #: How others reach it, as its member record will say; None is for no member.
    record: bytes | None = None


_JOINING: Final = Failed(
    "joining",
    "this node's disk was empty when it started, and it has not yet what its peers have; nothing "
    "was done: try later, or another",
)

_TOO_MANY_CONCERNS: Final = Failed(
    "overloaded",
    "too many writes wait for replicas at this node; nothing was done: try later, or another",
)


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
        new_origin: Callable[[], str],
        limits: Limits,
        heartbeat_us: int,
        commits_are_synced: bool,
    ) -> None:
        self.identity = identity
        self.state = State(saved, table, self._record_changed)
        #: What it has delivered.
        self.cut = self.state.cut
        self.members = Members(all_records(table.page))
        #: Where those of its own records stand that were there at the start.
        self._told_records = {
            member_key(record.origin) for record in self.members.records(identity.name)
        }
        self.truncation = Truncation(limits, self.cut.succession)
        self.alarms = Alarms(identity.name)
        self.branches = Branches(identity.name, self.state, self.alarms, self._logged)
        self.holdback = Holdback(limits)
        self.watches = Watches(limits)
        self.repair = Repair(random, heartbeat_us=heartbeat_us)
        self.doubts = Doubts(heartbeat_us=heartbeat_us)
        self.concerns = Concerns("", limits)
        self.reports = Reports(limits)
        self.clocks = ClocksAhead()
        #: By which versions expire.
        self.expiry = ExpiryClock()
        #: What its process has to catch up with.
        self.catch_up = CatchUp(heartbeat_us=heartbeat_us)
        self.scans = Scans(table, random, limits)
        #: Whether the table tells of writes that were moved.
        self._has_renamed = bool(table.page(RENAMED_PREFIX, b"", 1))
        #: How others have this node's own writes.
        self.standing = Standing(identity.name, saved.own, self.cut)
        for origin, state in self.state.origins.items():
            if name_of(origin) == identity.name:
                self.standing.made(origin, state)
        self._only_reads = False
        #: What it tells others while it is quiet.
        self._said: Claim | None = None
        #: Requests whose past is here, and that wait for their turn.
        self.ready: deque[Request] = deque()
        #: Those that this turn ran, and those that it refused: none of their answers is
        #: sent if its commit fails.
        self.ran: list[Request] = []
        self.refused: list[Request] = []
        self._unparked: list[Request] = []
        self.limits = limits
        self._encode = encode
        #: The incarnation that its local writes are of; none before the first one.
        self.origin = ""
        self._author = self._new_author()
        #: What it was before this process put a snapshot in place, if it goes on as registered.
        self._opened = ""
        self._new_origin = new_origin
        #: Whether the next local write opens another incarnation, which is named only then: a
        #: name that stood in memory before could come back with it.
        self.renews = True
        self._table = table
        self._heartbeat_us = heartbeat_us
        self._heartbeat_due_us = 0
        self._registration = Registration(
            is_member=identity.record is not None, heartbeat_us=heartbeat_us
        )
        self._synced: Vector | None = None if commits_are_synced else dict(self.cut.heads)
        self._done = self._new_done()
        self._writes_left = 0
        #: What the request that runs may put again.
        self._touch_bytes_left = 0
        #: When the latest turn was, by the steady clock.
        self._turned_us = 0
        #: The batches that this turn made.
        self.own: list[Batch] = []
        self._stage: Stage | None = None

    # --- the turn

    def turn(self, inputs: Inputs, now: Now) -> Effects:
        """Take in what was received; say what to commit, then publish, then answer."""
        self.state.begin()
        self._done = self._new_done()
        self.expiry.advance(now.wall_us)
        self.watches.begin(self.cut)
        self.ran, self.refused, self.own, self._stage = [], [], [], None
        self._turned_us = now.steady_us
        self.scans.begin_turn(now.steady_us)
        if not self._registration.is_open:
            self.alarms.joined()  # whoever was forgotten has been told, after the turn before
        self._receive(inputs, now)
        if self.standing.is_quiet and self._said is None:
            self._said = self.claim(now)
        self._register_if_due(now, hears=bool(inputs.claims))
        replies = [*self._admit(inputs, now), *self._serve(now)]
        self._close_batch()
        for mark in inputs.cancelled:
            self.watches.cancel(mark)
        replies += self._tell_watchers(now)
        return Effects(
            commit=self._commit(),
            publish=() if self.standing.is_quiet else tuple(self.own),
            claim=self.claim_if_due(now),
            replies=tuple(replies),
            token=dict(self.cut.heads),
            pull=self._next_pull(now),
            stage=self._stage,
        )

    def _new_done(self) -> Done:
        return Done(self._table, self.limits.remembered_requests_max, self.state.versions)

    def _commit(self) -> Commit | None:
        told = self._done, self.limits.remembered_requests_max
        commit, standing = self.state.commit(*told), self.standing
        doubtful = standing.past.doubtful
        is_new_doubt = bool(doubtful) and doubtful != standing.saved.doubtful
        if commit is None and is_new_doubt and not self._only_reads:
            commit = self.state.as_it_is(*told)
        must_save = self.own or is_new_doubt or standing.must_save
        if commit is None or standing.past is standing.saved or not must_save:
            return commit
        standing.saved, standing.must_save = standing.past, False
        return replace(commit, own=standing.past)

    def doubt(self, *, renews: bool) -> None:
        """This node may have gone back in time since its last turn; perhaps its incarnation makes
        no more writes."""
        self.standing.doubt()
        if renews:
            self.renew()

    def renew(self) -> None:
        """This incarnation makes no more writes: the next one opens another. To be called before a
        turn, or in it before its first local write."""
        self.renews = True

    def mended(self, saved: Saved, now: Now) -> Commit | None:
        """What moves the writes that this node made beyond where a peer's past parts from its own;
        the replica is to be made anew after that. None, and an alarm, if it takes a person."""
        parting = self.standing.mends_after()
        if parting is None:
            self._end_quiet(was_quiet=True)
            return None
        firsts = self.standing.unconfirmed_from(parting.origin)
        batches = self._table.batches(firsts, MENDED_BYTES_MAX, self.cut.succession.ends)
        is_whole = batches and are_all(batches, firsts, self.cut.entries)
        if not is_whole or self._is_built_on(parting, firsts):
            if self.standing.drops_the_mend():
                self.alarms.parted(parting)
            self._end_quiet(was_quiet=True)
            return None
        self.alarms.settled(self.identity.name)
        # What was confirmed since its last write is known here only.
        saved = saved._replace(own=self.standing.past)
        origin = self._new_origin()
        return mended(saved, self._table, parting, batches, origin, self._encode, now.wall_us)

    def _is_built_on(self, parting: Dot, moved: Vector) -> bool:
        """Whether an incarnation that came from others ends what is to be moved from there on: no
        store may have that without its end."""
        ended_by = self.cut.succession.ended_by
        return any(
            ender not in moved and (origin != parting.origin or seq > parting.seq)
            for origin in moved
            for ender, seq in ended_by(origin).items()
        )

    def take_waiting(self, wanted: Callable[[Request], bool]) -> list[Request]:
        """Those of the requests that wait to be run, which then are not."""
        taken = [request for request in self.ready if wanted(request)]
        self.ready = deque(request for request in self.ready if not wanted(request))
        return [*taken, *self.holdback.take_requests(wanted)]

    def set_aside(self) -> None:
        """Its requests are carried elsewhere; it makes no more turns, but may still claim."""
        self.ran, self.refused, self.own = [], [], []
        self.take_waiting(lambda request: True)
        self.watches = Watches(self.limits)
        self.scans.cuts.close()

    def only_read(self) -> None:
        """The disk takes no writes: make none."""
        self._only_reads = True
        self._registration.close()

    def synced(self) -> None:
        """All that was committed is on disk now, should the power fail."""
        if self._synced is not None:
            self._synced = dict(self.cut.heads)

    @property
    def synced_vector(self) -> Vector | None:
        """What is known to be on disk, should the power fail; None for all that is committed."""
        return self._synced

    def settle(self, now: Now) -> Settled:
        """To be called when the turn is committed, and what is due is synced: both others and who
        waits for them are told of what is on disk."""
        replies: list[Reply] = []
        if not self.concerns.is_idle:
            replies = self.concerns.settle(self._synced_by_members(), now.steady_us)
        name, instance, _ = self.identity
        due = self.reports.due(self._synced_of)
        chain_at = self.branches.chain_at
        reports = tuple(Report(name, instance, *dot, told_check_of(chain_at(dot))) for dot in due)
        awaited = None if self.standing.is_quiet else self.concerns.unasked()
        return Settled(tuple(replies), awaited, reports)

    def abandon_concerns(self, reason: str) -> list[Reply]:
        """The replies that are held back: this replica will not hear any more of their writes."""
        return self.concerns.abandon(self._synced_by_members(), reason)

    def _synced_by_members(self) -> dict[str, int]:
        """How far each member has synced this incarnation's writes, this node's included."""
        synced = {}
        if not self.standing.is_quiet:  # else others may have other writes under these dots
            members = self.members.names()
            synced = self.concerns.synced(self.repair.claims, members, self.cut.succession)
        synced[self.identity.name] = self._synced_of(self.origin)
        return synced

    def _synced_of(self, origin: str) -> int:
        if self._synced is None:
            return self.cut.entries.get(origin, 0)
        return self.cut.succession.value(self._synced, origin)

    def is_asked(self, vector: Vector) -> bool:
        """A peer asks for what lies beyond this; whether it may be told."""
        was_quiet = self.standing.is_quiet
        self.standing.is_asked(vector)
        self._end_quiet(was_quiet=was_quiet)
        return not self.standing.is_quiet

    def lacking(self, vector: Vector) -> dict[str, int]:
        """Where this replica goes beyond a vector: origin -> first seq that it lacks."""
        return self.cut.lacking(vector)

    def lacks(self, vector: Vector, dot: Dot) -> bool:
        """Whether this replica has a write that the vector lacks."""
        return self.lacking(vector).get(dot.origin, dot.seq + 1) <= dot.seq

    def droppable(
        self, head: Sequence[Logged], log_bytes: int, log_end: int, now: Now
    ) -> Sequence[Logged]:
        """Which of the oldest batches of the log may go; of a node that joins none, since it does
        not know the members, and none while it is not sure that these have the same writes."""
        is_kept = bool(self.standing.past.doubtful) and log_bytes <= self.limits.log_bytes_max
        if self.is_joining or self.standing.is_comparing or is_kept:
            return ()
        claims = self.repair.claims
        members = {name: claims[name].delivered if name in claims else {} for name in self.others()}
        return self.truncation.droppable(head, log_bytes, log_end, members, now)

    def others(self) -> set[str]:
        """The names that count beside one's own: members, and who is about to be one. A node that
        died before its record came anywhere could not even be forgotten."""
        joining = {n for n in self.repair.claims if self.repair.is_alive(n, self._turned_us)}
        return (self.members.names() | joining) - {self.identity.name}

    @property
    def is_joining(self) -> bool:
        """Whether its disk was empty, and others may have what it has not: no answer of it would be
        of use. It answers nobody, judges nothing, and claims nothing."""
        return not self.state.joined and not self.catch_up.may_join

    @property
    def minds_the_unheard(self) -> bool:
        """Whether it has to know of peers that were not heard."""
        return not self.catch_up.is_done or not self.others()

    @property
    def record(self) -> Dot | None:
        """The dot of this node's own member record."""
        mine = self.members.records(self.identity.name)
        return Dot(mine[0].origin, mine[0].seq) if mine else None

    @property
    def registered(self) -> Dot | None:
        """This node's own member record, if it is the one that this process wrote."""
        record = self.record
        is_own = record is not None and record.origin == self._latest_origin
        return record if is_own and self._registration.is_done else None

    def goes_on(self, registered: Dot | None) -> None:
        """It follows a replica of the same process, which had registered so. While that record
        stands, and nothing came to light that is to be ended, it need not register again: each
        incarnation is kept for ever, and all others have to fetch it. Where logs are short they
        might do so by a snapshot, and then register in turn."""
        if registered is None or self.record != registered or self._unended(registered.origin):
            return
        self._opened = registered.origin
        self._registration.done()

    def has_unended(self) -> bool:
        """Whether other incarnations of this name came to light after this one was opened:
        from a disk that was copied, or wiped. Only a new one can end them."""
        origin = self._latest_origin
        is_open = origin in self.cut.entries
        return is_open and bool(self._unended(origin)) and self._is_caught_up()

    def _unended(self, latest: str) -> list[str]:
        """Incarnations of this name beside its latest one."""
        name = self.identity.name
        return [head for head in self.cut.heads if name_of(head) == name and head != latest]

    @property
    def _latest_origin(self) -> str:
        """The incarnation that this process opened last; empty if it has opened none."""
        return self.origin or self._opened

    def _is_caught_up(self) -> bool:
        """With all who live: what only a dead one had may never come."""
        claims = self.repair.claims.items()
        return all(
            self.cut.covers(claim.delivered)
            for name, claim in claims
            if self.repair.is_alive(name, self._turned_us)
        )

    def wake_us(self) -> int:
        """When the next turn must come, input or not, by the steady clock."""
        if self.holdback.has_ready or self.ready:
            return 0
        times = [self._heartbeat_due_us]
        for time_us in (
            self.holdback.earliest_deadline_us,
            self.repair.wake_us(),
            self.watches.wake_us(),
            self._registration.wake_us,
            self.concerns.wake_us(),
        ):
            if time_us is not None:
                times.append(time_us)
        return min(times)

    # --- receive and deliver

    def _receive(self, inputs: Inputs, now: Now) -> None:
        """Deliver what is ready as it comes, so that the queue holds only what must wait."""
        self._writes_left = self.limits.delivered_writes_per_turn
        self._deliver_ready()
        for batch in inputs.batches:
            # What an ended incarnation left counts only where a log has it; see `lost`.
            if not self.cut.succession.is_ended(batch.origin):
                self._compare(batch)
                self._take_in(batch)
        for name, batches, is_late in inputs.pulled:
            lacked = [b for b in batches if b.last > self.cut.entries.get(b.origin, 0)]
            compared = self._compare_with(name, batches)
            self._look_for_another_end(name, lacked)
            for batch in lacked:
                self._take_in(batch)
            advanced = any(b.last <= self.cut.entries.get(b.origin, 0) for b in lacked)
            advanced = advanced or compared
            advanced = advanced or self.holdback.has_ready_batches
            self.repair.answered(name, now.steady_us, advanced=advanced, is_late=is_late)
        for name, is_news, is_late in inputs.progress:
            self.repair.progressed(name, now.steady_us, is_news=is_news, is_late=is_late)
        for chunk in inputs.chunks:
            self._receive_chunk(chunk, now)
        for name in inputs.refusals:
            self.repair.refused(name, now.steady_us)
        for name in inputs.unasked:
            self.repair.unasked(name, now.steady_us)
        for record in inputs.forgotten:
            self._was_forgotten(record)
        for name in inputs.heard:
            self.repair.heard(name, now.steady_us)
        for claim in inputs.claims:
            self._look_for_own(claim.delivered)
            self._look_for_another_past(claim)
            self.repair.claimed(claim, now.steady_us)
            self.concerns.retract(claim.name)
            self.clocks.heard(claim.name, claim.wall_us, now.wall_us)
            self.alarms.compare(claim, self.cut.heads, self.state.digest, self.state.known_chain_of)
        self._hear_of_replicas(inputs)
        self.catch_up.look(
            inputs.claims,
            self.cut,
            now.steady_us,
            joined=self.state.joined,
            unheard=inputs.unheard,
            refused=inputs.refused,
            known=inputs.known,
        )
        if inputs.claims:
            self._forget_strangers()
            self._give_up_the_lost()
        elif now.steady_us >= self._heartbeat_due_us and not self.others():
            self._give_up_the_lost()  # who is alone hears no claims

    def _hear_of_replicas(self, inputs: Inputs) -> None:
        """Who has this node's writes, and whose writes this node is to report."""
        if inputs.reports:
            claims, last = self.repair.claims, self.cut.entries.get(self.origin, 0)
            for report in inputs.reports:
                stands = self.branches.chain_at(Dot(report.origin, report.seq))
                if not stands or report.check != told_check_of(stands):
                    continue  # it has other writes under these dots
                self.concerns.reported(report, claims.get(report.name), last)
        for dot in inputs.awaited:
            self.reports.asked(dot)

    def _was_forgotten(self, record: Dot) -> None:
        """A peer says that this record of ours was deleted: make another one."""
        if self.record in (None, record):
            self._told_records.discard(member_key(record.origin))
            self._registration.again()
            self.alarms.forgotten()

    def _receive_chunk(self, chunk: Chunk, now: Now) -> None:
        parting = self.standing.parting_from(chunk.origins, self.branches.chain_at)
        if parting is not None:
            # To be put in place it would take what is here under these dots for its own.
            self.standing.finds(parting)
            self.repair.refused(chunk.name, now.steady_us)
            return
        staging = self.repair.staging
        is_first = staging is not None and staging.number is None
        counts, snapshot = self.repair.fetched(chunk, self.cut, now.steady_us)
        if counts:
            self._stage = Stage(is_first, chunk.table, snapshot)
            if snapshot is not None:
                self.alarms.sound_snapshot(chunk.name)
        elif snapshot is not None:
            self.alarms.damaged_snapshot(chunk.name)

    def _forget_strangers(self) -> None:
        """Who was never a member, or went by its address beside another of its name."""
        long_us = STRANGER_HEARTBEATS * self._heartbeat_us
        for name in sorted(self.repair.claims.keys() - self.members.names()):
            silent_us = self.repair.silent_us(name, self._turned_us)
            if silent_us is not None and silent_us >= long_us:
                self._forget_claims_of(name)

    def _forget_claims_of(self, name: str) -> None:
        self.repair.forget(name)
        self.concerns.retract(name)
        self.alarms.settled(name)
        self.clocks.ahead_us.pop(name, None)

    def _give_up_the_lost(self) -> None:
        self.doubts.came(self.cut)
        claims = self._claims_of_others()
        for dot in self.holdback.waited_for():
            if self._is_lost(dot, claims):
                self.holdback.drop_batches_waiting_for(dot)
                self._unparked += self.holdback.take_requests_waiting_for(dot)

    def _is_lost(self, dot: Dot, claims: Sequence[Claim | None]) -> bool:
        """Whether nobody has it; else it is in doubt from now on."""
        if self.is_joining or (self.catch_up.has_unheard and not self.others()):
            return False  # who was not heard may be a member, and have it
        if is_lost(dot, self.cut, claims):
            return True
        if any(self._claims(claim, dot) for claim in claims):
            return False  # it is there, and comes in time, or is waited for: no doubt
        self.doubts.missed(dot, self._turned_us)
        # What is held here itself only waits for something else.
        return self.doubts.is_nowhere(dot, self.cut, claims) and not self.holdback.has(dot)

    def _claims(self, claim: Claim | None, dot: Dot) -> bool:
        value = self.cut.succession.value
        return claim is not None and value(claim.delivered, dot.origin) >= dot.seq

    def _claims_of_others(self) -> list[Claim | None]:
        claims = self.repair.claims
        return [claims.get(name) for name in self.others()]

    def _look_for_own(self, delivered: Vector) -> None:
        """Who has more of this incarnation than this node has it from another future of it: the
        machine went back in time, or was copied. What is missing comes like anybody's."""
        origin = self.origin
        if delivered.get(origin, 0) > self.cut.entries.get(origin, 0):
            self.renew()

    def _look_for_another_past(self, claim: Claim) -> None:
        """A peer may have another history of this name's."""
        was_quiet = self.standing.is_quiet
        beyond_help = self.standing.heard(claim, self.branches.chain_at)
        if beyond_help is not None:
            self.alarms.doubled(beyond_help)
        self._give_up_what_no_log_has(claim)
        self._end_quiet(was_quiet=was_quiet)

    def _look_for_another_end(self, name: str, batches: Sequence[Batch]) -> None:
        """What a peer has of this node's incarnations may go on from another history than the one
        that its claims told of, or than what was here when that was compared."""
        claim = self.repair.claims.get(name)
        if claim is None or self.standing.is_comparing:
            return
        for batch in batches:
            parting = self.branches.own_parting(batch)
            if parting is not None and self.standing.meets(claim, parting):
                self._give_up_what_no_log_has(claim)
                return

    def _give_up_what_no_log_has(self, claim: Claim) -> None:
        """An inquiry may have begun by this claim."""
        inquiry = self.standing.inquiry
        if inquiry is not None and inquiry.claim is claim and not self._can_compare(inquiry):
            self.standing.gives_up()

    def _can_compare(self, inquiry: Inquiry) -> bool:
        """Whether the peer's log reaches down to where the comparison begins."""
        question = inquiry.question().vector
        return self.cut.succession.reading(question).covers_all(inquiry.claim.floor)

    def _compare_with(self, name: str, batches: Sequence[Batch]) -> bool:
        """A peer answered, perhaps with what is to be compared; whether that brought something."""
        inquiry = self.standing.inquiry
        if inquiry is None or inquiry.claim.name != name:
            return False
        was_quiet = self.standing.is_quiet
        brought = self.standing.compare(batches, self._logged)
        self._end_quiet(was_quiet=was_quiet)
        return brought

    def _end_quiet(self, *, was_quiet: bool) -> None:
        """What nobody was told of is told at once."""
        if was_quiet and not self.standing.is_quiet:
            self._said, self._heartbeat_due_us = None, 0

    def _logged(self, dot: Dot) -> Batch | None:
        """The batch of the log that has a dot."""
        found = self._table.batches({dot.origin: dot.seq}, 1, NO_ENDS)
        return found[0] if found and found[0].first <= dot.seq <= found[0].last else None

    def _stands_before(self, one: Dot, other: Dot) -> bool:
        """Whether the one write comes before the other one in the log."""
        firsts = {one.origin: one.seq, other.origin: other.seq}
        return any(it.origin == one.origin for it in self._table.batches(firsts, 1, NO_ENDS))

    def _compare(self, batch: Batch) -> None:
        """What is gossiped though it is here must be what is here, as far as the log has it."""
        origin, first = batch.origin, batch.first
        if batch.last > self.cut.entries.get(origin, 0):
            return
        for known in self._table.batches({origin: first}, 1, NO_ENDS):
            if known.first <= batch.last and known.encoded != batch.encoded:
                self.alarms.doubled(Dot(origin, first))

    def _take_in(self, batch: Batch) -> None:
        self._look_for_own({batch.origin: batch.last})
        if not self.branches.fits(batch):
            return
        entries = self.cut.entries
        next_seq = entries.get(batch.origin, 0) + 1
        if self._writes_left > 0 and batch.first == next_seq and not first_missed(batch, entries):
            self._deliver(batch)  # as most can be: no place in the queue is taken
        else:
            self.holdback.hold(batch, entries)
        self._deliver_ready()

    def _deliver_ready(self) -> None:
        while self._writes_left > 0 and (batch := self.holdback.take_ready_batch()) is not None:
            if batch.last <= self.cut.entries.get(batch.origin, 0):
                continue  # it came with another one
            if self.branches.fits(batch):
                self._deliver(batch)
            else:
                self.holdback.refuse_batch(batch)

    def _deliver(self, batch: Batch) -> None:
        self._writes_left -= len(batch.writes)
        for dot in self.branches.relied_on(batch):
            self.standing.is_relied_on(dot)
        self.state.deliver(batch)
        if name_of(batch.origin) == self.identity.name:  # of before the machine went back
            self.standing.made(batch.origin, self.state.origins[batch.origin])
        self._author.delivered(batch.origin)
        if batch.first == 1:
            self.alarms.goes_on_anew(name_of(batch.origin))
        self._wake(batch)

    def _record_changed(self, key: bytes, versions: Versions, by: str) -> None:
        """A record of kvnode's own was written or deleted."""
        if key.startswith(RENAMED_PREFIX):
            self._has_renamed = True
            return
        self._member_changed(key, versions)
        if not versions and name_of(by) != self.identity.name:
            self._tell_if_forgotten(key)

    def _tell_if_forgotten(self, key: bytes) -> None:
        """Somebody deleted this record. What an old log tells of a time before this disk had any is
        no news."""
        if key in self._told_records or key == member_key(self.origin):
            self._told_records.discard(key)
            self.alarms.forgotten()

    def _member_changed(self, key: bytes, versions: Versions) -> None:
        before = self.members.names()
        self.members.changed(key, versions)
        for name in before - self.members.names():
            self._forget_claims_of(name)
            if name == self.identity.name:
                self._registration.again()

    def _wake(self, batch: Batch) -> None:
        """A batch is delivered: some of what waited for it may be ready."""
        if batch.first == 1:
            for ended in self.cut.succession.ends.get(batch.origin, ()):
                self.holdback.drop_batches_of(ended)
        self.holdback.wake(batch.origin, batch.first, batch.last, self.cut.entries)

    # --- serve

    def _admit(self, inputs: Inputs, now: Now) -> list[Reply]:
        """Queue what is ready, woken requests first; park the rest or answer it at once."""
        unparked, self._unparked = [self._translated(it) for it in self._unparked], []
        # The same ones as the driver knows, which answers them if the commit fails.
        inputs.requests = [self._translated(it) for it in inputs.requests]
        woken, requests = self.holdback.take_ready_requests(), inputs.requests
        replies = []
        if self.is_joining:
            unready = [*self.ready, *woken, *unparked, *inputs.requests]
            replies = [self._for_all(request, _JOINING) for request in unready]
            self.ready.clear()
            woken, unparked, requests = [], [], []
        self.ready.extend(woken)
        for request in [*unparked, *requests]:
            if self.cut.covers(request.token):
                self.ready.append(request)
            elif lost := self.lost_of(request.token):
                replies.append(self._for_all(request, lost))
            elif request.deadline_us is None or request.deadline_us <= now.steady_us:
                replies.append(self._delayed(request, "the session is ahead of this node"))
            elif not self.holdback.park(request, self.cut.entries):
                message = "too many requests wait at this node; try another, or later"
                replies.append(self._for_all(request, Failed("overloaded", message)))
        for mark in inputs.cancelled:
            self.holdback.cancel(mark)
        for request in self.holdback.take_expired_requests(now.steady_us):
            reason = "the deadline passed while the request waited"
            replies.append(self._delayed(request, reason))
        return replies

    def lost_of(self, token: Vector) -> Lost | None:
        """What a session has seen and nobody has any more, if there is such."""
        claims = self._claims_of_others()
        return lost_of(token, self.cut, lambda dot: self._is_lost(dot, claims))

    def _translated(self, request: Request) -> Request:
        """With the past that it asks for as it is called now: see `renaming`."""
        if not self._has_renamed:
            return request
        if isinstance(request.operations[0], Watch):
            token = as_position(request.token, self.cut, self.state.versions, self._stands_before)
        else:
            token = as_token(request.token, self.cut, self.state.versions)
            claims = None
            for origin, seq in request.token.items():
                dot = Dot(origin, seq)
                if seq > self.cut.entries.get(origin, 0) and renamed(dot, self.state.versions):
                    claims = self._claims_of_others() if claims is None else claims
                    if origin in token and self._is_lost(dot, claims):
                        token = {o: n for o, n in token.items() if o != origin}
        return request if token == request.token else replace(request, token=token)

    def _serve(self, now: Now) -> list[Reply]:
        """Run what is ready, until the answers are as many as memory should hold, or scans have
        taken long enough."""
        replies = []
        bytes_left = self.limits.answered_bytes_per_turn
        while self.ready and bytes_left > 0 and not self.scans.is_spent:
            request = self.ready.popleft()
            first = request.operations[0]
            if isinstance(first, Watch):
                replies += self._watch(request)
                continue
            if refusal := self._refusal(request):
                replies.append(self._for_all(request, refusal))
                continue
            self.ran.append(request)
            answer = Answer()
            self._touch_bytes_left = WRITE_BYTES_MAX
            if isinstance(first, Once):
                run_once(first, request.operations[1:], self._done, answer, self, now)
            else:
                for operation in request.operations:
                    answer.add(run(operation, self, now))
            bytes_left -= answer.size_bytes + WRITE_BYTES_MAX - self._touch_bytes_left
            reply = Reply(request.reply_to, request.id, tuple(answer.results), ran=True)
            reply = with_concern(
                reply, request, answer.size_bytes, now.steady_us, self._author.latest
            )
            if reply.concern is not None:
                self.concerns.promise(reply.concern)
            replies.append(reply)
        return replies

    def _refusal(self, request: Request) -> Failed | None:
        """Why not to run a request though its past is here."""
        first = request.operations[0]
        if awaits_replicas(request) and not self.concerns.has_room:
            return _TOO_MANY_CONCERNS
        return self._done.refusal(first, self.identity.name) if isinstance(first, Once) else None

    def _watch(self, request: Request) -> list[Reply]:
        """Take in a watch; it is answered when all of the turn's writes are made."""
        if not self.watches.add(request):
            message = "too many watches wait at this node; try another, or later"
            return [self._for_all(request, Failed("overloaded", message))]
        return []

    def _tell_watchers(self, now: Now) -> list[Reply]:
        answered = [
            *self.watches.tell(self.state.log),
            *self.watches.look_up(
                self._table, self.cut, self.state.floor, self.state.log, now.steady_us
            ),
            *self.watches.expired(now.steady_us),
        ]
        replies = []
        for request, result, position in answered:
            if isinstance(result, Compacted):
                replies.append(self._for_all(request, result))
                continue
            self.ran.append(request)
            replies.append(Reply(request.reply_to, request.id, (result,), ran=True, token=position))
        return replies

    def forget(self, name: str, now: Now) -> Result:
        """See `Shown`."""
        if name == self.identity.name or self.repair.is_alive(name, now.steady_us):
            return Failed("refused", f"{name} is alive; stop it first")
        write = self.members.forgetting(name)
        return self.write(write, now) if write else Failed("refused", f"{name} is no member")

    def _register_if_due(self, now: Now, *, hears: bool) -> None:
        """A marker can wait until a peer is heard, who tells if this process has gone back."""
        is_due = self._registration.is_due(now.steady_us, is_caught_up=self._is_caught_up())
        can_write = not self.is_joining and self.state.clock.last_us < STAMP_US_MAX
        if is_due and can_write:
            self._renew_record(now)
        elif (
            self._registration.is_done
            and can_write
            and (hears or not self.others())
            and self.doubts.calls_for_marker(now.steady_us)
        ):
            self._go_on_anew()
            self._registration.done()
            self.doubts.marked(self._write_record(now), now.steady_us)

    def _renew_record(self, now: Now) -> None:
        """The first write of an incarnation is its member record."""
        self._go_on_anew()
        if self._registration.is_open:
            self._registration.done()
            self._write_record(now)

    def _go_on_anew(self) -> None:
        """Open another incarnation if this one must not go on. Nothing was written in this turn."""
        if not self.renews:
            return
        self.origin, self.renews = self._new_origin(), False
        self.standing.opens(self.origin)
        self._author = self._new_author()
        self._registration.again()
        self.concerns.go_on_as(self.origin)

    def _new_author(self) -> Author:
        state = self.state
        return Author(self.origin, self.cut, state.clock, self._encode, state.chain_of)

    def _write_record(self, now: Now) -> Dot:
        record = self.identity.record
        assert record is not None, "who is no member registers not"
        return self._add(self.members.renewal(self.origin, record), now).dot

    def may_touch(self, size_bytes: int) -> bool:
        """See `Shown`."""
        if size_bytes > self._touch_bytes_left:
            return False
        self._touch_bytes_left -= size_bytes
        return True

    def write(self, write: Write, now: Now) -> Result:
        """See `Shown`."""
        if self.state.clock.last_us >= STAMP_US_MAX:
            return Failed("clock_exhausted", "a stamp of the year 2200 was delivered")
        self._renew_record(now)
        return self._add(write, now)

    def _add(self, write: Write, now: Now) -> Written:
        write_bytes = write_bytes_max(write)
        if not self._author.has_room(write_bytes):
            self._close_batch()
            self._author.open(now.wall_us)
        self.state.joined = True
        dot, stamp_us, row = self._author.add(write, write_bytes)
        self.state.apply(write, dot.origin, dot.seq, stamp_us, row)
        return Written(dot, stamp_us)

    def _close_batch(self) -> None:
        closed = self._author.close()
        if closed is not None:
            batch, row = closed
            self.own.append(batch)
            self.state.record(batch, row)
            self.branches.made(batch)
            self.standing.made(batch.origin, self.state.origins[batch.origin])
            self._wake(batch)

    def versions(self, key: bytes) -> Versions:
        """See `Shown`."""
        return self.state.versions(key)

    def scan(self, scan: Scan) -> Result:
        """See `Shown`."""
        return self.scans.page(scan, self.state.changed, self.expiry)

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

    def _next_pull(self, now: Now) -> Pull | Fetch | None:
        """None while more is ready than the next turn delivers, or a snapshot is whole: soon
        this lacks less. With less, the peer can find what comes then while this node
        delivers."""
        if self._stage is not None and self._stage.snapshot is not None:
            return None
        if self.standing.parting is not None:
            return None
        if self.standing.inquiry is not None:
            return self._inquire(self.standing.inquiry, now.steady_us)
        if self.holdback.has_ready_batches:
            reached = self.holdback.reached(self.cut.entries)
            held_writes = sum(seq - self.cut.entries[origin] for origin, seq in reached.items())
            if held_writes > self.limits.delivered_writes_per_turn:
                return None
        may_fetch = not self.standing.takes_a_person
        return self.repair.next_pull(self.cut, self.holdback, now.steady_us, may_fetch=may_fetch)

    def _inquire(self, inquiry: Inquiry, steady_us: int) -> Pull | None:
        if self.repair.may_answer(inquiry.claim.name, INQUIRY_FAILURES_MAX, steady_us):
            return self.repair.inquire(inquiry.question(), steady_us)
        self.standing.gives_up()
        self._end_quiet(was_quiet=True)
        return None

    def claim_if_due(self, now: Now) -> Claim | None:
        """The heartbeat: by the clock, and at once when a batch is too large for gossip.

        Who joins claims nothing, whatever it has fetched: others would believe that to be all.
        """
        unheard = not self.standing.is_quiet and any(not batch.is_gossip for batch in self.own)
        if now.steady_us < self._heartbeat_due_us and not unheard:
            return None
        self._heartbeat_due_us = now.steady_us + self._heartbeat_us
        return self.claim(now)

    def claim(self, now: Now) -> Claim:
        """What this replica has; of one that joins nothing, whatever it has fetched: others would
        believe that to be all."""
        name, instance, _ = self.identity
        wall_us = max(0, now.wall_us)
        if self.is_joining:
            return Claim(name, instance, {}, {}, 0, {}, wall_us, known=self.catch_up.known)
        if self._said is not None:
            return replace(self._said, wall_us=wall_us, is_not_all=True)
        delivered = dict(self.cut.heads)
        synced = delivered if self._synced is None else self._synced
        floor = dict(self.state.floor)
        said = (delivered, synced, self.state.digest, floor, wall_us)
        return Claim(
            name,
            instance,
            *said,
            is_not_all=self._lacks_strangers_writes(now),
            # Of what was ended nothing is told: that would be read from the disk each time.
            checks=checks_of(delivered, self.state.known_chain_of),
        )

    def _lacks_strangers_writes(self, now: Now) -> bool:
        """Whether a process lives that has what is not here, and is no member yet: who does not
        hear it knows nothing of it, and it may be the only one that has what is missing there."""
        members = self.members.names()
        return any(
            name not in members
            and self.repair.is_alive(name, now.steady_us)
            and not self.cut.covers(claim.delivered)
            for name, claim in self.repair.claims.items()
        )
