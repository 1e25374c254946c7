"""What a pull collects of the log."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.limits import PULLED_BATCHES_MAX
from kvnode.core.succession import NO_ENDS
from kvnode.core.vector import new_origin
from kvnode.storage.collecting import collect
from kvnode.storage.layout import index_key, log_key
from tests.histories import History
from tests.storage.commits import X, Y
from tests.strategies import histories

LOG = {bytes([n]): bytes([n]) * 10 for n in range(6)}
POSITIONS = {X: [b"\0", b"\3", b"\4"], Y: [b"\1", b"\2", b"\5"]}


def collected(lacking, bytes_max):
    def positions(origin, seq):
        return iter(POSITIONS[origin][seq - 1 :])

    return collect(lacking, NO_ENDS, bytes_max, positions, LOG.__getitem__)


def test_batches_of_several_origins_are_collected_in_the_order_of_the_log():
    assert collected({Y: 1, X: 1}, 1000) == list(LOG.values())
    assert collected({Y: 2, X: 3}, 1000) == [LOG[b"\2"], LOG[b"\4"], LOG[b"\5"]]
    assert collected({}, 1000) == []


@pytest.mark.parametrize(("bytes_max", "count"), [(0, 1), (10, 1), (19, 1), (20, 2), (60, 6)])
def test_collecting_stops_at_the_size_but_never_before_the_first(bytes_max, count):
    assert collected({X: 1, Y: 1}, bytes_max) == list(LOG.values())[:count]


def test_collecting_stops_at_the_greatest_number_of_batches():
    positions = [n.to_bytes(8, "big") for n in range(PULLED_BATCHES_MAX + 1)]
    found = collect({X: 1}, NO_ENDS, 1 << 30, lambda *_: iter(positions), lambda position: position)
    assert found == positions[:-1]


class Log:
    """The index of a log, which counts how often it is searched."""

    def __init__(self) -> None:
        self.index: dict[str, list[tuple[int, bytes]]] = {}
        self.searches = 0
        self.length = 0

    def add(self, origin: str, last: int) -> None:
        key = log_key(self.length, origin, last)
        self.index.setdefault(origin, []).append((last, key))
        self.length += 1

    def positions(self, origin: str, seq: int) -> Iterator[bytes]:
        self.searches += 1
        return iter([key for last, key in self.index.get(origin, ()) if last >= seq])

    def collected(self, lacking, ends, count):
        return collect(lacking, ends, count, self.positions, lambda key: key[:1])


@given(histories(), st.integers(0, 40), st.integers(1, 40))
def test_what_incarnations_end_changes_nothing_but_the_work(
    history: History, has: int, count: int
) -> None:
    for process in history.processes:
        log = Log()
        for made in process.log:
            log.add(made.batch.origin, made.batch.last)
        for other in history.processes:
            behind = type(other)(other.name, other.log[:has]).cut
            lacking = process.cut.lacking(behind.heads)
            ends = process.cut.succession.ends
            assert log.collected(lacking, ends, count) == log.collected(lacking, NO_ENDS, count)


def test_the_incarnations_that_come_later_are_not_searched_for():
    origins = [new_origin("X", at, at) for at in range(1000)]
    ends = {later: {before: 1} for before, later in itertools.pairwise(origins)}
    log = Log()
    for origin in origins:
        log.add(origin, 1)
    assert len(log.collected(dict.fromkeys(origins, 1), ends, 10)) == 10
    assert log.searches <= 12


def test_incarnations_of_which_the_log_has_nothing_do_not_hide_the_later_ones():
    """A snapshot brought them: there may be any number."""
    origins = [new_origin("X", at, at) for at in range(5000)]
    ends = {later: {before: 1} for before, later in itertools.pairwise(origins)}
    log = Log()
    log.add(origins[-1], 1)
    assert len(log.collected(dict.fromkeys(origins, 1), ends, 10)) == 1


def test_an_incarnation_that_goes_on_beyond_its_end_does_not_hide_its_successor():
    one, two = new_origin("X", 1, 1), new_origin("X", 2, 2)
    log = Log()
    for origin, last in ((one, 1), (two, 1), (one, 2)):
        log.add(origin, last)
    keys = collect({one: 1, two: 1}, {two: {one: 1}}, 1 << 20, log.positions, lambda key: key)
    assert keys == [log_key(0, one, 1), log_key(1, two, 1), log_key(2, one, 2)]
    assert index_key(two, 1) in keys[1]
