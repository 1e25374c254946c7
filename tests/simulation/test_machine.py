"""What a machine tells the oracle of its node."""

from __future__ import annotations

from dataclasses import replace

from kvnode.codec.client import decode_answer, encode_request, put, replicated
from kvnode.codec.server import decode_request
from kvnode.codec.token import decode_token
from kvnode.daemon.node import Durability
from tests.simulation.cluster import Cluster
from tests.simulation.machine import Flight, Machine
from tests.simulation.oracle import Seen
from tests.simulation.plan import SECOND_US, Plan
from tests.simulation.world import World


class Alone(Machine):
    """The only machine of a cluster, and its answers: whose, what, and what was seen by then."""

    def __init__(self) -> None:
        plan = replace(Plan.of(0), nodes=1, faults=(), durability=Durability.INTERVAL)
        self.world = World()
        self.cluster = Cluster(self.world, plan)
        super().__init__(self.cluster, "N1")
        self.cluster.machines["N1"] = self
        self.founds = True
        self.answers: dict[str, tuple[bytes, Seen]] = {}
        self.cluster.send_answer = self._answered  # type: ignore[method-assign]
        self.start()
        self.world.run_until(SECOND_US)

    def ask(self, session: str, *operations: list[object]) -> None:
        """A request of a session of its own, and the turn that takes it in."""
        payload = encode_request(1, None, 0, operations)
        asked = decode_request(payload).operations
        assert isinstance(asked, tuple)
        self.receive_request(Flight(session, 0, asked), payload)
        self.world.run_until(self.world.now_us + SECOND_US)

    def _answered(self, sender: str, flight: Flight, payload: bytes, seen: Seen) -> None:
        self.answers[flight.session] = payload, seen


def test_who_waits_for_replicas_has_not_seen_what_a_turn_commits_to_a_disk_that_was_moved() -> None:
    machine = Alone()
    machine.ask("waits", put(b"k", b"v"), replicated(2, 60_000))
    before = machine.seen
    assert "waits" not in machine.answers
    machine.disk.moved = True
    machine.ask("writes", put(b"k", b"w"))
    assert machine.seen & ~before, "it is there, though its session is told that it may not be"
    payload, seen = machine.answers["waits"]
    assert seen == before
    _, token = decode_token(decode_answer(payload).token or b"")
    assert list(token.values()) == [2], "the token names what was seen, and no more"
