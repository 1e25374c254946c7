"""What the log says of troubles: as they begin and as they end, and not in between."""

from __future__ import annotations

import logging

import pytest

from kvnode.core.catch_up import Decided
from kvnode.daemon.logs import Complaints
from kvnode.daemon.neighbours import Unheard
from kvnode.daemon.node import REOPEN_US
from kvnode.daemon.reports import JOINING_AGAIN_US, UNHEARD_AGAIN_US, UNHEARD_HEARTBEATS, Reports
from tests.daemon.recorded import Recorded

HEARTBEAT_US = 500_000
LATE_US = UNHEARD_HEARTBEATS * HEARTBEAT_US


class Told:
    """A node, and what the log says of it."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.node = Recorded()
        self.node.turn()
        self._reports = Reports(Complaints(), heartbeat_us=HEARTBEAT_US)
        self._caplog = caplog
        caplog.set_level(logging.INFO, "kvnode")

    def lines(self, *unheard: Unheard, at_us: int = 0) -> list[str]:
        """What is new at this time, while these are not heard."""
        self._caplog.clear()
        self._reports.tell(self.node.node, lambda: unheard, at_us)
        return [f"{it.levelname} {it.getMessage()}" for it in self._caplog.records]

    def peers(self, *unheard: Unheard, at_us: int, has_heard: bool = False) -> list[str]:
        """What is new once these are not heard at this time."""
        self._caplog.clear()
        self._reports.tell_of_peers(self.node.node, unheard, at_us, has_heard=has_heard)
        return [f"{it.levelname} {it.getMessage()}" for it in self._caplog.records]

    @property
    def alarm(self) -> str | None:
        """What is said of its peers."""
        return self.node.node.replica.alarms.raised.get("peers")


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    return Told(caplog)


def test_a_node_that_does_well_is_not_told_of(told: Told) -> None:
    told.node.turn(told.node.put("k", "v"))
    assert told.lines() == []


def test_a_node_that_joins_says_so_and_now_and_then_for_whom_it_waits(told: Told) -> None:
    told.node.node.catch_up.decided = Decided(may_join=False, is_done=False)
    (began,) = told.lines(at_us=0)
    assert began.startswith("INFO joining: the disk was empty")
    assert told.lines(at_us=JOINING_AGAIN_US - 1) == []
    (waits,) = told.lines(Unheard("tcp://y:1", "never answered"), at_us=JOINING_AGAIN_US)
    assert waits.startswith("WARNING still joining: not heard: tcp://y:1 (never answered). ")
    assert waits.endswith("start it without --join")
    assert told.lines(at_us=2 * JOINING_AGAIN_US - 1) == []
    told.node.node.catch_up.decided = Decided(may_join=True, is_done=False)
    assert told.lines(at_us=2 * JOINING_AGAIN_US) == ["INFO joined the cluster"]


def test_an_alarm_is_told_as_it_begins_and_as_it_ends_and_not_with_each_digest(told: Told) -> None:
    alarms = told.node.node.replica.alarms
    alarms.raised["digest Y"] = "X and Y differ: digests 1 and 2"
    alarms.raised["table"] = "damaged"
    assert sorted(told.lines()) == [
        "ERROR ALARM: X and Y differ: digests 1 and 2",
        "ERROR ALARM: damaged",
    ]
    for at in range(5):
        alarms.raised["digest Y"] = f"X and Y differ: digests {at} and 2"
        assert told.lines() == []
    del alarms.raised["digest Y"]
    assert told.lines() == ["INFO the alarm has ended: X and Y differ: digests 1 and 2"]
    assert told.lines() == []


def test_a_disk_is_told_of_as_it_fails_and_as_it_works_again(told: Told) -> None:
    told.node.disk.full = True
    told.node.turn(told.node.put("k", "v"))
    (line,) = told.lines()
    assert line.startswith("ERROR the disk takes no writes, but reads go on; trying again: no")
    assert told.lines() == []
    told.node.disk.full = False
    told.node.now_us += REOPEN_US
    told.node.turn()
    assert told.lines() == ["INFO the disk takes writes again"]


def test_a_commit_that_failed_on_a_disk_that_works_is_told(told: Told) -> None:
    told.node.disk.fail_next_commit = False
    told.node.turn(told.node.put("k", "v"))
    (line,) = told.lines()
    assert line.startswith("ERROR a commit failed; the store is open again")


def test_a_clock_that_is_ahead_is_told_of_once(told: Told) -> None:
    for ahead_s, count in ((0, 0), (3600, 1), (3601, 0), (0, 0)):
        told.node.turn(claims=(told.node.others_claim({}, ahead_us=ahead_s * 1_000_000),))
        lines = told.lines()
        assert len(lines) == count and all("that of Y by 3600 s" in line for line in lines)


# --- peers that are not heard

Y = Unheard("tcp://y:1", "never answered")
Z = Unheard("tcp://z:1", "refused: is of cluster 'd', this node of 'c'", is_refused=True)


def test_a_peer_that_is_not_heard_for_long_is_told_of_once_and_when_it_is_heard(told: Told) -> None:
    assert told.peers(Y, at_us=0) == []
    assert told.peers(Y, at_us=LATE_US - 1) == []
    (line,) = told.peers(Y, at_us=LATE_US)
    assert line.startswith("WARNING peer at tcp://y:1 is not heard: never answered; ")
    assert told.peers(Y, at_us=LATE_US + UNHEARD_AGAIN_US) == []
    (line,) = told.peers(at_us=LATE_US + 1)
    assert line == "INFO peer at tcp://y:1 is heard, or not looked for any more"


def test_another_reason_is_told_but_not_with_each_heartbeat(told: Told) -> None:
    told.peers(Y, at_us=0)
    assert told.peers(Y, at_us=LATE_US)
    other = Y._replace(reason="leads to this node itself")
    assert told.peers(other, at_us=LATE_US + 1) == []
    (line,) = told.peers(other, at_us=LATE_US + UNHEARD_AGAIN_US)
    assert "leads to this node itself" in line


def test_a_node_that_hears_none_of_its_peers_raises_an_alarm_until_it_does(told: Told) -> None:
    told.peers(Y, at_us=0)
    assert told.alarm is None
    told.peers(Y, at_us=LATE_US)
    assert told.alarm == "X does not hear those that it should: tcp://y:1: never answered"
    told.peers(Y, at_us=LATE_US, has_heard=True)
    assert told.alarm is None


def test_a_peer_that_refuses_is_an_alarm_though_others_are_heard(told: Told) -> None:
    for at_us in (0, LATE_US):
        told.peers(Y, Z, at_us=at_us, has_heard=True)
    assert told.alarm is not None and "tcp://z:1: refused: " in told.alarm
    assert "tcp://y:1" not in told.alarm


def test_an_alarm_names_a_few_of_many(told: Told) -> None:
    many = [Unheard(f"tcp://y:{port}", "never answered") for port in range(1, 10)]
    for at_us in (0, LATE_US):
        told.peers(*many, at_us=at_us)
    assert told.alarm is not None and told.alarm.endswith("tcp://y:3: never answered; and 6 more")


def test_peers_are_looked_at_once_a_heartbeat() -> None:
    reports = Reports(Complaints(), heartbeat_us=HEARTBEAT_US)
    times = [0, 1, HEARTBEAT_US, HEARTBEAT_US + 1]
    assert [reports.looks_at_peers(at_us) for at_us in times] == [True, False, True, False]
