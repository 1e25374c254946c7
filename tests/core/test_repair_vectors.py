"""What a pull says of its asker, as a peer can read it that has not seen all of it."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core import repair
from kvnode.core.repair import spelled_out
from kvnode.core.succession import Cut, Succession
from kvnode.core.vector import Vector, new_origin
from tests.histories import History, Process
from tests.strategies import histories

X1, X2, X3, Y1 = (new_origin(name, at, at) for name, at in zip("XXXY", (1, 2, 3, 1), strict=True))


def cut(*deliveries: tuple[str, int, Vector]) -> Cut:
    made = Cut(Succession())
    for origin, seq, ends in deliveries:
        made.advance(origin, seq, ends)
    return made


MINE = cut((X1, 4, {}), (X2, 1, {X1: 4}), (Y1, 2, {}))


def test_to_a_peer_that_knows_the_same_heads_they_are_enough() -> None:
    for in_full in (False, True):
        told = spelled_out(MINE, {X2: 9, Y1: 1}, in_full=in_full)
        assert told == MINE.heads == {X2: 1, Y1: 2}


def test_to_a_peer_that_lacks_a_head_what_that_ends_is_told_too() -> None:
    for in_full in (False, True):
        assert spelled_out(MINE, {X1: 4, Y1: 1}, in_full=in_full) == {X1: 4, X2: 1, Y1: 2}


def test_a_peer_that_knows_only_later_incarnations_most_likely_knows_the_heads() -> None:
    assert spelled_out(MINE, {X3: 1, Y1: 1}, in_full=False) == MINE.heads
    assert spelled_out(MINE, {X3: 1, Y1: 1}, in_full=True) == {X1: 4, X2: 1, Y1: 2}


def test_everything_is_spelled_out_to_a_peer_that_claims_nothing_and_served_nothing() -> None:
    assert spelled_out(MINE, {}, in_full=False) == MINE.heads
    assert spelled_out(MINE, {}, in_full=True) == MINE.entries


def test_only_what_a_peer_lacks_is_spelled_out() -> None:
    xs = [new_origin("X", at, at) for at in range(100)]
    mine = cut(*((x, 1, {xs[at - 1]: 1} if at else {}) for at, x in enumerate(xs)))
    told = spelled_out(mine, {xs[90]: 1}, in_full=True)
    assert told == dict.fromkeys(xs[90:], 1)


def test_what_is_spelled_out_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "SPELLED_OUT_MAX", 10)
    xs = [new_origin("X", at, at) for at in range(100)]
    mine = cut(*((x, 1, {xs[at - 1]: 1} if at else {}) for at, x in enumerate(xs)))
    assert spelled_out(mine, {}, in_full=True) == dict.fromkeys(xs[90:], 1)


@given(histories(), st.integers(0, 40))
def test_a_peer_reads_exactly_what_the_asker_has(history: History, claimed_at: int) -> None:
    for asker, peer in product(history.processes, repeat=2):
        claim = Process(peer.name, peer.log[:claimed_at]).cut.heads  # it has gone on since
        vector = spelled_out(asker.cut, claim, in_full=True)
        for origin in peer.cut.entries:
            expected = asker.cut.entries.get(origin, 0)
            assert peer.cut.succession.value(vector, origin) == expected


@given(histories(), st.integers(0, 40))
def test_a_peer_never_takes_the_asker_to_have_what_it_lacks(
    history: History, claimed_at: int
) -> None:
    for asker, peer in product(history.processes, repeat=2):
        claim = Process(peer.name, peer.log[:claimed_at]).cut.heads
        vector = spelled_out(asker.cut, claim, in_full=False)
        for origin in peer.cut.entries:
            assert peer.cut.succession.value(vector, origin) <= asker.cut.entries.get(origin, 0)
