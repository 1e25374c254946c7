"""One machine: a disk, a clock, and the node that runs there while it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any, Final, NamedTuple

from kvnode.codec import client, gossip
from kvnode.codec.answers import encode_answer, encode_result
from kvnode.codec.batches import decode_batch, encode_batch
from kvnode.codec.calls import Answered, Asks, Call, decode_call_answer, encode_messages
from kvnode.codec.client import (
    Greeting,
    Introduction,
    decode_answer,
    decode_greeting,
    encode_request,
)
from kvnode.codec.records import decode_versions
from kvnode.codec.server import (
    Cancel,
    Hello,
    Position,
    Since,
    Snapshot,
    Synced,
    decode_operation,
    decode_request,
)
from kvnode.codec.snapshots import Part
from kvnode.codec.token import encode_token
from kvnode.core.batch import Batch
from kvnode.core.clock import Now
from kvnode.core.concerns import Concerns
from kvnode.core.continuity import PATIENCE_HEARTBEATS
from kvnode.core.cuts import CUT_QUIET_US
from kvnode.core.limits import Limits
from kvnode.core.messages import (
    Chunk,
    Claim,
    Commit,
    Fetch,
    Inputs,
    Progress,
    Pull,
    Pulled,
    Report,
    Saved,
)
from kvnode.core.once import FIRST_POSITION_BITS
from kvnode.core.repair import ALIVE_HEARTBEATS
from kvnode.core.replica import Identity, Replica
from kvnode.core.requests import (
    AwaitReplicas,
    Forget,
    Get,
    Mark,
    Once,
    Operation,
    Put,
    Read,
    Request,
    Scan,
    Watch,
    WriteAll,
)
from kvnode.core.results import Conflict, Delayed, Failed, Lost, Page, Reply, Result, Written
from kvnode.core.standing import Standing
from kvnode.core.truncation import Logged
from kvnode.core.vector import RANDOM_BITS, Dot, Missing, Vector, name_of, new_origin
from kvnode.core.versions import Versions
from kvnode.daemon.contacts import CALL_ID, REPORT_ID, Contact, Contacts
from kvnode.daemon.node import Durability, Node
from kvnode.daemon.peer import Link
from kvnode.daemon.pulling import Pulling, is_question
from kvnode.daemon.serving import fetched, pulled
from kvnode.errors import Refused, StorageError
from kvnode.storage.layout import decode_table_record
from kvnode.storage.memory import MemoryDisk
from kvnode.storage.store import Store
from tests.simulation.better import Better
from tests.simulation.cluster import CLUSTER, OPERATOR, Cluster, Excused
from tests.simulation.dice import Dice
from tests.simulation.disk import SimulatedStore, has_joined_on, new_disk, seen_on
from tests.simulation.network import REQUESTS, Connection
from tests.simulation.oracle import Believed, ExpiryBounds, Seen
from tests.simulation.world import Violation

HEARTBEAT_US: Final = 500_000
SYNC_US: Final = 300_000

#: The wall clocks start in 2026.
_EPOCH_US: Final = 1_790_000_000_000_000


#: How often a machine that sends a heartbeat says hello as well.
_HELLO_CHANCE: Final = 0.3

_HELLO_ID = 0

#: What a machine has on its disk and in its memory, beside what is on its way.
_REVERTED: Final = (
    "disk",
    "seen",
    "node",
    "expiry",
    "believed",
    "claims",
    "better",
    "_has_claimed",
    "staged",
    "untold",
    "unanswered",
    "_orphans",
    "behind_us",
    "_heard_us",
    "_is_in_doubt",
    "_replica",
    "_instance",
    "_record",
    "_known",
    "_contacts",
    "_processes",
    "_pulling",
    "_links",
    "_latest_us",
    "_cuts",
    "_held",
    "_is_blind",
    "_has_failed",
)


#: What may strike the commit that moves writes.
MENDING_MEETS: Final = (
    "a failing commit",
    "a failing commit that is kept",
    "a full disk",
    "a power failure",
    "a power failure after it",
)


class PowerFailure(Exception):
    """The node is gone in the middle of a turn."""


class Flight(NamedTuple):
    """A request at a node: whose it is, and what that session had seen."""

    session: str
    seen: Seen
    #: None are of a question to the node itself.
    operations: tuple[Operation, ...]

    @property
    def has_id(self) -> bool:
        """Whether its client knows what became of it, and may ask again."""
        return isinstance(self.operations[0], Once)


class Machine:
    """Where a node lives, dies and starts again."""

    def __init__(self, cluster: Cluster, name: str, bears: str | None = None) -> None:
        #: What the network knows it by.
        self.name = name
        #: The name of its node, which another machine's may bear too.
        self.bears = bears or name
        self.disk = new_disk()
        #: Another disk with this node's name: an older copy, which may come back.
        self.other_disk: MemoryDisk | None = None
        self.node: Node | None = None
        #: What is delivered and committed here, as the oracle counts it.
        self.seen: Seen = 0
        #: What its node's expiry clock may say.
        self.expiry = ExpiryBounds(0, 0)
        #: What its node should take for the time.
        self.believed = Believed()
        #: How wrong its wall clock is, and how much it gains in a million.
        self.skew_us = 0
        self.drift_ppm = 0
        #: How far both its clocks are behind, since it was set back with them.
        self.behind_us = 0
        #: Its disk and its memory as they were, and when: its machine may be reverted to that.
        self.frozen: tuple[dict[str, Any], int] | None = None
        #: What the next commit that moves writes meets; and whether this one is such.
        self.mending_meets: str | None = None
        self._is_mending = False
        #: When its process heard a peer last, by its steady clock; None before, and in a silence
        #: after which it was in doubt.
        self._heard_us: int | None = None
        #: Whether it may have gone back in time, and others may have other writes under its dots.
        self._is_in_doubt = False
        #: Requests that were in the memory that came back: nobody waits for their answers.
        self._orphans: dict[int, Flight] = {}
        #: Whether it never starts again, its disk out of reach.
        self.gone = False
        #: Whether its process ended, and with it its connections; if its power failed, who has one
        #: does not know.
        self.has_hung_up = False
        #: Whether it may not even read, since its disk failed in a switch to a snapshot.
        self._is_blind = False
        #: Whether this turn tries to switch.
        self.is_switching = False
        #: Steps of a turn until the power fails; 0 for never.
        self.steps_left = 0
        self._cluster = cluster
        self._world = cluster.world
        self._plan = cluster.plan
        self._dice = Dice(cluster.plan.seed, f"machine {name}")
        self._inputs = Inputs()
        self._questions: list[tuple[str, bytes]] = []
        self._turn_at_us: int | None = None
        self._instance = 0
        self._replica: Replica | None = None
        #: The dot of the member record that it says hello with.
        self._record: Dot | None = None
        #: What the snapshot under way holds, as the oracle counts it.
        self.staged: Seen = 0
        #: The incarnations whose history it could not compare with a peer's to the end.
        self.untold: set[str] = set()
        #: What the answers of this turn may show: grows with each that is a write.
        self._shown: Seen = 0
        #: What was committed before this turn: if its disk fails after its commit, those whose
        #: replies were held back are told of no more.
        self._seen_before: Seen = 0
        self._has_failed = False
        #: When the cuts that this replica opened were last read; long ago, if to their end.
        self._cuts: dict[int, int] = {}
        #: Over which link this process asks and tells each other one; and which process it knows
        #: by the name of each machine.
        self._contacts = self._new_contacts()
        self._processes: dict[str, int] = {}
        self._pulling = Pulling(heartbeat_us=HEARTBEAT_US)
        #: Its links to the others, by the names of their machines; and when writes or answers to
        #: pulls came from each last.
        self._links: dict[str, Link] = {}
        self._latest_us: dict[str, int] = {}
        #: What was asked in answer to its calls.
        self._asked: list[tuple[int, Asks]] = []
        #: The latest claim of each other that this process has taken in.
        self.claims: dict[str, Claim] = {}
        #: Whether it was started without the others' addresses: it founds the cluster.
        self.founds = False
        #: Whom this process knows of: those that it was told of, and that others who join name.
        self._known: set[str] = set()
        #: What others have who speak, if its own disk had not joined when this process started.
        self.better = Better({})
        #: Whether this process has claimed to have something.
        self._has_claimed = False
        #: Requests that this process has taken in and not answered.
        self.unanswered: dict[int, Flight] = {}
        #: Those whose replies it holds back, by the id of their flights.
        self._held: set[int] = set()

    # --- living and dying

    @property
    def limits(self) -> Limits:
        """Of its node."""
        return self._plan.limits

    @property
    def has_joined(self) -> bool:
        """Whether its disk has a write that was made on it."""
        return has_joined_on(self.disk)

    @property
    def speaks(self) -> bool:
        """Whether others may go by what it has."""
        return not self.gone and (self.has_joined or self._has_claimed)

    def check_joined(self, seen: Seen, does: str) -> None:
        """Nobody may believe that there is nothing who has not heard those who know better."""
        if self.has_joined or self.better.is_enough(seen):
            return
        dots = self._cluster.oracle.dots
        lacking = {name: dots(has & ~seen) for name, has in self.better.speaking.items()}
        raise Violation("joining", f"{self.name} {does} though it lacks {lacking}")

    def start(self) -> None:
        """The process starts, from what the disk has; with a full disk it does not."""
        if self.node is not None or self.gone:
            return
        self._instance = self._dice.between(0, 1 << 62)
        self.expiry = self.expiry._replace(low_us=0)
        self.better = Better({} if self.has_joined else self._cluster.speaking_beside(self))
        self.believed = Believed()
        self._known = set(self._told_of())
        self._heard_us, self._is_in_doubt = None, False
        self._contacts, self._processes = self._new_contacts(), {}
        self._pulling = Pulling(heartbeat_us=HEARTBEAT_US)
        self._links, self._latest_us = {}, {}
        try:
            self.node = Node(
                self._open_store,
                self._make_replica,
                durability=self._plan.durability,
                sync_interval_us=SYNC_US,
                heartbeat_us=HEARTBEAT_US,
                random_number=lambda: self._dice.between(0, 1 << 62),
                founds=self.founds,
            )
        except StorageError:
            self._world.after(SYNC_US, self.start)
            return
        self.has_hung_up = False
        self._cluster.network.begins(self.name)
        self._world.note(f"{self.name} starts with {len(self.node.replica.cut.entries)} origins")
        self._come_round()

    def _told_of(self) -> list[str]:
        """The names that it is started with; of a node that has not joined perhaps one alone, of
        those before it: else some might know of nobody but each other, and be a cluster apart."""
        joinable = self._cluster.joinable(self)
        before = [name for name in joinable if name < self.name]
        if self.has_joined or not before or self._dice.chance(0.5):
            return joinable
        self._world.reach("a node that joins was told of one other")
        return [self._dice.pick(before)]

    def kill(self) -> None:
        """The process ends (kill -9); the operating system keeps what was written."""
        self.founds = False  # whoever starts it again tells it of the others
        if self.node is None:
            return
        self._world.note(f"{self.name} is killed")
        if self.node.replica.holdback.requests:
            self._world.reach("killed with parked requests")
        if self.node.replica.repair.staging is not None:
            self._world.reach("killed while a snapshot came")
        if self.node.replica.concerns.count:
            self._world.reach("killed with replies held back")
        if self.node.is_folding:
            self._world.reach("killed while a snapshot was put in place")
        if self.node.snapshots_open:
            self._world.reach("killed while a snapshot was read")
        self.node, self.claims, self.has_hung_up = None, {}, True
        self._has_claimed = False
        self._cluster.speaks_anew(self)
        self.unanswered, self._held = {}, set()
        self._inputs, self._questions, self._asked = Inputs(), [], []
        self._turn_at_us = None

    def fail(self) -> None:
        """The power fails: what was not synced is lost."""
        self.kill()
        self.has_hung_up = False
        self.disk.crash(kept=self._dice.between(0, self.disk.unsynced))
        before, self.seen = self.seen, self._on_disk()
        if lacking := self._cluster.oracle.lacking(before, self.seen):
            self._world.reach("unsynced writes lost")
            self._cluster.speaks_anew(self)
            if self._plan.durability is Durability.ALWAYS:
                lost = self._cluster.oracle.dots(lacking)
                raise Violation("durability", f"{self.name} lost {lost} though it always syncs")
            self._cluster.oracle.excused |= before & ~self.seen
            origin = "" if self._replica is None else self._replica.origin
            if self._cluster.oracle.known([Missing(origin, 1, 1)]) & before & ~self.seen:
                told = f"{self.name} forgot that it had opened {origin}"
                raise Violation("incarnations are known", told)

    def wipe(self) -> None:
        """The disk is replaced by an empty one."""
        self.kill()
        self._world.reach("a disk wiped")
        self._cluster.oracle.excused |= self.seen | self._on_disk()
        self.disk, self.seen = new_disk(), 0
        self._cluster.speaks_anew(self)

    def keep_copy(self) -> None:
        """The disk is copied, as a virtual machine's is: what was not synced is, in the copy."""
        self.other_disk = deepcopy(self.disk)
        self.other_disk.sync()

    def swap_disks(self) -> None:
        """The node goes on with the copy, or with what was copied; the other disk is kept."""
        if self.other_disk is None:
            return
        self.kill()
        self._world.reach("a disk swapped for its copy")
        if (
            self._on_disk() & ~seen_on(self.other_disk)
            and seen_on(self.other_disk) & ~self._on_disk()
        ):
            self._world.reach("a disk swapped for one that diverged")
        self._cluster.oracle.excused |= self.seen | self._on_disk()
        self._cluster.oracle.forgetful.add(self.bears)
        self.disk.crash()
        self.disk, self.other_disk = self.other_disk, self.disk
        self.seen = self._on_disk()
        self._cluster.speaks_anew(self)

    @property
    def can_freeze(self) -> bool:
        """Whether a node runs that has joined, and no copy waits to be put back. What folds a
        snapshot is under way in Python, and can't be copied."""
        if self.node is None or self.node.is_folding:
            return False
        return self.has_joined and self.frozen is None

    def freeze(self) -> None:
        """Copy the disk and the memory while the node runs, as a virtual machine's are."""
        shared = (self, self._cluster, self._world, self._plan, self._dice)
        memo = {id(it): it for it in (*shared, *self.unanswered.values(), *self._orphans.values())}
        state = deepcopy({name: getattr(self, name) for name in _REVERTED}, memo)
        self.frozen = state, self._world.now_us

    def revert(self, *, sets_clock: bool) -> None:
        """The machine goes on from there, its clocks too, unless somebody sets them; all
        connections have ended."""
        assert self.frozen is not None
        (state, at_us), self.frozen = self.frozen, None
        self.kill()
        self.has_hung_up = False
        self._cluster.network.begins(self.name)
        self._world.reach("a machine reverted")
        had = self.seen | self._on_disk()
        self._cluster.oracle.forgetful.add(self.bears)
        self._cluster.oracle.reverted.add(self.bears)
        self._cluster.reverted.add(self.name)
        high_us = self.expiry.high_us
        for name, value in state.items():
            setattr(self, name, value)
        if not sets_clock:
            self.behind_us += self._world.now_us - at_us
        self.expiry = ExpiryBounds(self.expiry.low_us, high_us)
        self._cluster.oracle.excused |= had & ~self.seen
        self._cluster.check_branches()
        self.disk.full = self.disk.moved = False
        self.disk.fail_next_commit = None
        self._orphans = {**self._orphans, **self.unanswered}
        self.unanswered = {}
        self._cluster.speaks_anew(self)
        self._come_round()

    # --- receiving

    def receive_gossip(self, head: bytes, body: bytes) -> None:
        """A frame of gossip arrives."""
        header = gossip.decode_header(head)
        self._contact(header.name, header.instance).gossip_us = self._now_us
        if header.kind == gossip.CLAIM:
            self._hear(gossip.decode_claim(header, body))
        elif header.kind == gossip.AWAITED:
            self._hear(gossip.decode_awaited(body))
        else:
            self._inputs.batches.append(decode_batch(body))
            self._inputs.heard.add(header.name)
        self._come_round()

    def _new_contacts(self) -> Contacts:
        return Contacts(self.name, self._instance, self._send_to, heartbeat_us=HEARTBEAT_US)

    def _contact(self, name: str, instance: int) -> Contact:
        """With this process, which has taken the place of any other one on that machine."""
        self._processes[name] = instance
        self._contacts.keep(set(self._processes.values()))
        self._pulling.keep(set(self._processes.values()))
        return self._contacts.of(instance)

    def _send_to(self, instance: int, id_: int, operation: client.Operation) -> bool:
        """See `SendTo`."""
        payload = encode_request(id_, None, 0, [operation])
        for name, known in self._processes.items():
            if known == instance:
                return self._cluster.send_question(self.name, name, payload)
        return False

    def _hear(self, said: Claim | Dot) -> None:
        if isinstance(said, Dot):
            self._inputs.awaited.append(said)  # as of one that lives: its claims come with it
        elif self._contact(said.name, said.instance).takes(said, self._now_us):
            self._inputs.claims.append(said)
        else:
            self._world.reach("a claim that came late")

    def receive_request(self, flight: Flight, payload: bytes) -> None:
        """A client's request arrives."""
        asked = decode_request(payload)
        if isinstance(asked.operations, Position):
            self._tell_position(flight, asked.id)
            return
        if isinstance(asked.operations, Cancel):
            self._inputs.cancelled.append(Mark(flight, asked.operations.id))
            self._come_round()
            return
        assert isinstance(asked.operations, tuple)
        deadline_us = self._now_us + asked.deadline_ms * 1000 if asked.deadline_ms else None
        self.unanswered[id(flight)] = flight
        self._inputs.requests.append(
            Request(flight, asked.id, asked.token, deadline_us, asked.operations, len(payload))
        )
        self._come_round()

    def _tell_position(self, flight: Flight, id_: int) -> None:
        assert self.node is not None
        result: tuple[Any, ...]
        try:
            result = ("ok", self.bears, self.node.requests_done)
        except StorageError as error:
            result = ("error", "unavailable", str(error), False)
        self._cluster.send_answer(self.name, flight, encode_answer(id_, None, [result]), 0)

    def ask_to_forget(self, name: str) -> None:
        """An operator's request arrives."""
        flight = Flight(OPERATOR, 0, (Forget(name),))
        self.unanswered[id(flight)] = flight
        self._inputs.requests.append(Request(flight, 0, {}, None, flight.operations, 1))
        self._come_round()

    def receive_question(self, peer: str, payload: bytes) -> None:
        """What a peer asks, or tells, arrives."""
        asked = decode_request(payload).operations
        if isinstance(asked, Synced):
            self._inputs.reports.append(asked.report)
        elif isinstance(asked, Call):
            self._receive_call(peer, asked)
        self._questions.append((peer, payload))
        self._come_round()

    def _receive_call(self, peer: str, call: Call) -> None:
        self._contact(peer, call.instance)
        self._contacts.called(call.instance, hears=call.hears, steady_us=self._now_us)
        for message in call.messages:
            if isinstance(message, Answered):
                self._world.reach("a question answered by a call")
                self._receive_result(peer, message.id, message.result)
            elif isinstance(message, Claim | Dot):
                self._world.reach("a claim or awaited write came by a call")
                self._hear(message)

    def receive_answer(self, peer: str, payload: bytes) -> None:
        """The answer of a peer arrives."""
        self._link(peer).came(self._now_us)
        answer = decode_answer(payload)
        (result,) = answer.results
        if answer.id == _HELLO_ID:
            self._receive_greeting(peer, decode_greeting(result))
        elif peer in self._processes:
            instance = self._processes[peer]
            self._contacts.of(instance).answered(self._now_us)
            if answer.id == CALL_ID:
                self._receive_call_answer(peer, instance, result)
            elif is_question(answer.id):
                assert answer.id is not None
                self._receive_result(peer, answer.id, result)
        self._come_round()

    def _receive_greeting(self, peer: str, greeting: Greeting) -> None:
        self._contact(peer, greeting.instance).answered(self._now_us)
        self._contacts.wants_calls(greeting.instance, wants_calls=greeting.wants_calls)
        if greeting.has_forgotten and self._record is not None:
            self._world.reach("told that it was forgotten")
            self._inputs.forgotten.append(self._record)

    def _receive_call_answer(self, peer: str, instance: int, result: list[Any]) -> None:
        self._contacts.call_answered(instance)
        wants_calls, messages = decode_call_answer(result, peer, instance)
        self._contacts.wants_calls(instance, wants_calls=wants_calls)
        for message in messages:
            if isinstance(message, Asks):
                self._world.reach("a question in answer to a call")
                self._asked.append((instance, message))
            elif isinstance(message, Claim | Dot):
                self._world.reach("a claim or awaited write in answer to a call")
                self._hear(message)

    def _receive_result(self, peer: str, id_: int, result: list[Any]) -> None:
        """What came of a pull or fetch."""
        came = self._pulling.came(peer, self._processes[peer], id_, result, self._now_us)
        self._inputs.heard.add(peer)
        match came:
            case None:
                self._inputs.refusals.append(peer)
            case Pulled():
                self._inputs.pulled.append(came)
            case Chunk():
                self._inputs.chunks.append(came)
            case Progress():
                self._world.reach("a piece of an answer came")
                self._inputs.progress.append(came)

    # --- the turn

    def _come_round(self, wake_us: int = 0) -> None:
        """Take a turn when the loop comes round, but not before `wake_us`."""
        now_us = self._world.now_us
        at_us = max(wake_us + self.behind_us, now_us + self._dice.after(self._plan.turn_us))
        if self._turn_at_us is None or at_us < self._turn_at_us:
            self._turn_at_us = at_us
            self._world.at(at_us, lambda: self._turn_if_due(at_us))

    def _turn_if_due(self, at_us: int) -> None:
        if self.node is None or self._turn_at_us != at_us:
            return
        self._turn_at_us = None
        try:
            self._turn(self.node)
        except PowerFailure:
            self._world.reach("power failed in a turn")
            self.fail()
            self._world.after(self._dice.after(1_000_000), self.start)

    def _turn(self, node: Node) -> None:
        inputs, self._inputs = self._inputs, Inputs()
        questions, self._questions = self._questions, []
        pulls = self._taken_from_answers()
        self._shown = self._seen_before = self.seen
        now_us = self._now_us
        wall_us = self._wall_us()
        believed_us = self.believed.at(wall_us, now_us)
        low_us, high_us = self.expiry
        self.expiry = ExpiryBounds(max(low_us, believed_us), max(high_us, believed_us))
        self._cluster.expiry_high_us = max(self._cluster.expiry_high_us, self.expiry.high_us)
        before = self._counts(node)
        self.claims |= {claim.name: claim for claim in inputs.claims}
        staging = node.replica.repair.staging
        was_folding = node.is_folding
        self.is_switching = False
        heard = node.catch_up.heard
        joinable = set(self._cluster.joinable(self))
        self._known |= {name for claim in inputs.claims for name in claim.known}
        self._known |= node.replica.members.names()
        # Where the only one that it was told of is gone for good, an operator tells it of others.
        inputs.unheard = any(name not in heard for name in self._known & joinable or joinable)
        inputs.known = tuple(sorted(self._known))
        self._latest_us |= dict.fromkeys(inputs.heard, now_us)
        self._listen(node.replica, inputs, now_us)
        node.turn(inputs, Now(wall_us, now_us), self)
        if node.is_folding and not was_folding:
            assert staging is not None and staging.number is not None
            self.staged = self._cluster.snapshots[staging.number]
            # What it has then may come from a node whose clock is ahead.
            self.expiry = self.expiry._replace(high_us=self._cluster.expiry_high_us)
            self._world.reach("a snapshot came whole")
        if believed_us < self.expiry.low_us and not self.unswept():
            self._world.reach("an expiry clock that may go back")
            self.expiry = self.expiry._replace(low_us=believed_us)
        self._check_reads_go_on(node)
        self._check_signs_of_life(node.replica)
        self._note_rare_states(node, before, self._counts(node), inputs)
        for peer, payload in questions:
            self._answer(node, peer, payload)
        for instance, id_, operation in pulls:
            answered = Answered(id_, list(self._result_or_refusal(node, operation)))
            self._contacts.answer(instance, answered, now_us)
        self._contacts.call(self._claimed, now_us)
        self._check_bounds(node.replica)
        self._come_round(0 if self._inputs.unasked else node.wake_us())

    def _listen(self, replica: Replica, inputs: Inputs, now_us: int) -> None:
        """A silence may be that of a machine that was reverted, until somebody says what it has."""
        said = (inputs.heard, inputs.claims, inputs.batches, inputs.pulled, inputs.chunks)
        if any(said) or inputs.progress or inputs.reports:
            self._heard_us = now_us
        if inputs.claims:
            self._is_in_doubt = False
        patience_us = PATIENCE_HEARTBEATS * HEARTBEAT_US
        if self._heard_us is not None and now_us - self._heard_us > patience_us:
            self._heard_us = None
            self._is_in_doubt = bool(replica.standing.unconfirmed())

    def _check_reads_go_on(self, node: Node) -> None:
        """They do on every disk that can be read, but where a snapshot may be in place or not."""
        self._is_blind = not node.health.serving and (self.is_switching or self._is_blind)
        if not node.health.serving and not self._is_blind:
            raise Violation("reads go on", f"{self.name} does not serve, but its disk can be read")

    def _check_signs_of_life(self, replica: Replica) -> None:
        """Who sends anything is not taken for dead, though its claims wait behind what it sends."""
        now_us, long_us = self._now_us, ALIVE_HEARTBEATS * HEARTBEAT_US
        for name, heard_us in self._latest_us.items():
            is_heard = now_us - heard_us < long_us and name in replica.repair.claims
            if is_heard and not replica.repair.is_alive(name, now_us):
                told = f"{self.name} takes {name} for dead, from which something came a moment ago"
                raise Violation("signs of life", told)

    def _counts(self, node: Node) -> dict[str, int]:
        """What tells by going up in a turn that a state worth reaching was reached."""
        holdback = node.replica.holdback
        return {
            "batches held back": len(holdback.batches),
            "the holdback queue overflowed": holdback.evicted,
            "requests parked": len(holdback.requests),
            "replies held back": node.replica.concerns.count,
            "a clock found far ahead": len(node.replica.clocks.ahead_us),
            "a commit failed": node.health.failures,
            "a new origin delivered": len(node.replica.cut.entries),
            "a table scrubbed": node.upkeep.scrub.finished,
            "an alarm": len(node.replica.alarms.raised),
            "a node joined, or founded": self.has_joined,
        }

    def _note_rare_states(
        self, node: Node, before: dict[str, int], after: dict[str, int], inputs: Inputs
    ) -> None:
        rose = [state for state, count in after.items() if count > before[state]]
        for state in rose:
            self._world.reach(state)
        if "a commit failed" in rose and before["requests parked"]:
            self._world.reach("a commit failed with parked requests")
        if "a commit failed" in rose and inputs.pulled:
            self._world.reach("a commit failed during repair")
        if "a commit failed" in rose and before["replies held back"]:
            self._world.reach("a commit failed with replies held back")
        if before["replies held back"] and inputs.reports:
            self._world.reach("a report came to who waits")
        if "a new origin delivered" in rose and before["requests parked"]:
            self._world.reach("an incarnation opened with parked requests")
        allowed = {"forgotten"} | ({"clock"} if self.believed.is_in_doubt else set())
        allowed |= {f"doubled {name}" for name in self._cluster.oracle.reverted}
        if "damaged snapshots" in self._plan.faults:
            allowed |= {f"snapshot {name}" for name in self._cluster.names}
        if "parted" in node.replica.alarms.raised and "capped logs" in self._plan.faults:
            raise Excused("what was to be moved is not in the log any more")
        if node_alarms := node.replica.alarms.raised.keys() - allowed:
            raise Violation("alarms", f"{self.name} raises one: {sorted(node_alarms)}")
        if self.believed.is_in_doubt and "clock" not in node.replica.alarms.raised:
            raise Violation("alarms", f"{self.name} says nothing of its clock")
        if inputs.requests and (inputs.batches or inputs.pulled):
            self._world.reach("a delivery and a request in one turn")

    def _taken_from_answers(self) -> list[tuple[int, int, object]]:
        """Pulls that were asked in answer to calls; reports go into the turn."""
        asked, self._asked = self._asked, []
        pulls = []
        for instance, (id_, encoded) in asked:
            operation = decode_operation(encoded)
            if isinstance(operation, Synced):
                self._inputs.reports.append(operation.report)
            else:
                pulls.append((instance, id_, operation))
        return pulls

    def _claimed(self) -> Claim | None:
        """What a call claims."""
        assert self.node is not None
        claim = self.node.claim(Now(self._wall_us(), self._now_us))
        if claim is not None:
            self._claims(claim)
        return claim

    def _claims(self, claim: Claim) -> None:
        """Who claims to have something says that it has joined: others may go by that."""
        if claim.delivered and not self.speaks:
            self.check_joined(self.seen, "claims something")
            self._has_claimed = True
            self._cluster.speaks_anew(self)

    def _answer(self, node: Node, peer: str, payload: bytes) -> None:
        asked = decode_request(payload)
        result = self._result_or_refusal(node, asked.operations)
        self._cluster.send_node_answer(self.name, peer, encode_answer(asked.id, None, [result]))

    def _result_or_refusal(self, node: Node, question: object) -> tuple[Any, ...]:
        try:
            return self._result(node, question)
        except (Refused, StorageError) as error:
            self._world.reach("a peer refused")
            return ("error", "refused", str(error), False)

    def _result(self, node: Node, question: object) -> tuple[Any, ...]:
        match question:
            case Since():
                self._is_in_doubt = False
                result = pulled(node, question, self._now_us)
                self._check_handed_over(result)
                return result
            case Snapshot():
                return fetched(node, question, self._now_us, self._sent)
            case Hello(introduction):
                record, replica = introduction.record, node.replica
                has_forgotten = record is not None and replica.members.has_forgotten(
                    introduction.name, record, replica.cut
                )
                is_wanted = self._contacts.is_wanted(introduction.instance, self._now_us)
                about = (CLUSTER, self.name, self._instance, "")
                return ("ok", *Greeting(*about, has_forgotten, None, is_wanted))
            case Call(_, instance):
                called = self._contacts.call_answer(instance, self._claimed, self._now_us)
                return ("ok", called.wants_calls, encode_messages(called.messages))
            case Synced():
                return ("ok",)
        raise AssertionError(question)

    def _check_handed_over(self, result: tuple[Any, ...]) -> None:
        """No batch may be that is not committed, nor may a piece be of such a one."""
        assert self.node is not None
        is_piece = result[0] == "piece"
        batches = [self.node.kept._wholes[result[1]].data] if is_piece else result[1]
        assert self._replica is not None
        decoded = [decode_batch(encoded) for encoded in batches]
        firsts = self._replica.standing.unconfirmed()
        told = [it for it in decoded if it.last >= firsts.get(it.origin, it.last + 1)]
        if told and self._replica.standing.is_quiet and not is_piece:
            dots = [f"{it.origin}:{it.first}-{it.last}" for it in told]
            raise Violation("quiet", f"{self.name} hands over {dots}, and may have gone back")
        sent = self._cluster.oracle.found(decoded)
        if sent & ~self.seen:
            dots = self._cluster.oracle.dots(sent & ~self.seen)
            raise Violation("save, then send", f"{self.name} hands over {dots} uncommitted")

    def _sent(self, part: Part) -> Part:
        """What becomes of a part of a snapshot on its way out."""
        if part.start == b"" and part.number not in self._cluster.snapshots:
            self._cluster.snapshots[part.number] = self.seen
            self._world.reach("a snapshot begun")
        return self._damaged(part)

    def _damaged(self, part: Part) -> Part:
        """As a disk that lost a record would send it: one of those that the digest speaks of."""
        damages = "damaged snapshots" in self._plan.faults
        if not damages or self._cluster.is_healed or not part.table or self._dice.chance(0.7):
            return part
        (_, record), *others = part.table
        if any(version.expires_us is not None for version in decode_versions(record)):
            return part
        self._world.reach("a snapshot damaged")
        return part._replace(table=others)

    def _check_bounds(self, replica: Replica) -> None:
        holdback, limits = replica.holdback, self._plan.limits
        for what, size, limit in (
            ("held batches", len(holdback.batches), limits.held_batches_max),
            ("held bytes", holdback.batch_bytes, limits.held_bytes_max),
            ("parked requests", len(holdback.requests), limits.parked_requests_max),
            ("parked bytes", holdback.request_bytes, limits.parked_bytes_max),
            ("replies held back", replica.concerns.count, limits.concerns_max),
            ("cuts", len(replica.scans.cuts), limits.cuts_max),
        ):
            if size > limit:
                raise Violation("bounds", f"{self.name} has {size} {what}; the limit is {limit}")

    def table(self) -> dict[bytes, Versions]:
        """What is on its disk."""
        return {key: decode_table_record(record) for key, record in self.disk.table.items()}

    def unswept(self) -> dict[bytes, Versions]:
        """What is still there though it has expired."""
        low_us = self.expiry.low_us
        return {
            key: held
            for key, held in self.table().items()
            if any(it.expires_us is not None and it.expires_us <= low_us for it in held)
        }

    @property
    def _now_us(self) -> int:
        """By its steady clock."""
        return self._world.now_us - self.behind_us

    def _wall_us(self) -> int:
        now_us = self._now_us
        return _EPOCH_US + now_us + self.skew_us + now_us * self.drift_ppm // 1_000_000

    def step(self) -> None:
        """One step of a turn is done; the power may fail between any two."""
        if self.steps_left:
            self.steps_left -= 1
            if not self.steps_left:
                raise PowerFailure

    # --- the outbox

    def publish(self, batch: Batch) -> None:
        """See `Outbox`."""
        self.step()
        told = f"{self.name} publishes {batch.origin}:{batch.first}-{batch.last}"
        self._world.note(told)
        assert self._replica is not None
        if self._is_in_doubt or self._replica.standing.is_comparing:
            raise Violation("quiet", f"{told}, under which others may have another write")
        if self.disk.moved:
            raise Violation("save, then send", f"{self.name} publishes what nobody may find again")
        self._contacts.tell()
        if batch.is_gossip:
            self._gossip(gossip.BATCH, batch.encoded)

    def claim(self, claim: Claim) -> None:
        """See `Outbox`."""
        self.step()
        self._contacts.tell()
        self._claims(claim)
        self._gossip(gossip.CLAIM, gossip.encode_claim(claim))
        if self._dice.chance(_HELLO_CHANCE):
            self._greet()

    def reply(self, reply: Reply, token: Vector) -> None:
        """See `Outbox`."""
        self.step()
        flight = reply.reply_to
        assert isinstance(flight, Flight)
        if self._orphans.pop(id(flight), None) is not None:
            self._answer_nobody(flight, reply)
            return
        if self.unanswered.pop(id(flight), None) is None:
            raise Violation("one answer", f"{self.name} answers {flight} again")
        if id(flight) in self._held:
            self._held.remove(id(flight))
            self._cluster.check_concern(self, flight.operations, reply.results)
        elif reply.ran:
            self.check_joined(self._shown, "answers")
            self._expect_nothing_to_wait_for(flight, reply)
            self._check_session(flight)
            if self.node is not None and not self.node.health.writable:
                why = "moved" if self.disk.moved else "full"
                self._world.reach(f"reads served from a {why} disk")
                if any(isinstance(result, Page) and result.cut for result in reply.results):
                    self._world.reach("a cut read on a full disk")
            self._shown = self._cluster.oracle.answer(
                self._shown, flight.operations, reply.results, self.expiry, self.seen
            )
            if flight.session == OPERATOR and isinstance(reply.results[0], Written):
                self._world.reach("a member forgotten")
        for operation, result in zip(flight.operations, reply.results, strict=False):
            if isinstance(operation, Scan):
                self._check_cut(operation, result)
        for at, result in enumerate(reply.results):
            refused = (flight.operations[at],) if reply.ran else flight.operations
            self._check_refusal(flight, refused, result)
        for operation, result in zip(flight.operations, reply.results, strict=False):
            if isinstance(result, Conflict) and not flight.has_id:
                self._cluster.undone.update(values_of([operation]))
        results = [encode_result(result) for result in reply.results]
        if reply.token is not None:
            token = reply.token
        encoded_token = encode_token(CLUSTER, token) if reply.ran else None
        payload = encode_answer(reply.id, encoded_token, results)
        self._world.note(f"{self.name} answers {flight.session}: {payload.hex()}")
        seen = self._seen_before if self._has_failed else self.seen
        if reply.token is not None:
            seen = self._cluster.oracle.covered(reply.token, seen)
        self._cluster.send_answer(self.name, flight, payload, seen if reply.ran else 0)

    def _check_session(self, flight: Flight) -> None:
        """What it has seen must be here; but who has another write under the same dot, and does not
        know of that, takes it for what the session has seen."""
        oracle = self._cluster.oracle
        lacking = oracle.lacking(flight.seen, self._shown) & ~self._cluster.mistaken[flight.session]
        if taken := oracle.taken_for(lacking, self._shown):
            self._cluster.mistakes(flight.session, taken)
        if isinstance(flight.operations[0], Watch):
            lacking &= ~oracle.doubled  # it goes back, and is told of that when it comes
            told = oracle.has_others(flight.seen, self._shown, but=self.bears)
            self._cluster.may_miss(flight.session, told)
        if lacking & ~taken:
            told = f"{self.name} serves {flight.session} without {oracle.dots(lacking & ~taken)}"
            raise Violation("session guarantees", told)

    def _answer_nobody(self, flight: Flight, reply: Reply) -> None:
        """What was asked before the machine was reverted; but what it wrote is there."""
        if id(flight) in self._held:
            self._held.remove(id(flight))
        elif reply.ran:
            results, operations = reply.results, flight.operations
            self._shown = self._cluster.oracle.answer(
                self._shown, operations, results, self.expiry, self.seen
            )

    def noted(self, state: str) -> None:
        """Its node reached a state worth reaching."""
        self._world.reach(state)

    def holding(self, reply: Reply) -> None:
        """The node holds this reply back, after its commit: what it says is so from now on."""
        self.step()
        flight = reply.reply_to
        assert isinstance(flight, Flight)
        self._held.add(id(flight))
        self._world.note(f"{self.name} holds back the answer to {flight.session}")
        self._shown = self._cluster.oracle.answer(
            self._shown, flight.operations[:-1], reply.results, self.expiry, self.seen
        )

    def _expect_nothing_to_wait_for(self, flight: Flight, reply: Reply) -> None:
        """A reply that was not held back must have had no cause to be."""
        waits = isinstance(flight.operations[-1], AwaitReplicas)
        if waits and any(isinstance(result, Written) for result in reply.results):
            raise Violation("write concern", f"{self.name} answers {flight} without waiting")

    def _check_refusal(self, flight: Flight, refused: Sequence[Operation], result: Result) -> None:
        """What is called undone must be undone, and what is missing must be missing."""
        if isinstance(result, Delayed):
            has = self._cluster.oracle.known(result.missing) & self._shown
            if has or not result.missing:
                raise Violation("delays", f"{self.name} says it lacks {result.missing}")
        if isinstance(result, Lost):
            self._cluster.check_lost(self, result.missing)
        if isinstance(result, Failed) and not result.maybe:
            if not flight.has_id:  # else this says nothing of the other attempts
                self._cluster.undone.update(values_of(refused))
            reads = all(isinstance(op, Get | Read | Scan | Watch) for op in refused)
            may_read = not self._is_blind and not self.is_switching
            if reads and result.code == "unavailable" and may_read:
                raise Violation("reads go on", f"{self.name} answers {refused}: {result.message}")

    def _check_cut(self, scan: Scan, result: Result) -> None:
        """One that has more, and was read a moment ago, must be there."""
        now_us = self._now_us
        if isinstance(result, Page) and result.cut is not None:
            self._cuts[result.cut] = now_us if result.next is not None else -CUT_QUIET_US
        elif isinstance(result, Failed) and result.code == "cut_gone" and scan.cut is not None:
            read_us = self._cuts.get(scan.cut, -CUT_QUIET_US)
            if now_us - read_us < CUT_QUIET_US:
                raise Violation("scans", f"{self.name} let go of {scan}, which was being read")

    def awaited(self, dot: Dot) -> None:
        """See `Outbox`."""
        self.step()
        self._contacts.await_write(dot, self._now_us)
        self._gossip(gossip.AWAITED, gossip.encode_awaited(dot))

    def report(self, report: Report) -> None:
        """See `Outbox`."""
        self.step()
        dot = Dot(report.origin, report.seq)
        self._world.note(f"{self.name} reports {dot.origin}:{dot.seq}")
        operation = client.synced(report.name, report.instance, dot, report.check)
        bears = name_of(report.origin)
        for name, instance in self._processes.items():
            if self._cluster.machines[name].bears == bears:
                self._contacts.ask(instance, REPORT_ID, operation, self._now_us)

    def pull(self, pull: Pull | Fetch) -> None:
        """See `Outbox`."""
        self.step()
        if isinstance(pull, Pull):
            self._world.note(f"{self.name} pulls from {pull.name}")
        else:
            self._world.note(f"{self.name} fetches from {pull.name} after {pull.after!r}")
        now_us, instance = self._now_us, self._processes[pull.name]
        bytes_max = self._cluster.pull_bytes
        id_, question = self._pulling.question(pull, instance, now_us, bytes_max)
        if not self._contacts.ask(instance, id_, question, now_us):
            self._pulling.unasked(instance, id_)
            self._world.reach("there was no way to ask a peer")
            if isinstance(pull, Fetch) and pull.number is not None:
                self._world.reach("there was no way to ask for more of a snapshot")
            self._inputs.unasked.append(pull.name)

    def _greet(self) -> None:
        assert self.node is not None
        self._record = self.node.replica.record
        introduction = Introduction(CLUSTER, self.bears, self._instance, "", "", self._record)
        payload = encode_request(_HELLO_ID, None, 0, [client.hello(introduction)])
        for name in self._cluster.names:
            if self._cluster.machines[name].bears != self.bears:
                if self._link(name).is_silent(self._now_us, HEARTBEAT_US):
                    self._world.reach("a link made anew")
                    connection = Connection(self.name, name, REQUESTS)
                    self._cluster.network.make_anew(connection)
                self._cluster.send_question(self.name, name, payload)

    def _link(self, name: str) -> Link:
        return self._links.setdefault(name, Link(self._now_us))

    def _gossip(self, kind: str, body: bytes) -> None:
        header = gossip.Header(CLUSTER, self.name, self._instance, kind)
        self._cluster.send_gossip(self.name, gossip.encode_header(header), body)

    # --- the disk

    def committing(self, commit: Commit) -> tuple[Seen, Seen]:
        """The node tries to commit; what it will have seen, without and with its own."""
        self.step()
        assert self._replica is not None
        self._is_mending = bool(commit.moved)
        if commit.moved:
            self.is_switching = True
            self._meet_trouble()
        oracle = self._cluster.oracle
        self._cluster.check_branches(self, oracle.known_of(commit.batches))
        try:
            others, seen = oracle.commit(self.seen, self._replica.own, commit)
        except Violation as violation:
            # What a batch goes on from is known from the log, as long as that has it.
            forgets = {"short logs", "capped logs"} & set(self._plan.faults)
            if oracle.doubled and forgets and violation.invariant == "causal delivery":
                raise Excused("another history is not in the log any more") from None
            raise
        if seen != others:
            self.check_joined(others, "writes")
        return others, seen

    def committed(self, others: Seen, seen: Seen) -> None:
        """It went well."""
        self._shown, self.seen = others, seen
        if self.has_joined:
            self.better = Better({})
            self._cluster.speaks_anew(self)
        if self._is_mending:
            self._world.reach("a doubled write was moved")
            self._cluster.speaks_anew(self)
        self._cluster.check_branches()
        self.step()

    def switching(self) -> Seen:
        """The node puts the snapshot in place that came; what it will have seen. Where that has
        another history of this name, what only this node wrote would be gone. ARCHITECTURE says
        when no node can know; of other names see `Cluster.check_branches`."""
        oracle, seen = self._cluster.oracle, self.seen | self.staged
        replaced = oracle.mixed(seen, self.bears) & self.seen
        if replaced:
            forgets = {"short logs", "capped logs"} & set(self._plan.faults)
            if forgets and oracle.origins(replaced) <= self.untold:
                raise Excused("no log can tell of another history any more")
            told = f"{self.name} puts a snapshot in place over {oracle.dots(replaced)}"
            raise Violation("mending", told)
        return seen

    def failed(self) -> None:
        """The disk failed, perhaps after this turn's commit; its replica ends."""
        self._has_failed = True
        if self._is_mending:
            self._world.reach("a mend failed")

    def _meet_trouble(self) -> None:
        """What strikes the commit that moves writes, once."""
        trouble, self.mending_meets = self.mending_meets, None
        if trouble is None:
            return
        self._world.note(f"{self.name} mends, and meets: {trouble}")
        match trouble:
            case "a failing commit":
                self.disk.fail_next_commit = False
            case "a failing commit that is kept":
                self.disk.fail_next_commit = True
            case "a full disk":
                self.disk.full = True
                self._world.after(self._dice.after(1_000_000), self._empty)
            case "a power failure":
                raise PowerFailure
            case "a power failure after it":
                self.steps_left = 1

    def _empty(self) -> None:
        self.disk.full = False

    def dropping(self, dropped: Sequence[Logged]) -> None:
        """The node truncates its log."""
        self.step()
        self._world.reach("a log truncated")
        self._cluster.check_truncation(self, dropped)

    def sweeping(self) -> None:
        """The node removes what has expired."""
        self.step()
        self._world.reach("what expired was removed")

    def _on_disk(self) -> Seen:
        return seen_on(self.disk)

    def _open_store(self, *, read_only: bool = False) -> Store:
        first_position = self._dice.between(0, (1 << FIRST_POSITION_BITS) - 1)
        store = SimulatedStore(self, read_only=read_only, first_position=first_position)
        # What is only read was committed before: a commit that failed does not count yet.
        if not read_only:
            before, self.seen = self.seen, self._on_disk()
            if self.seen & ~before and before & ~self.seen:
                self._world.reach("a mend was found done after a failure")
                self._cluster.speaks_anew(self)
            self._cluster.check_branches()
            if lacking := self._cluster.oracle.lacking(before, self.seen):
                lost = self._cluster.oracle.dots(lacking)
                raise Violation("durability", f"{self.name} forgot {lost} without a power failure")
            self._cluster.speaks_anew(self)
        return store

    def _new_origin(self) -> str:
        created_s = self._wall_us() // 1_000_000
        random_bits = self._dice.between(0, (1 << RANDOM_BITS) - 1)
        return new_origin(self.bears, created_s, random_bits)

    def _make_replica(self, saved: Saved, store: Store) -> Replica:
        self._shown, self._cuts = self.seen, {}
        self._has_failed = False
        replica = Replica(
            Identity(self.bears, self._instance, self.name.encode()),
            saved,
            store,
            encode_batch,
            self._dice.random,
            new_origin=self._new_origin,
            limits=self._plan.limits,
            heartbeat_us=HEARTBEAT_US,
            commits_are_synced=self._plan.durability is Durability.ALWAYS,
        )
        replica.concerns = SimulatedConcerns(self)
        replica.standing = SimulatedStanding(self, saved, replica)
        self._replica = replica
        return replica

    def synced(self) -> None:
        """What the disk holds is synced."""
        self._cluster.synced[self.name] |= self._on_disk()


