"""One machine: a disk, a clock, and the node that runs there while it does."""

from __future__ import annotations

from typing import Final, NamedTuple

from kvnode.codec import gossip
from kvnode.codec.batches import decode_batch, encode_batch
from kvnode.codec.client import decode_answer, encode_request, since
from kvnode.codec.server import Since, decode_request, encode_answer, encode_result
from kvnode.codec.token import encode_token
from kvnode.core.batch import Batch
from kvnode.core.clock import Now
from kvnode.core.messages import (
    Claim,
    Commit,
    Delayed,
    Failed,
    Inputs,
    Operation,
    Pull,
    Pulled,
    Put,
    Reply,
    Request,
    Result,
)
from kvnode.core.replica import Identity, Replica, Saved
from kvnode.core.vector import RANDOM_BITS, Vector, new_origin
from kvnode.daemon.node import Durability, Node
from kvnode.errors import StorageError
from kvnode.storage.memory import MemoryDisk, MemoryStore
from kvnode.storage.store import Store
from tests.simulation.cluster import CLUSTER, Cluster
from tests.simulation.dice import Dice
from tests.simulation.oracle import Seen
from tests.simulation.world import Violation

HEARTBEAT_US: Final = 500_000
SYNC_US: Final = 300_000

#: The wall clocks start in 2026.
_EPOCH_US: Final = 1_790_000_000_000_000


class PowerFailure(Exception):
    """The node is gone in the middle of a turn."""


class Flight(NamedTuple):
    """A request at a node: whose it is, and what that session had seen."""

    session: str
    seen: Seen
    operations: tuple[Operation, ...]


