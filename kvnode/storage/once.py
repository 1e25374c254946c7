"""Requests that were done once: their ids and results, in order, on every kind of disk.

    "id/" id                -> what the writes of that request brought
    "position/" position    -> the id of the request that was done then
    "first"                 -> the position of the first request of all

Positions count such requests, big-endian, from a random number: a node that lost its disk must not
take what it was asked there for what it is asked first. The oldest ones are deleted; the last
position is always there once there is any, so the count goes on after it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from kvnode.codec.once import decode_done, encode_done
from kvnode.core.messages import Commit
from kvnode.core.once import Span
from kvnode.core.results import WriteResults
from kvnode.storage.layout import Puts

ID: Final = b"id/"
POSITION: Final = b"position/"
FIRST: Final = b"first"
_NUMBER: Final = struct.Struct(">Q")


def position_key(position: int) -> bytes:
    """Where the id of the request stands that was done then."""
    return POSITION + _NUMBER.pack(position)


def position_of(key: bytes) -> int:
    """Which position such a key stands for; -1 for none."""
    number = key.removeprefix(POSITION)
    return int(_NUMBER.unpack(number)[0]) if len(number) == _NUMBER.size else -1


class Once:
    """The family `once` of an open store, which writes what `puts` says."""

    def __init__(
        self, read: Callable[[bytes], bytes | None], first: bytes | None, last: bytes | None
    ) -> None:
        """`first` and `last` are the keys of the first and last position, if there are any."""
        self._read = read
        begun = read(FIRST)
        #: Whether nothing was counted or written yet.
        self.is_new = first is None and begun is None
        if first is None or last is None:
            start = 0 if begun is None else int(_NUMBER.unpack(begun)[0])
            self.span = Span(start, start)
        else:
            self.span = Span(position_of(first), position_of(last) + 1)

    def begin(self, position: int) -> Puts:
        """Count from this position; what a new store writes for that."""
        self.is_new, self.span = False, Span(position, position)
        return [("once", FIRST, _NUMBER.pack(position))]

    def results(self, id_: bytes) -> WriteResults | None:
        """What the writes of a request brought; None if it is not remembered. Raises
        StorageError."""
        record = self._read(ID + id_)
        return None if record is None else decode_done(record)

    def after(self, commit: Commit) -> Span:
        """What will be remembered after a commit."""
        if not commit.done:
            return self.span
        end = self.span.end + len(commit.done)
        return Span(max(self.span.start, end - commit.remembered_max), end)

    def puts(self, commit: Commit, after: Span) -> Puts:
        """What a commit writes beside all else: what it did, and what is forgotten for that."""
        puts: Puts = []
        for position in range(self.span.start, min(after.start, self.span.end)):
            id_ = self._read(position_key(position))
            if id_ is not None:
                puts.append(("once", ID + id_, None))
            puts.append(("once", position_key(position), None))
        for position, (id_, results) in enumerate(commit.done.items(), self.span.end):
            if position >= after.start:
                puts.append(("once", ID + id_, encode_done(results)))
                puts.append(("once", position_key(position), id_))
        return puts
