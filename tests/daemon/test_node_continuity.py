"""A node that may have gone back in time goes on as a new incarnation, before it writes."""

from __future__ import annotations

import pytest

from kvnode.core.continuity import PATIENCE_HEARTBEATS, RENEWALS_MAX, TURN_US_MAX
from kvnode.core.messages import Inputs
from kvnode.core.results import Written
from tests.daemon.recorded import HEARTBEAT_US, OTHER, Recorded, failures, others_write

PATIENCE_US = PATIENCE_HEARTBEATS * HEARTBEAT_US


class Process(Recorded):
    """A node that has made a write."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.puts()

    def puts(self) -> str:
        """The incarnation that makes a write now."""
        self.turn(self.put("k", "v"))
        (written,) = self.replies[-1].results
        assert isinstance(written, Written)
        return written.dot.origin

    def goes_on(self, after_us: int = HEARTBEAT_US, *, hears: bool = False) -> None:
        """A turn in which nobody asks it to write."""
        self.now_us += after_us
        self.turn(claims=(self.others_claim({}),) if hears else ())


@pytest.fixture
def process() -> Process:
    return Process()


def test_who_turns_at_each_heartbeat_goes_on_as_it_was(process: Process) -> None:
    for _ in range(10):
        process.goes_on()
    assert process.puts() == process.first


def test_where_time_is_missing_the_next_write_opens_another(process: Process) -> None:
    process.goes_on(PATIENCE_US + 1)
    process.goes_on()
    second = process.puts()
    assert second != process.first
    assert process.puts() == second
    assert process.node.vector == {second: 2}, "it ends the one before"


def test_a_write_in_the_turn_that_misses_time_is_the_next_one(process: Process) -> None:
    process.now_us += PATIENCE_US + 1
    assert process.puts() != process.first


def test_a_jump_of_the_machines_clock_counts_though_nobody_believes_it(process: Process) -> None:
    process.wrong_us = PATIENCE_US + 1
    process.goes_on()
    assert process.node.clock.jump_us
    assert process.puts() != process.first


def test_a_commit_that_takes_long_does_not_count(process: Process) -> None:
    for _ in range(3):
        process.now_us += TURN_US_MAX  # until the turn is over
        process.node.rests(process.now)
        assert process.puts() == process.first


@pytest.mark.parametrize("silent_us", [PATIENCE_US, PATIENCE_US + 1])
def test_so_does_a_silence_of_all_peers_that_is_longer(process: Process, silent_us: int) -> None:
    process.goes_on(hears=True)
    for _ in range(silent_us // HEARTBEAT_US):
        process.goes_on()
    process.goes_on(silent_us % HEARTBEAT_US)
    assert (process.puts() == process.first) == (silent_us == PATIENCE_US)


def test_an_idle_node_opens_none(process: Process) -> None:
    for _ in range(10):
        process.goes_on(PATIENCE_US + 1)
    assert not process.node.health.failures
    assert process.node.vector == {process.first: 1}


def test_links_that_come_and_go_make_no_more_incarnations_than_so_many(process: Process) -> None:
    opened = set()
    for _ in range(2 * RENEWALS_MAX):
        process.goes_on(PATIENCE_US + 1)
        opened.add(process.puts())
    assert len(opened - {process.first}) == RENEWALS_MAX


def test_others_that_have_more_of_it_count_however_often(process: Process) -> None:
    for _ in range(2 * RENEWALS_MAX):
        origin = process.puts()
        ahead = {origin: process.node.vector[origin] + 1}
        process.turn(claims=(process.others_claim(ahead),))
        assert process.puts() != origin


def test_a_disk_that_failed_is_no_reason(process: Process) -> None:
    """Its replica is another one, which opens another incarnation anyhow."""
    process.disk.fail_next_commit = False
    process.turn(process.put("k", "lost"))
    second = process.puts()
    assert second != process.first
    process.goes_on()
    assert process.puts() == second


def test_writes_that_waited_while_time_is_missing_are_not_made(process: Process) -> None:
    token = {OTHER: 1}
    waits = process.put("w", "v", token=token, wait_us=100 * PATIENCE_US)
    reads = process.get("k", token=token, wait_us=100 * PATIENCE_US)
    process.turn(waits, reads)
    process.goes_on(PATIENCE_US)
    assert len(process.replies) == 1
    process.now_us += PATIENCE_US + 1
    process.turn(batches=(others_write(1),))
    assert failures(process, waits) == [("unavailable", True)]
    assert process.value("w") is None
    assert len(process.answers(reads.id)) == 1


def test_writes_that_wait_while_nobody_is_heard_wait_on(process: Process) -> None:
    process.goes_on(hears=True)
    waits = process.put("w", "v", token={OTHER: 1}, wait_us=100 * PATIENCE_US)
    process.turn(waits)
    for _ in range(PATIENCE_HEARTBEATS + 1):
        process.goes_on()
    process.turn(batches=(others_write(1),))
    assert process.value("w") == "v"


def test_where_time_is_missing_claims_are_numbered_beyond_all_that_were_made(
    process: Process,
) -> None:
    process.goes_on()
    process.goes_on()
    one, two = (claim.number for claim in process.claims[-2:])
    assert two == one + 1
    process.now_us += 1_000_000 * PATIENCE_US
    process.goes_on()
    process.goes_on()
    three, four = (claim.number for claim in process.claims[-2:])
    assert three >= 1_000_000 * PATIENCE_US
    assert four == three + 1


def test_pieces_of_an_answer_are_no_silence(process: Process) -> None:
    process.goes_on(hears=True)
    for _ in range(2 * PATIENCE_HEARTBEATS):
        process.now_us += HEARTBEAT_US
        process.node.turn(Inputs(heard={"Y"}), process.now, process)
    assert process.puts() == process.first
