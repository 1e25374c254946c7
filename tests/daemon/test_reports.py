"""What the log says of troubles: as they begin and as they end, and not in between."""

from __future__ import annotations

import logging

import pytest

from kvnode.daemon.logs import Complaints
from kvnode.daemon.node import REOPEN_US
from kvnode.daemon.reports import Reports
from tests.daemon.recorded import Recorded


class Told:
    """A node, and what the log says of it."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.node = Recorded()
        self._reports = Reports(Complaints())
        self._caplog = caplog
        caplog.set_level(logging.INFO, "kvnode")

    def lines(self) -> list[str]:
        """What is new."""
        self._caplog.clear()
        self._reports.tell(self.node.node)
        return [f"{it.levelname} {it.getMessage()}" for it in self._caplog.records]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    return Told(caplog)


def test_a_node_that_does_well_is_not_told_of(told: Told) -> None:
    told.node.turn(told.node.put("k", "v"))
    assert told.lines() == []


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
