"""Pieces: what is too long for one answer comes in several.

A message shows only when it is whole. Over a slow link a long one would take so long that nobody
could tell whether it comes at all; and if the link broke meanwhile, all of it would have to come
again. So what is longer than was asked for is cut. What has come is kept, and told with each
question: a new link, or another peer that has the same, goes on where the one before stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from kvnode.core.limits import MIB
from kvnode.errors import MalformedError

DIGEST_BYTES: Final = 16

#: Wholes of which some has come: those of a few peers that turn out slow in turn ...
BEGUN_MAX: Final = 4

#: ... and all of them together in memory, beside the latest: two of the greatest writes.
BEGUN_BYTES_MAX: Final = 32 * MIB

#: One whole: a record of a table with eight concurrent values of the greatest size, or more smaller
#: ones.
WHOLE_BYTES_MAX: Final = 128 * MIB

#: What a link that was down for longer had brought is forgotten.
BEGUN_IDLE_US: Final = 3600 * 1_000_000


class Begun(NamedTuple):
    """How much has come of a whole, by its digest."""

    digest: bytes
    size_bytes: int


class Piece(NamedTuple):
    """A part of a whole, which its digest names."""

    digest: bytes
    #: Of the whole.
    size_bytes: int
    #: Where the piece starts.
    offset: int
    data: bytes


def digest_of(whole: bytes) -> bytes:
    """What names a whole, at whichever peer."""
    return blake2b(whole, digest_size=DIGEST_BYTES).digest()


def piece_of(whole: bytes, digest: bytes, begun: Sequence[Begun], bytes_max: int) -> Piece:
    """What comes next for who has this begun."""
    offset = next((it.size_bytes for it in begun if it.digest == digest), 0)
    offset = offset if offset < len(whole) else 0
    return Piece(digest, len(whole), offset, whole[offset : offset + bytes_max])


class _Whole:
    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.data = bytearray()
        self.came_us = 0


class Pieces:
    """Puts pieces together, from whichever peer they come."""

    def __init__(self) -> None:
        #: By their digests, what something came of last at the end.
        self._wholes: dict[bytes, _Whole] = {}

    @property
    def begun(self) -> list[Begun]:
        """What has come so far, to be told with each question."""
        return [Begun(digest, len(whole.data)) for digest, whole in self._wholes.items()]

    def take(self, piece: Piece, steady_us: int) -> tuple[bool, bytes | None]:
        """Whether a piece is news, and the whole if it was the last one; raises MalformedError."""
        if not 0 < piece.size_bytes <= WHOLE_BYTES_MAX:
            raise MalformedError(f"pieces of {piece.size_bytes} bytes in all")
        whole = self._wholes.pop(piece.digest, None)
        if whole is None:
            whole = _Whole(piece.size_bytes)
        if piece.size_bytes != whole.size_bytes:
            raise MalformedError("a piece of another size in all than those before")
        has = len(whole.data)
        is_news = piece.offset <= has < piece.offset + len(piece.data)
        if is_news:
            whole.data += piece.data[has - piece.offset :]
            whole.came_us = steady_us
        if len(whole.data) >= whole.size_bytes:
            return True, _checked(whole, piece.digest)
        if whole.data:
            self._wholes[piece.digest] = whole
            self._make_room()
        return is_news, None

    def forget_the_idle(self, steady_us: int) -> None:
        """Keep nothing for ever of what nobody sends any more."""
        self._wholes = {
            digest: whole
            for digest, whole in self._wholes.items()
            if steady_us - whole.came_us < BEGUN_IDLE_US
        }

    def _make_room(self) -> None:
        while len(self._wholes) > 1 and (
            len(self._wholes) > BEGUN_MAX
            or sum(len(whole.data) for whole in self._wholes.values()) > BEGUN_BYTES_MAX
        ):
            del self._wholes[next(iter(self._wholes))]


def _checked(whole: _Whole, digest: bytes) -> bytes:
    data = bytes(whole.data)
    if len(data) > whole.size_bytes or digest_of(data) != digest:
        raise MalformedError("pieces do not make what they were said to make")
    return data
