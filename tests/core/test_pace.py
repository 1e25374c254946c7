"""Pace: answers take about a heartbeat on any link, and as long as they must on none."""

from __future__ import annotations

import pytest

from kvnode.core.limits import KIB, MIB
from kvnode.core.pace import FIRST_BYTES, LEAST_BYTES, MOST_BYTES, Pace

HEARTBEAT_US = 500_000
SECOND_US = 1_000_000


class Link:
    """A link of so many bytes a second, on which a question and its answer take so long at the
    least."""

    def __init__(self, bytes_per_s: int, latency_us: int = 1_000) -> None:
        self.pace = Pace(heartbeat_us=HEARTBEAT_US)
        self.bytes_per_s = bytes_per_s
        self.latency_us = latency_us

    def answer(self, size_bytes: int | None = None) -> tuple[int, int]:
        """One answer, as long as is asked for or shorter: its size, and what it took."""
        size_bytes = size_bytes or self.pace.bytes_max
        took_us = self.latency_us + size_bytes * SECOND_US // self.bytes_per_s
        self.pace.answered(size_bytes, took_us)
        return size_bytes, took_us


@pytest.mark.parametrize("bytes_per_s", [2 * KIB, 16 * KIB, 125_000, 250_000, MIB])
def test_answers_come_to_take_about_a_heartbeat(bytes_per_s: int) -> None:
    link = Link(bytes_per_s)
    for _ in range(8):
        link.answer()
    took_us = sorted(link.answer()[1] for _ in range(100))
    assert took_us[0] >= HEARTBEAT_US // 4
    assert took_us[90] <= 5 * HEARTBEAT_US // 2, "now and then more is tried"
    assert took_us[-1] < 5 * HEARTBEAT_US


def test_a_fast_link_is_asked_for_most_after_three_answers() -> None:
    link = Link(100 * MIB)
    sizes = [link.answer()[0] for _ in range(4)]
    assert sizes == [FIRST_BYTES, 4 * FIRST_BYTES, 16 * FIRST_BYTES, MOST_BYTES]


def test_nothing_is_asked_for_beyond_the_most_and_below_the_least() -> None:
    fast, slow = Link(10**9), Link(10)
    for _ in range(20):
        fast.answer()
        slow.answer()
        assert fast.pace.bytes_max <= MOST_BYTES
        assert LEAST_BYTES <= slow.pace.bytes_max <= FIRST_BYTES


@pytest.mark.parametrize("latency_us", [300_000, 600_000, 900_000])
def test_a_far_link_is_filled_all_the_same(latency_us: int) -> None:
    """A satellite: more on the way, not more ways."""
    link = Link(2 * MIB, latency_us)
    for _ in range(8):
        link.answer()
    assert link.answer()[0] >= MOST_BYTES // 2


def test_a_peer_that_is_busy_is_not_asked_for_ever_less() -> None:
    """What takes its time is not the bytes."""
    link = Link(100 * MIB, 6 * HEARTBEAT_US)
    sizes = [link.answer()[0] for _ in range(60)]
    assert sum(sizes[20:]) / 40 >= FIRST_BYTES


def test_a_link_that_becomes_slow_and_fast_again_is_followed() -> None:
    link = Link(100 * MIB)
    for _ in range(6):
        link.answer()
    link.bytes_per_s = 64 * KIB
    for _ in range(6):
        link.answer()
    assert link.answer()[1] <= 2 * HEARTBEAT_US
    link.bytes_per_s = 100 * MIB
    for _ in range(24):
        link.answer()
    assert link.answer()[0] == MOST_BYTES


def test_short_answers_tell_nothing_of_the_link() -> None:
    link = Link(100 * MIB)
    for _ in range(10):
        link.answer(10)
    assert link.pace.bytes_max == FIRST_BYTES
    link.latency_us = 10 * SECOND_US
    for _ in range(10):
        link.answer(10)
    assert link.pace.bytes_max == FIRST_BYTES


def test_where_no_answer_came_in_time_less_is_asked_for() -> None:
    pace = Pace(heartbeat_us=HEARTBEAT_US)
    pace.in_vain()
    assert pace.bytes_max == FIRST_BYTES // 4
    for _ in range(5):
        pace.in_vain()
    assert pace.bytes_max == LEAST_BYTES
