"""Stamps respect causality and stay near real time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clock import (
    CLOCK_AHEAD_US_MAX,
    CLOCK_STEP_US_MAX,
    STAMP_US_MAX,
    WALL_US_MAX,
    ClocksAhead,
    HybridLogicalClock,
    Now,
    WallClock,
)
from tests.histories import History, dots_of
from tests.strategies import histories, stamps

walls = st.integers(-(1 << 62), 1 << 62)


def test_a_clock_follows_the_wall() -> None:
    clock = HybridLogicalClock()
    assert [clock.tick(wall_us) for wall_us in (10, 20, 30)] == [10, 20, 30]


def test_a_clock_that_stands_or_goes_back_counts_on() -> None:
    clock = HybridLogicalClock()
    assert [clock.tick(wall_us) for wall_us in (10, 10, 3, 40)] == [10, 11, 12, 40]


def test_a_stamp_from_the_future_is_overtaken() -> None:
    clock = HybridLogicalClock()
    clock.observe(1000)
    assert clock.tick(10) == 1001


def test_an_old_stamp_takes_nothing_back() -> None:
    clock = HybridLogicalClock(50)
    clock.observe(20)
    assert clock.tick(10) == 51


def test_a_clock_goes_on_after_the_last_stamp_of_before_the_restart() -> None:
    assert HybridLogicalClock(99).tick(10) == 100


def test_a_wild_wall_clock_leaves_a_year_of_stamps() -> None:
    clock = HybridLogicalClock()
    assert clock.tick(1 << 62) == WALL_US_MAX
    assert clock.tick(1 << 62) == WALL_US_MAX + 1
    assert STAMP_US_MAX - WALL_US_MAX == 365 * 24 * 3600 * 1_000_000


@given(st.lists(st.tuples(st.sampled_from(["tick", "observe"]), stamps), min_size=1), walls)
def test_a_stamp_is_greater_than_all_before_it(events, wall_us: int) -> None:
    clock, seen = HybridLogicalClock(), 0
    for event, at_us in events:
        if event == "observe":
            clock.observe(at_us)
            seen = max(seen, at_us)
        else:
            stamp_us = clock.tick(at_us)
            assert stamp_us > seen
            seen = stamp_us
    assert clock.tick(wall_us) == max(seen + 1, min(wall_us, WALL_US_MAX))


@given(histories())
def test_a_batch_has_a_greater_stamp_than_all_of_its_past(history: History) -> None:
    stamps_us = {dot: made.batch.stamp_us for made in history.made for dot in dots_of(made.batch)}
    for made in history.made:
        assert all(stamps_us[dot] < made.batch.stamp_us for dot in made.past)


# --- the clocks of others

LIMIT_US = CLOCK_AHEAD_US_MAX


def test_a_clock_that_is_far_ahead_is_told_until_it_is_right_again() -> None:
    clocks = ClocksAhead()
    clocks.heard("Y", 5_000 + LIMIT_US + 1, 5_000)
    assert clocks.ahead_us == {"Y": LIMIT_US + 1}
    clocks.heard("Y", 9_000 + 2 * LIMIT_US, 9_000)
    assert clocks.ahead_us == {"Y": 2 * LIMIT_US}
    clocks.heard("Y", 9_000 + LIMIT_US, 9_000)
    assert clocks.ahead_us == {}


def test_a_clock_that_is_behind_may_just_be_a_slow_link() -> None:
    clocks = ClocksAhead()
    clocks.heard("Y", 0, 3600 * 1_000_000)
    assert clocks.ahead_us == {}


# --- a wall clock that jumps

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
HELD_US = 60 * SECOND_US


def read(clock: WallClock, steady_us: int, wrong_us: int = 0) -> int:
    """What is taken for the time, less what is right."""
    wall_us = 10 * DAY_US + steady_us
    now = clock.read(Now(wall_us + wrong_us, steady_us), HELD_US)
    assert now.steady_us == steady_us
    return now.wall_us - wall_us


def test_a_wall_clock_is_believed_at_the_start_and_in_small_steps() -> None:
    clock = WallClock()
    wrong_us = [DAY_US, DAY_US + CLOCK_STEP_US_MAX, DAY_US + CLOCK_STEP_US_MAX // 2]
    assert [read(clock, at_us, wrong) for at_us, wrong in enumerate(wrong_us)] == wrong_us
    assert clock.jump_us == 0


@given(st.sampled_from([DAY_US, -DAY_US, CLOCK_STEP_US_MAX + 1]))
def test_a_jump_that_ends_soon_was_none(jump_us: int) -> None:
    clock = WallClock()
    assert read(clock, 0) == 0
    for second in range(1, 60):
        assert read(clock, second * SECOND_US, jump_us) == 0
        assert clock.jump_us == jump_us
    assert read(clock, HELD_US, 5) == 5
    assert clock.jump_us == 0


@given(st.sampled_from([DAY_US, -DAY_US]))
def test_a_jump_that_lasts_is_believed(jump_us: int) -> None:
    clock = WallClock()
    read(clock, 0)
    read(clock, SECOND_US, jump_us)
    assert read(clock, SECOND_US + HELD_US - 1, jump_us + 7) == 0, "it may go on a bit uneven"
    assert read(clock, SECOND_US + HELD_US, jump_us + 8) == jump_us + 8
    assert clock.jump_us == 0


def test_a_clock_that_jumps_from_jump_to_jump_is_not_believed() -> None:
    clock = WallClock()
    read(clock, 0)
    for second in range(1, 1_000):
        assert read(clock, second * SECOND_US, second * DAY_US) == 0


def test_a_machine_that_slept_has_not_jumped() -> None:
    """Its steady clock went on, as CLOCK_BOOTTIME does."""
    clock = WallClock()
    assert (read(clock, 0), read(clock, DAY_US), clock.jump_us) == (0, 0, 0)
