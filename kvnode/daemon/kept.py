"""What is served in pieces is kept at hand, so that a piece costs no reading of all of it.

A batch or a part of a snapshot that is longer than a peer asked for goes out in pieces, to that
peer and to others. As long as somebody asks on, it stays in memory, within bounds; else it is read
and encoded again for each piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from kvnode.core.limits import MIB
from kvnode.core.pieces import Begun, Piece, digest_of, piece_of
from kvnode.core.vector import Dot

#: What is kept beside the latest: two of the greatest writes.
KEPT_BYTES_MAX: Final = 32 * MIB

#: What nobody asks on for so long is let go: a slow peer asks every few seconds.
KEPT_IDLE_US: Final = 60 * 1_000_000


class PartOf(NamedTuple):
    """The part of a snapshot, of this number, after a position."""

    number: int
    after: bytes


#: What is kept: a batch by its first write, or a part of a snapshot.
Of = Dot | PartOf


class _Whole(NamedTuple):
    of: Of
    data: bytes
    asked_us: int


class Kept:
    """Wholes that peers have begun to get."""

    def __init__(self) -> None:
        #: By their digests, what was asked for last at the end.
        self._wholes: dict[bytes, _Whole] = {}

    def __len__(self) -> int:
        return len(self._wholes)

    def cut(
        self, data: bytes, of: Of, begun: Sequence[Begun], bytes_max: int, steady_us: int
    ) -> Piece:
        """A piece of what is too long, which is kept from now on."""
        digest = digest_of(data)
        self._keep(digest, _Whole(of, data, steady_us))
        return piece_of(data, digest, begun, bytes_max)

    def goes_on(
        self,
        begun: Sequence[Begun],
        bytes_max: int,
        is_wanted: Callable[[Of], bool],
        steady_us: int,
    ) -> tuple[Of, Piece] | None:
        """The next piece of what the asker has begun and still wants, if that is at hand."""
        for digest, _ in begun:
            whole = self._wholes.get(digest)
            if whole is not None and is_wanted(whole.of):
                self._keep(digest, whole._replace(asked_us=steady_us))
                return whole.of, piece_of(whole.data, digest, begun, bytes_max)
        return None

    def let_go_of_the_idle(self, steady_us: int) -> None:
        """Keep nothing that nobody asks for any more."""
        self._wholes = {
            digest: whole
            for digest, whole in self._wholes.items()
            if steady_us - whole.asked_us < KEPT_IDLE_US
        }

    def clear(self) -> None:
        """The store is another one now, which may not have it."""
        self._wholes.clear()

    def _keep(self, digest: bytes, whole: _Whole) -> None:
        self._wholes.pop(digest, None)
        self._wholes[digest] = whole
        while len(self._wholes) > 1 and self._size_bytes > KEPT_BYTES_MAX:
            del self._wholes[next(iter(self._wholes))]

    @property
    def _size_bytes(self) -> int:
        return sum(len(whole.data) for whole in self._wholes.values())
