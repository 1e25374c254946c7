"""Which bytes stand under which keys, the same on every kind of disk.

    table0, table1   key                        -> its versions, the winner first
    due0, due1       expiry, key                -> nothing: a version of the key expires then
    log              position, origin, last seq -> a batch, as its origin encoded it
    index            origin, last seq           -> the log key of the batch that ends there
    meta             "origin/" origin           -> its delivered seq, stamp, row, ends, chain
                     "state"                    -> format, clock, digest, size of the log, joined
                     "floor"                    -> the vector below which the log has gaps
                     "live"                     -> which of the two tables is the node's
                     "own"                      -> which of the node's own writes are confirmed
    once             "id/" id                   -> what the writes of that request brought
                     "position/" position       -> the id of the request that was done then
                     "first"                    -> the position of the first one

Each table has a list of what is due in it. The other table is where a snapshot is staged, until
one commit makes it the live one. Positions count deliveries; numbers in keys are big-endian, so
that they sort.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, takewhile
from typing import Final, NamedTuple

from kvnode.codec.batches import decode_batch
from kvnode.codec.packing import pack, unpack_record
from kvnode.codec.records import (
    decode_origin_state,
    decode_own_past,
    decode_versions,
    encode_origin_state,
    encode_own_past,
    encode_versions,
)
from kvnode.core.batch import Batch
from kvnode.core.expiry import due_of
from kvnode.core.limits import MIB, PULLED_BATCHES_MAX
from kvnode.core.messages import Commit, Due, OriginState, OwnPast, Saved
from kvnode.core.succession import contradiction
from kvnode.core.truncation import Logged
from kvnode.core.vector import Vector
from kvnode.core.versions import Versions
from kvnode.errors import MalformedError, StorageError

TABLES: Final = ("table0", "table1")
#: What expires in each of the tables, the next first.
DUES: Final = ("due0", "due1")
FAMILIES: Final = (*TABLES, *DUES, "log", "index", "meta", "once")

#: A store of another format is refused; raise it with every change of this layout. It stands in
#: node.json, where it is read before RocksDB opens and rewrites anything, and in the store's state.
STORE_FORMAT: Final = 5
#: This one is read, and becomes the latest: node.json when a node has opened the store, before the
#: store's state, which does with its first commit. It only lacks the chains of origins, and its
#: batches are in no chain.
STORE_FORMAT_READ_MIN: Final = 4

#: Family, key, and the new value; None deletes.
Puts = list[tuple[str, bytes, bytes | None]]
#: The same, to go back.
Undo = list[tuple[str, bytes, bytes | None]]

ORIGIN: Final = b"origin/"
STATE: Final = b"state"
FLOOR: Final = b"floor"
LIVE: Final = b"live"
OWN: Final = b"own"
#: Key and record of each stand in one array on the wire.
_RECORDS_MAX: Final = PULLED_BATCHES_MAX // 2

#: What a page of the table holds, or one key's versions if they are more: values may have
#: megabytes each, and a page stands in memory, decoded.
PAGE_BYTES_MAX: Final = MIB

_NUMBER: Final = struct.Struct(">Q")
_NUMBER_BYTES: Final = _NUMBER.size


class State(NamedTuple):
    """What changes with every commit."""

    clock_us: int = 0
    digest: int = 0
    #: Bytes of the batches in the log.
    log_bytes: int = 0
    #: See `Saved.joined`.
    joined: bool = False


def next_position(last: bytes | None) -> int:
    """Where the log goes on after its last key."""
    return 0 if last is None else log_position(last) + 1


def log_position(key: bytes) -> int:
    """Which position a log key stands for."""
    return int(_NUMBER.unpack_from(key)[0])


def log_key(position: int, origin: str, last: int) -> bytes:
    """Where a batch stands in the log; the key says which batch it is."""
    return _NUMBER.pack(position) + index_key(origin, last)


def indexed(key: bytes) -> bytes:
    """Where the index has the batch with this log key."""
    return key[_NUMBER_BYTES:]


def log_start(position: int) -> bytes:
    """The first log key at or after this is that of the position, or of the next."""
    return _NUMBER.pack(position)


def logged(key: bytes, size_bytes: int) -> Logged:
    """What a log key says."""
    return Logged(
        log_position(key),
        key[_NUMBER_BYTES : -_NUMBER_BYTES - 1].decode(),
        log_last(key),
        size_bytes,
    )


def log_last(key: bytes) -> int:
    """The last seq of the batch with this log key."""
    return int(_NUMBER.unpack_from(key, len(key) - _NUMBER_BYTES)[0])


def due_key(expires_us: int, key: bytes) -> bytes:
    """Where it stands that a version of the key expires then."""
    return _NUMBER.pack(expires_us) + key


def due_in(records: Iterator[tuple[bytes, bytes]], now_us: int, keys_max: int) -> list[Due]:
    """The first so many of these that are due now."""
    dues = (due(key) for key, _ in islice(records, keys_max))
    return list(takewhile(lambda it: it.expires_us <= now_us, dues))


def due(record_key: bytes) -> Due:
    """What a key in the list says."""
    return Due(_NUMBER.unpack_from(record_key)[0], record_key[_NUMBER_BYTES:])


def index_prefix(origin: str) -> bytes:
    """What the index keys of an origin start with."""
    return origin.encode() + b"\0"


def index_key(origin: str, seq: int) -> bytes:
    """The first index key at or after this is that of the batch that holds the dot."""
    return index_prefix(origin) + _NUMBER.pack(seq)


# --- what is written


def encode_commit(
    commit: Commit, live: int, position: int, log_bytes: int, moved: Sequence[bytes] = ()
) -> Puts:
    """All that a commit writes; its batches go to the log from `position` on, and those that are
    moved stand there under these keys."""
    puts = _encode_versions(commit.table, live)
    if commit.due:
        puts += _encode_due(commit.due, live)
    for at, batch in enumerate(commit.batches, position):
        key = log_key(at, batch.origin, batch.last)
        puts.append(("log", key, batch.encoded))
        puts.append(("index", indexed(key), key))
        log_bytes += len(batch.encoded)
    for before, (was, now) in zip(moved, commit.moved, strict=True):
        key = log_key(log_position(before), now.origin, now.last)
        puts += [("log", before, None), ("index", indexed(before), None)]
        puts += [("log", key, now.encoded), ("index", indexed(key), key)]
        log_bytes += len(now.encoded) - len(was.encoded)
    puts += _encode_origins(commit.origins)
    puts += [("meta", origin_key(origin), None) for origin in commit.gone]
    if commit.own is not None:
        puts.append(("meta", OWN, encode_own_past(commit.own)))
    puts.append(_encode_state(state_after(commit, log_bytes)))
    return puts


def log_bytes_after(commit: Commit, log_bytes: int) -> int:
    """The size of a log of this size after a commit."""
    moved_bytes = sum(len(now.encoded) - len(was.encoded) for was, now in commit.moved)
    return log_bytes + moved_bytes + sum(len(batch.encoded) for batch in commit.batches)


def state_after(commit: Commit, log_bytes: int) -> State:
    """What has changed with this commit, which makes the log so long."""
    return State(commit.clock_us, commit.digest, log_bytes, commit.joined)


def encode_staged(table: Mapping[bytes, Versions], settled: Iterable[Due], staged: int) -> Puts:
    """The versions of these keys, and when they are due; what is settled is due no more."""
    due = dict.fromkeys(settled, False)
    for key, versions in table.items():
        due.update(dict.fromkeys(due_of(key, versions), True))
    return _encode_versions(table, staged) + _encode_due(due, staged)


def encode_sweep(due: Iterable[Due], left: Mapping[bytes, Versions], live: int) -> Puts:
    """Of these keys this is left; all of these are due no more."""
    return _encode_versions(left, live) + _encode_due(dict.fromkeys(due, False), live)


def _encode_versions(versions: Mapping[bytes, Versions], table: int) -> Puts:
    """A key without any is deleted."""
    family = TABLES[table]
    return [
        (family, key, encode_versions(held) if held else None) for key, held in versions.items()
    ]


def _encode_due(due: Mapping[Due, bool], table: int) -> Puts:
    return [
        (DUES[table], due_key(expires_us, key), b"" if is_due else None)
        for (expires_us, key), is_due in due.items()
    ]


def encode_truncation(dropped: Sequence[Logged], floor: Vector, state: State) -> Puts:
    """Drop these from the log; the floor and the state are those without them."""
    puts: Puts = []
    for position, origin, last, _ in dropped:
        key = log_key(position, origin, last)
        puts += [("log", key, None), ("index", indexed(key), None)]
    return [*puts, ("meta", FLOOR, pack(dict(floor))), _encode_state(state)]


def encode_switch(saved: Saved, live: int, log_bytes: int) -> Puts:
    """All that a switch to the other table writes, beside clearing the one before."""
    return [
        *_encode_origins(saved.origins),
        ("meta", FLOOR, pack(dict(saved.floor))),
        ("meta", LIVE, bytes([live])),
        _encode_state(state_of(saved, log_bytes)),
    ]


def state_of(saved: Saved, log_bytes: int) -> State:
    """What is to change with every commit, after a switch to this."""
    return State(saved.clock_us, saved.digest, log_bytes, saved.joined)


def _encode_origins(origins: Mapping[str, OriginState]) -> Puts:
    return [
        ("meta", origin_key(origin), encode_origin_state(state))
        for origin, state in origins.items()
    ]


def _encode_state(state: State) -> tuple[str, bytes, bytes]:
    digest = state.digest.to_bytes(16, "big")
    record = [STORE_FORMAT, state.clock_us, digest, state.log_bytes, state.joined]
    return "meta", STATE, pack(record)


# --- what is read


def expect_format(store_format: object) -> None:
    """Raise StorageError if a store is of another format than this version reads."""
    if type(store_format) is int and STORE_FORMAT_READ_MIN <= store_format <= STORE_FORMAT:
        return
    raise StorageError(
        f"the data directory has format {store_format}; this version of kvnode "
        f"reads formats {STORE_FORMAT_READ_MIN} to {STORE_FORMAT}: start the version that wrote "
        f"it; or move the directory away, keep it, and start with an empty one that the peers fill"
    )


def decode_state(record: bytes | None) -> State:
    """What changes with every commit; raises StorageError."""
    if record is None:
        return State()
    try:
        store_format, *state = unpack_record(record)
        expect_format(store_format)
        clock_us, digest, log_bytes, joined = state
        return State(clock_us, int.from_bytes(digest, "big"), log_bytes, joined)
    except (ValueError, TypeError) as error:
        raise StorageError(f"the data directory has unreadable records: {error!r}") from error


def decode_saved(meta: Iterable[tuple[bytes, bytes]]) -> Saved:
    """What the family `meta` says; a fresh disk says nothing."""
    records = dict(meta)
    state = decode_state(records.get(STATE))
    try:
        origins = {
            key.removeprefix(ORIGIN).decode(): decode_origin_state(record)
            for key, record in records.items()
            if key.startswith(ORIGIN)
        }
        own = decode_own_past(records[OWN]) if OWN in records else OwnPast()
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(f"the data directory has unreadable records: {error!r}") from error
    floor = decode_floor(records[FLOOR]) if FLOOR in records else {}
    delivered = {origin: state.delivered for origin, state in origins.items()}
    ends = {origin: state.ends for origin, state in origins.items() if state.ends}
    if found := contradiction(delivered, ends):
        raise StorageError(f"the data directory contradicts itself: {found}")
    return Saved(origins, state.clock_us, state.digest, floor, state.joined, own)


def origin_key(origin: str) -> bytes:
    """Where the family `meta` has what is kept of an origin."""
    return ORIGIN + origin.encode()


def decode_origin(origin: str, record: bytes | None) -> OriginState:
    """What is kept of an origin that was delivered from; raises StorageError."""
    if record is None:
        raise StorageError(f"the data directory has lost its record of {origin}")
    try:
        return decode_origin_state(record)
    except (ValueError, TypeError) as error:
        raise StorageError(f"the data directory has unreadable records: {error!r}") from error


def decode_floor(record: bytes) -> Vector:
    """The vector below which the log has gaps; raises StorageError."""
    try:
        floor: Vector = unpack_record(record)
        return floor
    except (ValueError, TypeError) as error:
        raise StorageError(f"the data directory has unreadable records: {error!r}") from error


def decode_live(record: bytes | None) -> int:
    """Which table is the node's; raises StorageError."""
    if record is None:
        return 0
    if record not in (b"\0", b"\1"):
        raise StorageError(f"the data directory has unreadable records: table {record!r:.80}")
    return record[0]


def decode_table_record(record: bytes | None) -> Versions:
    """The versions of a key; none if it is not there."""
    return () if record is None else decode_versions(record)


def first_records(
    records: Iterator[tuple[bytes, bytes]], bytes_max: int
) -> list[tuple[bytes, bytes]]:
    """As many records as fit, at least one if there is any."""
    found: list[tuple[bytes, bytes]] = []
    for key, record in records:
        bytes_max -= len(key) + len(record)
        if found and (bytes_max < 0 or len(found) == _RECORDS_MAX):
            break
        found.append((key, record))
    return found


def page_of(records: Iterator[tuple[bytes, bytes]], records_max: int) -> dict[bytes, Versions]:
    """The first so many of these keys, or fewer if they are large."""
    found = first_records(islice(records, records_max), PAGE_BYTES_MAX)
    return {key: decode_versions(record) for key, record in found}


def decoded(batches: Iterable[bytes]) -> list[Batch]:
    """Batches of the log; raises StorageError."""
    try:
        return [decode_batch(encoded) for encoded in batches]
    except MalformedError as error:
        raise StorageError(f"the log has an unreadable batch: {error}") from error
