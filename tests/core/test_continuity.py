"""When a process may have gone back in time."""

from __future__ import annotations

import pytest

from kvnode.core.clock import Now
from kvnode.core.continuity import (
    PATIENCE_HEARTBEATS,
    PATIENCE_US_MIN,
    RENEWAL_EVERY_US,
    RENEWALS_MAX,
    TURN_US_MAX,
    Continuity,
)

HEARTBEAT_US = 500_000
PATIENCE_US = PATIENCE_HEARTBEATS * HEARTBEAT_US


class Process:
    """A process that turns, after some time by each clock."""

    def __init__(self) -> None:
        self.continuity = Continuity(heartbeat_us=HEARTBEAT_US)
        self.now = Now(1_000_000, 7)
        self.turn(0)

    def turn(self, wall_us: int, steady_us: int | None = None, *, hears: bool = False) -> bool:
        """Whether it may have gone back since the turn before."""
        steady_us = wall_us if steady_us is None else steady_us
        self.now = Now(self.now.wall_us + wall_us, self.now.steady_us + steady_us)
        return self.continuity.may_be_broken(self.now, hears=hears)

    def rest(self, after_us: int) -> None:
        self.now = Now(self.now.wall_us + after_us, self.now.steady_us + after_us)
        self.continuity.rests(self.now)


def test_who_turns_at_each_heartbeat_has_not() -> None:
    process = Process()
    assert not any(process.turn(HEARTBEAT_US) for _ in range(10))


@pytest.mark.parametrize(
    ("wall_us", "steady_us"),
    [(PATIENCE_US + 1, 0), (0, PATIENCE_US + 1), (PATIENCE_US + 1, PATIENCE_US + 1)],
)
def test_a_gap_by_either_clock_shows_that_it_may_have(wall_us: int, steady_us: int) -> None:
    process = Process()
    assert not process.turn(PATIENCE_US)
    assert process.turn(wall_us, steady_us)
    assert process.continuity.misses_time
    assert not process.turn(HEARTBEAT_US)
    assert not process.continuity.misses_time


def test_a_short_wait_is_no_gap_however_short_the_heartbeats() -> None:
    continuity = Continuity(heartbeat_us=1)
    assert not continuity.may_be_broken(Now(7, 7), hears=True)
    assert not continuity.may_be_broken(Now(7, 7 + PATIENCE_US_MIN), hears=False)
    assert continuity.may_be_broken(Now(7, 8 + 2 * PATIENCE_US_MIN), hears=False)


def test_a_wall_clock_that_is_set_back_shows_nothing() -> None:
    assert not Process().turn(-PATIENCE_US - 1, HEARTBEAT_US)


def test_a_turn_that_takes_long_shows_nothing() -> None:
    process = Process()
    process.rest(after_us=TURN_US_MAX)
    assert not process.turn(0)
    process.rest(after_us=0)
    assert process.turn(PATIENCE_US + 1)
    process.rest(after_us=TURN_US_MAX)
    assert process.turn(1)


def test_a_turn_that_takes_long_by_the_wall_clock_alone_shows_that_it_may_have() -> None:
    process = Process()
    process.continuity.rests(Now(process.now.wall_us + PATIENCE_US, process.now.steady_us))
    assert not process.turn(PATIENCE_US, 0)
    process.continuity.rests(Now(process.now.wall_us + PATIENCE_US + 1, process.now.steady_us))
    assert process.turn(PATIENCE_US + 1, 0)


def test_if_all_fall_silent_it_may_have_but_once_for_each_silence() -> None:
    process = Process()
    for _ in range(2):
        assert not process.turn(HEARTBEAT_US, hears=True)
        assert not any(process.turn(HEARTBEAT_US) for _ in range(PATIENCE_HEARTBEATS))
        assert process.turn(1)
        assert not process.continuity.misses_time
        assert not any(process.turn(HEARTBEAT_US) for _ in range(10))


def test_who_never_heard_anyone_hears_no_silence() -> None:
    process = Process()
    assert not any(process.turn(HEARTBEAT_US) for _ in range(10))


def test_suspicions_make_no_more_incarnations_than_so_many_at_once_and_then_one_at_a_time() -> None:
    continuity = Continuity(heartbeat_us=HEARTBEAT_US)
    assert [continuity.may_renew(at) for at in range(RENEWALS_MAX + 2)].count(True) == RENEWALS_MAX
    later_us = RENEWAL_EVERY_US
    assert continuity.may_renew(later_us)
    assert not continuity.may_renew(later_us + RENEWAL_EVERY_US - 1)
    assert continuity.may_renew(later_us + RENEWAL_EVERY_US)
    long_after_us = 10_000 * RENEWAL_EVERY_US
    regained = [continuity.may_renew(long_after_us) for _ in range(RENEWALS_MAX + 1)]
    assert regained.count(True) == RENEWALS_MAX
