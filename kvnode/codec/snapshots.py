"""Parts of a node's state on the wire, for peers whose past no log holds.

    ["ok", number, start, clock_us, digest, [origin, state, ...], [key, versions, ...], next]

States and versions travel as they stand on the server's disk (`codec.records`). They come
from a peer, so each is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final, NamedTuple

from kvnode.codec.packing import INTEGER_MAX, array, integer, key_bytes
from kvnode.codec.records import checked_origin_state, checked_versions
from kvnode.core.clock import STAMP_US_MAX
from kvnode.core.limits import KEY_BYTES_MAX
from kvnode.core.messages import Chunk
from kvnode.core.vector import is_origin
from kvnode.core.versions import Versions, rank
from kvnode.errors import MalformedError

#: Where a snapshot goes on: a letter and the last key or origin.
POSITION_BYTES_MAX: Final = KEY_BYTES_MAX + 1

_DIGEST_BYTES: Final = 16


class Part(NamedTuple):
    """What a server has of a snapshot after a position."""

    number: int
    start: bytes
    clock_us: int
    digest: int
    origins: list[tuple[bytes, bytes]]
    table: list[tuple[bytes, bytes]]
    #: Where it goes on; None at the end.
    next: bytes | None


def encode_part(part: Part) -> tuple[Any, ...]:
    """The result that stands in the answer."""
    number, start, clock_us, digest, origins, table, next_ = part
    return (
        "ok",
        number,
        start,
        clock_us,
        digest.to_bytes(_DIGEST_BYTES, "big"),
        [item for record in origins for item in record],
        [item for record in table for item in record],
        next_,
    )


def decode_chunk(name: str, result: list[Any]) -> Chunk:
    """Check and decode what a peer answered; raises MalformedError."""
    _, number, start, clock_us, digest, origins, table, next_ = array(
        result, 8, "a snapshot's part"
    )
    if type(digest) is not bytes or len(digest) != _DIGEST_BYTES:
        raise MalformedError(f"a snapshot's digest must be {_DIGEST_BYTES} bytes")
    return Chunk(
        name,
        integer(number, 0, INTEGER_MAX, "a snapshot's number"),
        position(start),
        integer(clock_us, 0, STAMP_US_MAX, "a snapshot's clock"),
        int.from_bytes(digest, "big"),
        {_origin(key): checked_origin_state(_record(record)) for key, record in _pairs(origins)},
        {key_bytes(key): _versions(record) for key, record in _pairs(table)},
        None if next_ is None else position(next_),
    )


def position(value: Any) -> bytes:
    """Check for a place in a snapshot."""
    if type(value) is not bytes or len(value) > POSITION_BYTES_MAX:
        raise MalformedError("a snapshot goes on at no sound position")
    return value


def _pairs(items: Any) -> Iterator[tuple[Any, Any]]:
    if len(array(items, None, "a snapshot's records")) % 2:
        raise MalformedError("a snapshot's records must be pairs")
    return zip(items[::2], items[1::2], strict=True)


def _origin(key: Any) -> str:
    try:
        origin = key.decode()
    except (AttributeError, UnicodeDecodeError):
        origin = ""
    if not is_origin(origin):
        raise MalformedError("a snapshot names what is no origin")
    return str(origin)


def _record(record: Any) -> bytes:
    if type(record) is not bytes:
        raise MalformedError("a snapshot's records must be bytes")
    return record


def _versions(record: Any) -> Versions:
    versions = checked_versions(_record(record))
    if any(rank(one) <= rank(other) for one, other in pairwise(versions)):
        raise MalformedError("versions must be in order, the winner first")
    return versions
