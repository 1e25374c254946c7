"""What a machine tells the oracle of its node."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kvnode.codec import gossip
from kvnode.codec.client import decode_answer, encode_request, get, put, replicated
from kvnode.codec.server import decode_request
from kvnode.codec.token import decode_token
from kvnode.core.messages import Claim
from kvnode.daemon.node import Durability
from tests.simulation.cluster import CLUSTER, Cluster, Excused
from tests.simulation.disk import seen_on
from tests.simulation.machine import Flight, Machine
from tests.simulation.network import REQUESTS, Connection
from tests.simulation.oracle import Seen
from tests.simulation.plan import SECOND_US, Plan
from tests.simulation.world import Violation, World


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

    def hear(self, *, claim: bool) -> None:
        """A claim of N2 arrives, or a batch, which is here already."""
        kind = gossip.CLAIM if claim else gossip.BATCH
        header = gossip.Header(CLUSTER, "N2", 1, kind)
        said = gossip.encode_claim(Claim("N2", 1, {}, {}, 0, {}, 0, number=1))
        assert self.node is not None
        body = said if claim else self.node.since({}, 1)[0]
        self.receive_gossip(gossip.encode_header(header), body)

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


def test_a_machine_goes_back_to_what_it_showed_and_not_to_what_its_disk_had_besides() -> None:
    machine = Alone()
    machine.ask("before", put(b"k", b"v"))
    shown = machine.seen
    machine.disk.full, machine.disk.fail_next_commit = True, True
    machine.ask("fails", put(b"k", b"w"))
    assert seen_on(machine.disk) & ~machine.seen, "a commit failed, and is there all the same"
    machine.freeze()
    machine.disk.full = False
    machine.ask("later", put(b"k", b"x"))
    machine.revert(sets_clock=True)
    assert machine.seen == shown
    machine.ask("reads", get(b"k"))  # what is shown is held against that


def test_what_came_and_was_not_taken_in_when_a_machine_was_frozen_is_no_sign_of_life() -> None:
    machine = Alone()
    machine.hear(claim=True)
    machine.world.run_until(2 * SECOND_US + SECOND_US // 2)
    machine.hear(claim=False)
    machine.freeze()
    machine.world.run_until(4 * SECOND_US)
    machine.revert(sets_clock=True)
    machine.world.run_until(5 * SECOND_US)


def test_a_machine_that_could_not_even_read_when_it_was_frozen_can_not_when_it_goes_back() -> None:
    machine = Alone()
    assert machine.node is not None
    machine._is_blind, machine.node.health.serving = True, False
    machine.freeze()
    machine._is_blind, machine.node.health.serving = False, True
    machine.revert(sets_clock=True)
    machine._check_reads_go_on(machine.node)


def test_nothing_arrives_that_was_sent_to_the_process_before() -> None:
    machine, arrived = Alone(), []
    network, over = machine.cluster.network, Connection("N2", "N1", REQUESTS)
    network.send("N2", "N1", 1, lambda: arrived.append("before"), over)
    machine.kill()
    network.send("N2", "N1", 1, lambda: arrived.append("between"), over)
    machine.start()
    network.send("N2", "N1", 1, lambda: arrived.append("after"), over)
    machine.world.run_until(2 * SECOND_US)
    assert arrived == ["after"]


def doubled(*faults: str) -> Alone:
    """A machine that was reverted with its clocks, and wrote under a dot that it had given before;
    the snapshot that is to be put in place has the write of before."""
    machine = Alone()
    machine._plan = replace(machine._plan, faults=faults)
    machine.ask("opens", put(b"k", b"u"))
    machine.freeze()
    machine.ask("before", put(b"k", b"v"))
    before = machine.seen
    machine.revert(sets_clock=False)
    machine.ask("again", put(b"k", b"w"))
    machine.staged = before
    assert machine.cluster.oracle.mixed(machine.seen | before, "N1").bit_count() == 2
    return machine


def test_no_snapshot_replaces_what_a_reverted_machine_wrote_under_the_same_dots() -> None:
    for machine in (doubled("capped logs"), doubled()):
        with pytest.raises(Violation, match="in place over"):
            machine.switching()


def test_a_snapshot_may_do_that_where_no_log_could_tell() -> None:
    machine, whole = doubled("capped logs"), doubled()
    for it in (machine, whole):
        assert it.node is not None
        it.untold.add(it.node.replica.origin)
    with pytest.raises(Excused):
        machine.switching()
    with pytest.raises(Violation, match="in place over"):
        whole.switching()


def test_a_snapshot_with_the_same_history_is_put_in_place() -> None:
    machine = Alone()
    machine.staged = machine.seen
    assert machine.switching() == machine.seen


def test_what_a_machine_commits_that_went_back_before_a_failure_is_seen_with_its_answer() -> None:
    machine = Alone()
    machine.freeze()
    machine.failed()
    machine.revert(sets_clock=True)
    machine.ask("writes", put(b"k", b"v"))
    _, seen = machine.answers["writes"]
    assert seen == machine.seen