class SimulatedConcerns(Concerns):
    """Tells the machine of what is held back, in the order of the turn's answers."""

    def __init__(self, machine: Machine) -> None:
        super().__init__("", machine.limits)
        self._machine = machine

    def hold(self, reply: Reply) -> None:
        """See `Concerns.hold`."""
        self._machine.holding(reply)
        super().hold(reply)


class SimulatedStanding(Standing):
    """Notes what becomes of inquiries."""

    def __init__(self, machine: Machine, saved: Saved, replica: Replica) -> None:
        super().__init__(machine.bears, saved.own, replica.cut)
        vars(self).update(vars(replica.standing))
        self._machine = machine

    def compare(self, theirs: Sequence[Batch], logged: Callable[[Dot], Batch | None]) -> bool:
        """See `Standing.compare`."""
        self._machine.noted("an inquiry compared")
        return super().compare(theirs, logged)

    def gives_up(self) -> None:
        """See `Standing.gives_up`."""
        self._machine.noted("an inquiry gave up")
        if self.inquiry is not None:
            self._machine.untold.add(self.inquiry.origin)
        super().gives_up()


def values_of(operations: Iterable[Operation]) -> set[bytes]:
    """All that these would put."""
    values: set[bytes | None] = set()
    for operation in operations:
        if isinstance(operation, Put):
            values.add(operation.value)
        elif isinstance(operation, WriteAll):
            values.update(change.value for change in operation.changes)
    return {value for value in values if value is not None}
