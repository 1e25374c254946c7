"""Which cuts are kept, and which make room."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from kvnode.core.cuts import CUT_IDLE_US, CUT_QUIET_US, Cuts, TableCut
from kvnode.core.expiry import ExpiryClock
from kvnode.core.limits import Limits
from kvnode.core.overlay import Overlay, Record
from kvnode.core.vector import new_origin
from kvnode.core.versions import Version

VERSIONS = (Version(1, new_origin("X", 1, 1), 1, b"123456789"),)


@dataclass
class View:
    """Says when it is let go."""

    is_open: bool = True

    def records(self, start: bytes, end: bytes | None, *, reverse: bool) -> Iterator[Record]:
        return iter(())

    def close(self) -> None:
        self.is_open = False


class Kept:
    """At most two cuts, and 30 bytes of changes; each has `changes` of 10 bytes."""

    def __init__(self) -> None:
        self.cuts = Cuts(lambda: 0.5, Limits(cuts_max=2, cut_bytes_max=30))
        self.views: dict[int, View] = {}

    def keep(self, steady_us: int, changes: int = 1) -> int | None:
        view = View()
        held = {bytes([at]): VERSIONS for at in range(changes)}
        number = self.cuts.keep(TableCut(Overlay(view, held), ExpiryClock()), steady_us)
        if number is None:
            assert not view.is_open, "what has no room is let go"
        else:
            self.views[number] = view
        return number

    def open(self) -> list[int]:
        found = [number for number, view in self.views.items() if view.is_open]
        assert len(found) == len(self.cuts)
        return found


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_a_cut_is_found_by_its_number(kept: Kept) -> None:
    one, other = kept.keep(0), kept.keep(0)
    assert one is not None and other is not None and one != other
    assert kept.cuts.read(one, 0) is not kept.cuts.read(other, 0)
    assert kept.cuts.read(one, 0) is kept.cuts.read(one, 0)
    assert kept.cuts.read(one + other, 0) is None


def test_numbers_are_random_and_unlike_those_of_another_process() -> None:
    numbers = set()
    for random in (0.1, 0.2):
        cuts = Cuts(lambda random=random: random, Limits())
        numbers |= {cuts.keep(TableCut(Overlay(View(), {}), ExpiryClock()), 0) for _ in range(3)}
    assert len(numbers) == 6


def test_one_that_nobody_reads_is_let_go_and_one_that_is_read_stays(kept: Kept) -> None:
    one, other = kept.keep(0), kept.keep(0)
    assert one is not None
    kept.cuts.read(one, CUT_IDLE_US - 1)
    kept.cuts.close_idle(CUT_IDLE_US - 1)
    assert kept.open() == [one, other]
    kept.cuts.close_idle(CUT_IDLE_US)
    assert kept.open() == [one]
    kept.cuts.close_idle(2 * CUT_IDLE_US)
    assert kept.open() == []


def test_there_is_no_room_while_all_are_read(kept: Kept) -> None:
    both = [kept.keep(0), kept.keep(0)]
    assert kept.keep(CUT_QUIET_US - 1) is None
    assert kept.open() == both


def test_a_quiet_one_makes_room(kept: Kept) -> None:
    one, other = kept.keep(0), kept.keep(1)
    assert one is not None
    kept.cuts.read(one, 2)
    third = kept.keep(CUT_QUIET_US + 1)
    assert kept.open() == [one, third] and other not in kept.open()


def test_one_that_was_read_to_its_end_makes_room_at_once_and_can_be_read_until_then(
    kept: Kept,
) -> None:
    one, other = kept.keep(0), kept.keep(0)
    assert other is not None
    kept.cuts.was_read(other)
    assert kept.cuts.read(other, 1) is not None
    assert kept.keep(1) is None, "it is being read again"
    kept.cuts.was_read(other)
    third = kept.keep(1)
    assert kept.open() == [one, third]


def test_changes_in_memory_are_bounded_too_but_one_cut_may_have_more(kept: Kept) -> None:
    large = kept.keep(0, changes=9)
    assert large is not None and kept.cuts.size_bytes == 90
    assert kept.keep(0) is None
    kept.cuts.was_read(large)
    small = kept.keep(0)
    assert kept.open() == [small] and kept.cuts.size_bytes == 10


def test_all_are_let_go_in_the_end(kept: Kept) -> None:
    kept.keep(0), kept.keep(0)
    kept.cuts.close()
    assert kept.open() == [] and kept.cuts.size_bytes == 0
