"""Machines with real nodes on memory disks, a network that waits, and a clock that stands.

Nothing happens by itself: whoever drives a `Cluster` says what comes, when and to whom.
All messages pass through the codec. Subclasses hear of what happens by the `on_` methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy

from kvnode.codec.answers import encode_answer
from kvnode.codec.batches import decode_batch, encode_batch
from kvnode.codec.client import Operation, decode_answer, encode_request, since, snapshot
from kvnode.codec.gossip import CLAIM, Header, decode_claim, encode_claim
from kvnode.codec.server import Since, Snapshot, decode_request
from kvnode.codec.snapshots import decode_chunk, encode_part
from kvnode.core.batch import Batch
from kvnode.core.clock import Now
from kvnode.core.limits import Limits
from kvnode.core.messages import Chunk, Claim, Commit, Fetch, Inputs, Pull, Pulled, Report, Saved
from kvnode.core.replica import Identity, Replica
from kvnode.core.requests import Request
from kvnode.core.results import Reply
from kvnode.core.vector import Dot, Vector, name_of, new_origin
from kvnode.daemon.node import Durability, Node
from kvnode.errors import Refused
from kvnode.storage.memory import MemoryDisk, MemoryStore
from kvnode.storage.store import Store

HEARTBEAT_US = 100_000
SYNC_US = 1_000_000
PULL_BYTES = 1 << 20
CLUSTER = "c"


#: A disk, and the node that ran there.
Frozen = tuple[MemoryDisk, Node]


class Machine:
    """A disk, the node that runs there now, if one does, and what is on its way to it."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.name = name
        self.cluster = cluster
        self.disk = MemoryDisk()
        self.running: Node | None = None
        #: How many replicas were made here, each for another incarnation.
        self.starts = 0
        self.instance = 0
        #: The incarnation that its replica opens first, if that has not yet.
        self._announced: str | None = None
        #: Whether its store was last opened for reading only.
        self.only_reads = False
        #: Whom its node was told of: it founds no cluster before it has heard these.
        self.join: tuple[str, ...] = ()
        #: How wrong its wall clock is.
        self.skew_us = 0
        #: How far both its clocks are behind the others', since it was set back with them.
        self.behind_us = 0
        #: Published batches that wait until they are taken.
        self.inbox: list[bytes] = []
        #: Writes that it is asked to report, and reports to it, until they are taken.
        self.asked_to_report: list[Dot] = []
        self.reports: list[Report] = []
        #: Its latest heartbeat.
        self.heartbeat: tuple[Header, bytes] | None = None
        #: The pull or fetch that is under way.
        self.asked: Pull | Fetch | None = None

    @property
    def node(self) -> Node:
        """The node that runs there."""
        assert self.running is not None, f"{self.name} is down"
        return self.running

    @property
    def replica(self) -> Replica:
        """Its replica, which a failed commit replaces."""
        return self.node.replica

    def start(self) -> None:
        """The process starts, or starts anew, from what the disk has."""
        self.stop()
        self.instance = self.cluster.counted()
        self.running = Node(
            lambda *, read_only=False: WatchedStore(self, read_only=read_only),
            self._replica,
            durability=self.cluster.durability,
            sync_interval_us=SYNC_US,
            heartbeat_us=HEARTBEAT_US,
            random_number=self.cluster.counted,
        )

    def stop(self) -> None:
        """The process is gone, and all that was on its way to it."""
        self.running, self.inbox, self.heartbeat, self.asked = None, [], None, None
        self.asked_to_report, self.reports = [], []

    def crash(self) -> None:
        """The power fails."""
        self.disk.crash()
        self.stop()

    def turn(self, inputs: Inputs) -> None:
        """One turn of the node with what it received, asked and reported."""
        inputs.awaited, self.asked_to_report = self.asked_to_report, []
        inputs.reports, self.reports = self.reports, []
        if self.join:
            inputs.unheard = not self.node.catch_up.heard.issuperset(self.join)
        now_us = self.cluster.now_us - self.behind_us
        self.node.turn(inputs, Now(now_us + self.skew_us, now_us), self)

    def wake_us(self) -> int:
        """When its next turn must come."""
        return self.node.wake_us() + self.behind_us

    def frozen(self) -> Frozen:
        """A copy of the disk and of the memory, as of a virtual machine that goes on running."""
        return deepcopy((self.disk, self.node), {id(self): self, id(self.cluster): self.cluster})

    def revert(self, frozen: Frozen, behind_us: int) -> None:
        """Go on from such a copy, by clocks that are so far behind; what was on its way is lost."""
        self.inbox, self.heartbeat, self.asked = [], None, None
        self.asked_to_report, self.reports = [], []
        memo = {id(self): self, id(self.cluster): self.cluster}
        self.disk, self.running = deepcopy(frozen, memo)
        self.behind_us = behind_us

    def _new_origin(self) -> str:
        """The one that was announced at the start, and others after that."""
        origin, self._announced = self._announced, None
        return origin or self._another_origin()

    def _another_origin(self) -> str:
        self.starts += 1
        counter = self.cluster.counted()
        origin = new_origin(self.name, self.cluster.now_us // 1_000_000, counter)
        self.cluster.on_start(self, origin)
        return origin

    def _replica(self, saved: Saved, store: Store) -> Replica:
        self._announced = self._another_origin()
        return Replica(
            Identity(self.name, self.instance, self.cluster.record(self)),
            saved,
            store,
            encode_batch,
            self.cluster.random,
            new_origin=self._new_origin,
            limits=self.cluster.limits,
            heartbeat_us=HEARTBEAT_US,
            commits_are_synced=self.cluster.durability is Durability.ALWAYS,
        )

    # --- the outbox of its turns

    def publish(self, batch: Batch) -> None:
        """See `Outbox`: the batch waits in the inboxes of all others that run."""
        if batch.is_gossip:
            self.cluster.published.append(batch.encoded)
            for other in self.cluster.running():
                if other is not self:
                    other.inbox.append(batch.encoded)
        self.cluster.on_publish(self, batch)

    def claim(self, claim: Claim) -> None:
        """See `Outbox`."""
        header = Header(CLUSTER, claim.name, claim.instance, CLAIM)
        self.heartbeat = header, encode_claim(claim)

    def reply(self, reply: Reply, token: Vector) -> None:
        """See `Outbox`."""
        self.cluster.on_reply(self, reply, token)

    def awaited(self, dot: Dot) -> None:
        """See `Outbox`: it comes after the batches."""
        for other in self.cluster.running():
            if other is not self:
                other.asked_to_report.append(dot)

    def report(self, report: Report) -> None:
        """See `Outbox`."""
        origin = self.cluster.machines[name_of(report.origin)]
        if origin.running is not None:
            origin.reports.append(report)

    def pull(self, pull: Pull | Fetch) -> None:
        """See `Outbox`."""
        self.asked = pull
        self.cluster.on_pull(self, pull)


class WatchedStore(MemoryStore):
    """Tells of each commit and switch that went well."""

    def __init__(self, machine: Machine, *, read_only: bool) -> None:
        super().__init__(machine.disk, read_only=read_only)
        machine.only_reads = read_only
        self._machine = machine

    def commit(self, commit: Commit, *, sync: bool) -> None:
        """See `Store.commit`."""
        super().commit(commit, sync=sync)
        self._machine.cluster.on_commit(self._machine, commit.batches)

    def switch(self, saved: Saved) -> None:
        """See `Store.switch`."""
        super().switch(saved)
        self._machine.cluster.on_switch(self._machine, saved)


class Cluster:
    """Machines by name, and the time that they share."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}
        self.now_us = 1000
        self.limits = Limits()
        self.durability = Durability.ALWAYS
        #: Whether nodes register as members.
        self.has_members = False
        self.random: Callable[[], float] = lambda: 0.5
        #: All that was ever published.
        self.published: list[bytes] = []
        self._counter = 0

    def add(self, name: str) -> None:
        """A new machine, running."""
        self.machines[name] = Machine(self, name)
        self.machines[name].start()

    def record(self, machine: Machine) -> bytes | None:
        """What the member record of a machine says."""
        return machine.name.encode() if self.has_members else None

    def running(self) -> list[Machine]:
        """The machines whose node runs."""
        return [machine for machine in self.machines.values() if machine.running is not None]

    def counted(self) -> int:
        """A number that was not used before."""
        self._counter += 1
        return self._counter

    def advance(self, time_us: int) -> None:
        """Time passes; every node that has to wake meanwhile takes its turn then."""
        until_us, turns_at_once = self.now_us + time_us, 0
        while machines := self.running():
            machine = min(machines, key=Machine.wake_us)
            wake_us = machine.wake_us()
            if wake_us > until_us:
                break
            turns_at_once = 0 if wake_us > self.now_us else turns_at_once + 1
            assert turns_at_once < 100, f"{machine.name} does not come to rest"
            self.now_us = max(self.now_us, wake_us)
            self.turn(machine, Inputs())
        self.now_us = until_us

    def turn(self, machine: Machine, inputs: Inputs) -> None:
        """One turn of a node; a place for subclasses to look on."""
        machine.turn(inputs)

    def deliver(self, machine: Machine, encoded: Iterable[bytes]) -> None:
        """One turn with these batches."""
        self.turn(machine, Inputs(batches=[decode_batch(it) for it in encoded]))

    def hear(self, machine: Machine, sender: Machine) -> None:
        """One turn with the sender's latest heartbeat."""
        if sender.heartbeat is not None:
            self.turn(machine, Inputs(claims=[decode_claim(*sender.heartbeat)]))

    def greet(self, machine: Machine, peer: Machine) -> None:
        """The peer says whether it has forgotten this node: then one turn with that."""
        record, replica = machine.replica.record, peer.replica
        if record and replica.members.has_forgotten(machine.name, record, replica.cut):
            self.turn(machine, Inputs(forgotten=[record]))

    def answer_pull(self, machine: Machine) -> None:
        """One turn with the answer to the pull or fetch under way, if the peer can give one."""
        asked, machine.asked = machine.asked, None
        if asked is None or self.machines[asked.name].running is None:
            return
        peer, inputs = self.machines[asked.name], Inputs()
        try:
            if isinstance(asked, Pull):
                inputs.pulled.append(self._pulled(asked, peer))
            else:
                inputs.chunks.append(self._fetched(asked, peer))
        except Refused as error:
            inputs.refusals.append(peer.name)
            self.on_refusal(peer, error)
        self.turn(machine, inputs)

    def _pulled(self, asked: Pull, peer: Machine) -> Pulled:
        payload = encode_request(1, None, 0, [since(asked.vector, PULL_BYTES)])
        asking = decode_request(payload).operations
        assert isinstance(asking, Since)
        found = [decode_batch(it) for it in peer.node.since(asking.vector, asking.bytes_max)]
        self.on_answer(peer, found)
        return Pulled(peer.name, tuple(found))

    def _fetched(self, asked: Fetch, peer: Machine) -> Chunk:
        payload = encode_request(1, None, 0, [snapshot(asked.number, asked.after, PULL_BYTES)])
        asking = decode_request(payload).operations
        assert isinstance(asking, Snapshot)
        part = peer.node.snapshot(asking.number, asking.after, asking.bytes_max, self.now_us)
        (result,) = decode_answer(encode_answer(1, None, [encode_part(part)])).results
        chunk = decode_chunk(peer.name, result)
        self.on_part(peer, chunk)
        return chunk

    # --- what happens

    def on_start(self, machine: Machine, origin: str) -> None:
        """A replica was made, whose first write will open this incarnation."""

    def on_commit(self, machine: Machine, batches: Sequence[Batch]) -> None:
        """A commit went well."""

    def on_switch(self, machine: Machine, saved: Saved) -> None:
        """A snapshot was put in place."""

    def on_publish(self, machine: Machine, batch: Batch) -> None:
        """A batch was published."""

    def on_reply(self, machine: Machine, reply: Reply, token: Vector) -> None:
        """A client was answered."""

    def on_pull(self, machine: Machine, pull: Pull | Fetch) -> None:
        """A node asks a peer."""

    def on_answer(self, machine: Machine, batches: Sequence[Batch]) -> None:
        """A node answers a pull."""

    def on_part(self, peer: Machine, chunk: Chunk) -> None:
        """A node answers a fetch."""

    def on_refusal(self, peer: Machine, error: Refused) -> None:
        """A node refuses what it was asked for."""


def request(
    reply_to: object,
    token: bytes | None,
    deadline_ms: int,
    operations: Sequence[Operation],
    now_us: int,
) -> Request:
    """What a node makes of a client's request."""
    payload = encode_request(1, token, deadline_ms, operations)
    asked = decode_request(payload)
    assert isinstance(asked.operations, tuple)
    deadline_us = now_us + 1000 * deadline_ms if deadline_ms else None
    return Request(reply_to, asked.id, asked.token, deadline_us, asked.operations, len(payload))
