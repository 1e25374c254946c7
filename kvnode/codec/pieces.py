"""Pieces on the wire: how they are asked for, and answered.

["piece", digest, size, offset, bytes]
"""

from __future__ import annotations

from typing import Any

from kvnode.codec.packing import INTEGER_MAX, array, integer
from kvnode.core.pieces import BEGUN_MAX, DIGEST_BYTES, WHOLE_BYTES_MAX, Begun, Piece
from kvnode.errors import MalformedError


def decode_begun(encoded: Any) -> tuple[Begun, ...]:
    """Check and decode it; raises MalformedError."""
    begun = array(encoded, None, "what has begun to come")
    if len(begun) > BEGUN_MAX:
        raise MalformedError(f"at most {BEGUN_MAX} may have begun to come")
    return tuple(_one_begun(*array(it, 2, "what has begun to come")) for it in begun)


def encode_piece(piece: Piece) -> tuple[Any, ...]:
    """The result that stands in the answer."""
    return ("piece", *piece)


def decode_piece(result: list[Any]) -> Piece:
    """Check and decode what a peer answered; raises MalformedError."""
    _, digest, size_bytes, offset, data = array(result, 5, "a piece")
    if type(data) is not bytes or not data:
        raise MalformedError("a piece must have bytes")
    return Piece(
        _digest(digest),
        integer(size_bytes, 1, WHOLE_BYTES_MAX, "the size of what comes in pieces"),
        integer(offset, 0, WHOLE_BYTES_MAX, "where a piece starts"),
        data,
    )


def _one_begun(digest: Any, size_bytes: Any) -> Begun:
    return Begun(_digest(digest), integer(size_bytes, 1, INTEGER_MAX, "what has come"))


def _digest(digest: Any) -> bytes:
    if type(digest) is not bytes or len(digest) != DIGEST_BYTES:
        raise MalformedError(f"what comes in pieces is named by {DIGEST_BYTES} bytes")
    return digest
