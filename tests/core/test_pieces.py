"""Pieces make a whole, from whichever peer they come, and nothing comes twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.pieces import (
    BEGUN_BYTES_MAX,
    BEGUN_IDLE_US,
    BEGUN_MAX,
    WHOLE_BYTES_MAX,
    Begun,
    Piece,
    Pieces,
    digest_of,
    piece_of,
)
from kvnode.errors import MalformedError

WHOLE = bytes(range(100))
DIGEST = digest_of(WHOLE)


def piece(offset: int, end: int, whole: bytes = WHOLE) -> Piece:
    return Piece(digest_of(whole), len(whole), offset, whole[offset:end])


def served(pieces: Pieces, whole: bytes, bytes_max: int) -> Piece:
    """What a peer answers that is told what has come."""
    return piece_of(whole, digest_of(whole), pieces.begun, bytes_max)


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=50), st.integers(1, 20)), max_size=4))
def test_wholes_come_about_with_each_byte_sent_once(asked: list[tuple[bytes, int]]) -> None:
    pieces = Pieces()
    for whole, bytes_max in asked:
        sent, came = 0, None
        while came is None:
            piece = served(pieces, whole, bytes_max)
            sent += len(piece.data)
            is_news, came = pieces.take(piece, 0)
            assert is_news
        assert (came, sent) == (whole, len(whole))
    assert pieces.begun == []


def test_another_peer_goes_on_where_the_first_one_stopped() -> None:
    pieces = Pieces()
    pieces.take(served(pieces, b"of one peer", 5), 0)
    pieces.take(served(pieces, WHOLE, 60), 0)
    assert pieces.begun == [Begun(digest_of(b"of one peer"), 5), Begun(DIGEST, 60)]
    assert served(pieces, WHOLE, 60) == piece(60, 100)
    assert pieces.take(piece(60, 100), 0) == (True, WHOLE)


def test_what_came_before_is_no_news_and_of_what_overlaps_only_the_rest_counts() -> None:
    pieces = Pieces()
    pieces.take(piece(0, 60), 0)
    assert pieces.take(piece(0, 60), 0) == (False, None)
    assert pieces.take(piece(0, 70), 0) == (True, None)
    assert pieces.begun == [Begun(DIGEST, 70)]


def test_what_does_not_follow_is_no_news() -> None:
    pieces = Pieces()
    assert pieces.take(piece(10, 20), 0) == (False, None)
    pieces.take(piece(0, 5), 0)
    assert pieces.take(piece(10, 20), 0) == (False, None)
    assert pieces.begun == [Begun(DIGEST, 5)]


def test_what_makes_another_whole_than_was_said_is_refused_and_begins_anew() -> None:
    pieces = Pieces()
    pieces.take(piece(0, 60), 0)
    with pytest.raises(MalformedError):
        pieces.take(Piece(DIGEST, 100, 60, bytes(40)), 0)
    assert pieces.begun == []


@pytest.mark.parametrize(
    "other",
    [
        Piece(DIGEST, 101, 60, bytes(1)),
        Piece(DIGEST, 100, 60, bytes(41)),
        Piece(digest_of(b"x"), WHOLE_BYTES_MAX + 1, 0, b"x"),
        Piece(digest_of(b""), 0, 0, b"x"),
    ],
)
def test_sizes_that_can_not_be_are_refused(other: Piece) -> None:
    pieces = Pieces()
    pieces.take(piece(0, 60), 0)
    with pytest.raises(MalformedError):
        pieces.take(other, 0)


def test_only_a_few_may_have_begun_and_the_oldest_goes() -> None:
    pieces = Pieces()
    wholes = [bytes([number] * 10) for number in range(BEGUN_MAX + 1)]
    for whole in wholes:
        pieces.take(piece(0, 5, whole), 0)
    assert [it.digest for it in pieces.begun] == [digest_of(whole) for whole in wholes[1:]]
    pieces.take(piece(5, 6, wholes[1]), 0)
    pieces.take(piece(0, 5), 0)
    assert [it.digest for it in pieces.begun][:2] == [digest_of(wholes[3]), digest_of(wholes[4])]


def test_all_together_take_no_more_than_their_bytes_and_the_latest() -> None:
    pieces = Pieces()
    half = bytes(BEGUN_BYTES_MAX // 2 + 1)
    for number in range(3):
        pieces.take(Piece(digest_of(b"%d" % number), WHOLE_BYTES_MAX, 0, half), 0)
        assert len(pieces.begun) == 1
    pieces.take(Piece(digest_of(b"2"), WHOLE_BYTES_MAX, len(half), half + half), 0)
    assert [it.size_bytes for it in pieces.begun] == [3 * len(half)]


def test_what_nobody_sends_any_more_is_forgotten() -> None:
    pieces = Pieces()
    pieces.take(piece(0, 5), 1000)
    pieces.take(piece(0, 5, b"another one"), 2000)
    pieces.forget_the_idle(1000 + BEGUN_IDLE_US)
    assert [it.digest for it in pieces.begun] == [digest_of(b"another one")]


def test_who_claims_to_have_more_than_there_is_gets_it_from_the_start() -> None:
    assert piece_of(WHOLE, DIGEST, [Begun(DIGEST, 100)], 10).offset == 0
