"""Pieces on the wire come back as they were, and unsound ones are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.codec.packing import pack, unpack
from kvnode.codec.pieces import decode_begun, decode_piece, encode_piece
from kvnode.core.pieces import BEGUN_MAX, DIGEST_BYTES, WHOLE_BYTES_MAX, Begun, Piece
from kvnode.errors import MalformedError

DIGEST = bytes(DIGEST_BYTES)
digests = st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES)
sizes = st.integers(1, WHOLE_BYTES_MAX)
pieces = st.builds(Piece, digests, sizes, sizes, st.binary(min_size=1))


@given(pieces)
def test_a_piece_comes_back_as_it_was(piece: Piece) -> None:
    assert decode_piece(unpack(pack(encode_piece(piece)))) == piece


@given(st.lists(st.builds(Begun, digests, sizes), max_size=BEGUN_MAX))
def test_what_has_begun_comes_back_as_it_was(begun: list[Begun]) -> None:
    assert decode_begun(unpack(pack(begun))) == tuple(begun)


@pytest.mark.parametrize(
    "result",
    [
        ["piece"],
        ["piece", DIGEST, 1, 0],
        ["piece", DIGEST, 1, 0, b""],
        ["piece", DIGEST, 1, 0, "text"],
        ["piece", DIGEST[1:], 1, 0, b"x"],
        ["piece", None, 1, 0, b"x"],
        ["piece", DIGEST, 0, 0, b"x"],
        ["piece", DIGEST, WHOLE_BYTES_MAX + 1, 0, b"x"],
        ["piece", DIGEST, 1, -1, b"x"],
        ["piece", DIGEST, 1, True, b"x"],
    ],
)
def test_an_unsound_piece_is_refused(result: list[Any]) -> None:
    with pytest.raises(MalformedError):
        decode_piece(result)
