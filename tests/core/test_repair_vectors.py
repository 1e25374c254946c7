"""What a pull says of its asker, as a peer can read it that has not seen all of it."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

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
    assert spelled_out(MINE, {X2: 9, Y1: 1}) == MINE.heads == {X2: 1, Y1: 2}


def test_a_name_is_spelled_out_to_a_peer_that_knows_another_head_of_it() -> None:
    assert spelled_out(MINE, {X1: 4, Y1: 1}) == {X1: 4, X2: 1, Y1: 2}
    assert spelled_out(MINE, {X3: 1, Y1: 1}) == {X1: 4, X2: 1, Y1: 2}


def test_everything_is_spelled_out_to_a_peer_that_claims_nothing() -> None:
    assert spelled_out(MINE, {}) == MINE.entries


@given(histories(), st.integers(0, 40))
def test_a_peer_reads_exactly_what_the_asker_has(history: History, claimed_at: int) -> None:
    for asker, peer in product(history.processes, repeat=2):
        claim = Process(peer.name, peer.log[:claimed_at]).cut.heads  # it has gone on since
        vector = spelled_out(asker.cut, claim)
        for origin in peer.cut.entries:
            expected = asker.cut.entries.get(origin, 0)
            assert peer.cut.succession.value(vector, origin) == expected
