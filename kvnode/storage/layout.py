"""Which bytes stand under which keys, the same on every kind of disk.

    table   key                      -> its versions, the winner first
    log     position                 -> a batch, as its origin encoded it
    index   origin, last seq         -> the position of the batch that ends there
    meta    "origin/" origin         -> its delivered seq, stamp, row and ends
            "state"                  -> format, clock, digest

Positions count deliveries; numbers in keys are big-endian, so that they sort.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from kvnode.codec.packing import pack, unpack_record
from kvnode.codec.records import (
    decode_origin_state,
    decode_versions,
    encode_origin_state,
    encode_versions,
)
from kvnode.core.limits import PULLED_BATCHES_MAX
from kvnode.core.messages import Commit
from kvnode.core.replica import Saved
from kvnode.core.versions import Versions
from kvnode.errors import StorageError

FAMILIES: Final = ("table", "log", "index", "meta")

#: A store of another format is refused; raise it with every change of this layout.
STORE_FORMAT: Final = 1

#: Family, key, and the new value; None deletes.
Puts = list[tuple[str, bytes, bytes | None]]
#: The same, to go back.
Undo = list[tuple[str, bytes, bytes | None]]

_ORIGIN: Final = b"origin/"
_STATE: Final = b"state"
_NUMBER: Final = struct.Struct(">Q")


def next_position(last: bytes | None) -> int:
    """Where the log goes on."""
    return 0 if last is None else int(_NUMBER.unpack(last)[0]) + 1


def index_prefix(origin: str) -> bytes:
    """What the index keys of an origin start with."""
    return origin.encode() + b"\0"


def index_key(origin: str, seq: int) -> bytes:
    """The first index key at or after this is that of the batch that holds the dot."""
    return index_prefix(origin) + _NUMBER.pack(seq)


def encode_commit(commit: Commit, position: int) -> Puts:
    """All that a commit writes; its batches go to the log from `position` on."""
    puts: Puts = [
        ("table", key, encode_versions(versions) if versions else None)
        for key, versions in commit.table.items()
    ]
    for at, batch in enumerate(commit.batches, position):
        key = _NUMBER.pack(at)
        puts.append(("log", key, batch.encoded))
        puts.append(("index", index_key(batch.origin, batch.last), key))
    for origin, state in commit.origins.items():
        puts.append(("meta", _ORIGIN + origin.encode(), encode_origin_state(state)))
    digest = commit.digest.to_bytes(16, "big")
    puts.append(("meta", _STATE, pack([STORE_FORMAT, commit.clock_us, digest])))
    return puts


def decode_saved(meta: Iterable[tuple[bytes, bytes]]) -> Saved:
    """What the family `meta` says; a fresh disk says nothing."""
    try:
        return _decode_saved(dict(meta))
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(f"the data directory has unreadable records: {error!r}") from error


def _decode_saved(records: dict[bytes, bytes]) -> Saved:
    if _STATE not in records:
        return Saved({}, 0, 0)
    store_format, *state = unpack_record(records.pop(_STATE))
    if store_format != STORE_FORMAT:
        raise StorageError(
            f"the data directory has format {store_format}; this version of kvnode "
            f"reads format {STORE_FORMAT}"
        )
    clock_us, digest = state
    origins = {
        key.removeprefix(_ORIGIN).decode(): decode_origin_state(record)
        for key, record in records.items()
    }
    return Saved(origins, clock_us, int.from_bytes(digest, "big"))


def decode_table_record(record: bytes | None) -> Versions:
    """The versions of a key; none if it is not there."""
    return () if record is None else decode_versions(record)


def collect(
    lacking: Mapping[str, int],
    bytes_max: int,
    positions: Callable[[str, int], Iterator[bytes]],
    batch_at: Callable[[bytes], bytes],
) -> list[bytes]:
    """The batches at the merged positions of all origins that are asked for.

    The work is that of the batches found, wherever in the log they stand.
    """
    streams = [positions(origin, seq) for origin, seq in lacking.items()]
    found: list[bytes] = []
    size_bytes = 0
    for position in heapq.merge(*streams):
        batch = batch_at(position)
        size_bytes += len(batch)
        if found and (size_bytes > bytes_max or len(found) == PULLED_BATCHES_MAX):
            break
        found.append(batch)
    return found