class Machine:
    """Where a node lives, dies and starts again."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.name = name
        self.disk = MemoryDisk()
        self.node: Node | None = None
        #: What is delivered and committed here, as the oracle counts it.
        self.seen: Seen = 0
        #: How wrong its wall clock is, and how much it gains in a million.
        self.skew_us = 0
        self.drift_ppm = 0
        #: Whether it never starts again, its disk out of reach.
        self.gone = False
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
        self._origin = ""
        #: What the answers of this turn may show: grows with each that is a write.
        self._shown: Seen = 0

    # --- living and dying

    def start(self) -> None:
        """The process starts, from what the disk has; with a full disk it does not."""
        if self.node is not None or self.gone:
            return
        self._instance = self._dice.between(0, 1 << 62)
        try:
            self.node = Node(
                lambda: SimulatedStore(self),
                self._make_replica,
                durability=self._plan.durability,
                sync_interval_us=SYNC_US,
            )
        except StorageError:
            self._world.after(SYNC_US, self.start)
            return
        self._world.note(f"{self.name} starts with {len(self.node.replica.cut.entries)} origins")
        self._come_round()

    def kill(self) -> None:
        """The process ends (kill -9); the operating system keeps what was written."""
        if self.node is None:
            return
        self._world.note(f"{self.name} is killed")
        if self.node.replica.holdback.requests:
            self._world.reach("killed with parked requests")
        self.node = None
        self._inputs, self._questions = Inputs(), []
        self._turn_at_us = None

    def fail(self) -> None:
        """The power fails: what was not synced is lost."""
        self.kill()
        self.disk.crash()
        before, self.seen = self.seen, self._on_disk()
        if before & ~self.seen:
            self._world.reach("unsynced writes lost")
            if self._plan.durability is Durability.ALWAYS:
                lost = self._cluster.oracle.dots(before & ~self.seen)
                raise Violation("durability", f"{self.name} lost {lost} though it always syncs")
            self._cluster.oracle.excused |= before & ~self.seen

    def wipe(self) -> None:
        """The disk is replaced by an empty one."""
        self.kill()
        self._world.reach("a disk wiped")
        self._cluster.oracle.excused |= self.seen | self._on_disk()
        self.disk, self.seen = MemoryDisk(), 0

    # --- receiving

    def receive_gossip(self, head: bytes, body: bytes) -> None:
        """A frame of gossip arrives."""
        header = gossip.decode_header(head)
        if header.kind == gossip.CLAIM:
            self._inputs.claims.append(gossip.decode_claim(header, body))
        else:
            self._inputs.batches.append(decode_batch(body))
        self._come_round()

    def receive_request(self, flight: Flight, payload: bytes) -> None:
        """A client's request arrives."""
        asked = decode_request(payload)
        assert isinstance(asked.operations, tuple)
        deadline_us = self._world.now_us + asked.deadline_ms * 1000 if asked.deadline_ms else None
        self._inputs.requests.append(
            Request(flight, asked.id, asked.token, deadline_us, asked.operations, len(payload))
        )
        self._come_round()

    def receive_question(self, peer: str, payload: bytes) -> None:
        """A peer's pull arrives."""
        self._questions.append((peer, payload))
        self._come_round()

    def receive_pulled(self, peer: str, payload: bytes) -> None:
        """The answer to a pull arrives."""
        result = decode_answer(payload).results[0]
        batches = tuple(decode_batch(encoded) for encoded in result[1])
        self._inputs.pulled.append(Pulled(peer, batches))
        self._come_round()

    # --- the turn

    def _come_round(self, wake_us: int = 0) -> None:
        """Take a turn when the loop comes round, but not before `wake_us`."""
        at_us = max(wake_us, self._world.now_us + self._dice.after(self._plan.turn_us))
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
        self._shown = self.seen
        now_us = self._world.now_us
        before = self._counts(node)
        node.turn(inputs, Now(self._wall_us(), now_us), self)
        self._note_rare_states(before, self._counts(node), inputs)
        for peer, payload in questions:
            self._answer(node, peer, payload)
        self._check_bounds(node.replica)
        self._come_round(node.wake_us())

    def _counts(self, node: Node) -> dict[str, int]:
        """What tells by going up in a turn that a state worth reaching was reached."""
        holdback = node.replica.holdback
        return {
            "batches held back": len(holdback.batches),
            "the holdback queue overflowed": holdback.evicted,
            "requests parked": len(holdback.requests),
            "a commit failed": node.health.failures,
            "a new origin delivered": len(node.replica.cut.entries),
        }

    def _note_rare_states(
        self, before: dict[str, int], after: dict[str, int], inputs: Inputs
    ) -> None:
        rose = [state for state, count in after.items() if count > before[state]]
        for state in rose:
            self._world.reach(state)
        if "a commit failed" in rose and before["requests parked"]:
            self._world.reach("a commit failed with parked requests")
        if "a commit failed" in rose and inputs.pulled:
            self._world.reach("a commit failed during repair")
        if "a new origin delivered" in rose and before["requests parked"]:
            self._world.reach("an incarnation opened with parked requests")
        if inputs.requests and (inputs.batches or inputs.pulled):
            self._world.reach("a delivery and a request in one turn")

    def _answer(self, node: Node, peer: str, payload: bytes) -> None:
        question = decode_request(payload).operations
        assert isinstance(question, Since)
        try:
            batches = node.since(question.vector, question.bytes_max)
        except StorageError:
            return
        answer = encode_answer(1, None, [("ok", batches)])
        self._cluster.send_pulled(self.name, peer, answer)

    def _check_bounds(self, replica: Replica) -> None:
        holdback, limits = replica.holdback, self._plan.limits
        for what, size, limit in (
            ("held batches", len(holdback.batches), limits.held_batches_max),
            ("held bytes", holdback.batch_bytes, limits.held_bytes_max),
            ("parked requests", len(holdback.requests), limits.parked_requests_max),
            ("parked bytes", holdback.request_bytes, limits.parked_bytes_max),
        ):
            if size > limit:
                raise Violation("bounds", f"{self.name} has {size} {what}; the limit is {limit}")

    def _wall_us(self) -> int:
        now_us = self._world.now_us
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
        self._world.note(f"{self.name} publishes {batch.origin}:{batch.first}-{batch.last}")
        self._gossip(gossip.BATCH, batch.encoded)

    def claim(self, claim: Claim) -> None:
        """See `Outbox`."""
        self.step()
        self._gossip(gossip.CLAIM, gossip.encode_claim(claim))

    def reply(self, reply: Reply, token: Vector) -> None:
        """See `Outbox`."""
        self.step()
        flight = reply.reply_to
        assert isinstance(flight, Flight)
        if reply.ran:
            if flight.seen & ~self._shown:
                lacking = self._cluster.oracle.dots(flight.seen & ~self._shown)
                raise Violation(
                    "session guarantees", f"{self.name} serves {flight.session} without {lacking}"
                )
            self._shown = self._cluster.oracle.answer(self._shown, flight.operations, reply.results)
        for result in reply.results:
            self._check_refusal(flight, result)
        results = [encode_result(result) for result in reply.results]
        encoded_token = encode_token(CLUSTER, token) if reply.ran else None
        payload = encode_answer(reply.id, encoded_token, results)
        self._world.note(f"{self.name} answers {flight.session}: {payload.hex()}")
        self._cluster.send_answer(self.name, flight, payload, self.seen if reply.ran else 0)

    def _check_refusal(self, flight: Flight, result: Result) -> None:
        """What is called undone must be undone, and what is missing must be missing."""
        if isinstance(result, Delayed):
            has = self._cluster.oracle.known(result.missing) & self._shown
            if has or not result.missing:
                raise Violation("delays", f"{self.name} says it lacks {result.missing}")
        if isinstance(result, Failed) and not result.maybe:
            values = [op.value for op in flight.operations if isinstance(op, Put)]
            self._cluster.undone.update(values)

    def pull(self, pull: Pull) -> None:
        """See `Outbox`."""
        self.step()
        self._world.note(f"{self.name} pulls from {pull.name}")
        payload = encode_request(1, None, 0, [since(pull.vector, self._cluster.pull_bytes)])
        self._cluster.send_question(self.name, pull.name, payload)

    def _gossip(self, kind: str, body: bytes) -> None:
        header = gossip.Header(CLUSTER, self.name, self._instance, kind)
        self._cluster.send_gossip(self.name, gossip.encode_header(header), body)

    # --- the disk

    def committing(self, commit: Commit) -> tuple[Seen, Seen]:
        """The node tries to commit; what it will have seen, without and with its own."""
        self.step()
        return self._cluster.oracle.commit(self.seen, self._origin, commit)

    def committed(self, others: Seen, seen: Seen) -> None:
        """It went well."""
        self._shown, self.seen = others, seen
        self.step()

    def _on_disk(self) -> Seen:
        log = self.disk.families["log"].values()
        return self._cluster.oracle.found(decode_batch(encoded) for encoded in log)

    def _make_replica(self, saved: Saved, store: Store) -> Replica:
        before, self.seen = self.seen, self._on_disk()
        if before & ~self.seen:
            lost = self._cluster.oracle.dots(before & ~self.seen)
            raise Violation("durability", f"{self.name} forgot {lost} without a power failure")
        self._shown = self.seen
        created_s = self._wall_us() // 1_000_000
        self._origin = new_origin(
            self.name, created_s, self._dice.between(0, (1 << RANDOM_BITS) - 1)
        )
        return Replica(
            Identity(self.name, self._origin, self._instance),
            saved,
            store,
            encode_batch,
            self._dice.random,
            limits=self._plan.limits,
            heartbeat_us=HEARTBEAT_US,
            commits_are_synced=self._plan.durability is Durability.ALWAYS,
        )


class SimulatedStore(MemoryStore):
    """Tells the machine of each commit before it is tried and when it went well."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.disk)
        self._machine = machine

    def commit(self, commit: Commit, *, sync: bool) -> None:
        """See `Store.commit`."""
        seen = self._machine.committing(commit)
        super().commit(commit, sync=sync)
        self._machine.committed(*seen)
