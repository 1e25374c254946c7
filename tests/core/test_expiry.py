"""Expiry: what is hidden, what is left, and what is not due any more."""

from __future__ import annotations

import pytest

from kvnode.core.expiry import ExpiryClock, due_of
from kvnode.core.messages import Due
from kvnode.core.vector import new_origin
from kvnode.core.versions import Version, Versions

X, Y, Z = (new_origin(name, 1, 1) for name in "XYZ")
NOW_US = 1_000
LASTS = Version(3, X, 1, b"lasts")
OVER, NEXT = Version(2, Y, 1, b"over", NOW_US), Version(1, Z, 1, b"next", NOW_US + 1)


def clock(*readings: int) -> ExpiryClock:
    clock = ExpiryClock()
    for wall_us in readings:
        clock.advance(wall_us)
    return clock


@pytest.mark.parametrize(
    ("held", "shown"),
    [
        ((), ()),
        ((LASTS,), (LASTS,)),
        ((OVER,), ()),
        ((NEXT,), (NEXT,)),
        ((LASTS, OVER, NEXT), (LASTS, NEXT)),
    ],
)
def test_what_has_expired_is_hidden_from_that_very_microsecond_on(
    held: Versions, shown: Versions
) -> None:
    assert clock(NOW_US).visible(held) == shown


def test_a_clock_that_is_set_back_shows_nothing_again() -> None:
    assert clock(NOW_US, NOW_US - 500).visible((OVER,)) == ()


def test_a_clock_goes_back_once_all_is_removed_that_it_has_hidden() -> None:
    back = clock(NOW_US)
    back.all_removed(NOW_US - 500)
    assert back.now_us == NOW_US - 500
    back.all_removed(NOW_US)
    assert back.now_us == NOW_US - 500, "it does not go on by that"


def test_a_time_to_live_is_counted_from_what_the_clock_says() -> None:
    assert clock(NOW_US, 0).after(2) == NOW_US + 2_000
    assert clock(NOW_US).after(None) is None


def test_a_sweep_leaves_alone_what_holds_nothing_that_is_over() -> None:
    held = {b"gone": (OVER,), b"less": (LASTS, OVER), b"all": (LASTS, NEXT), b"nothing": ()}
    assert clock(NOW_US).left(held) == {b"gone": (), b"less": (LASTS,)}


def test_each_version_that_expires_is_due() -> None:
    assert due_of(b"k", (LASTS, OVER, NEXT)) == {Due(NOW_US, b"k"), Due(NOW_US + 1, b"k")}
    assert due_of(b"k", (LASTS,)) == due_of(b"k", ()) == set()


def test_a_stopped_clock_stays_at_its_moment() -> None:
    clock = ExpiryClock()
    clock.advance(5)
    stopped = clock.stopped()
    clock.advance(7)
    assert (stopped.now_us, clock.now_us) == (5, 7)
