"""What a write is made of: keys and values, and what must be there, as a node takes them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from kvnode.client import arguments
from kvnode.client.session import Version, packed_key
from kvnode.client.values import packed_value
from kvnode.codec import client as ask
from kvnode.codec.packing import told
from kvnode.core.limits import WRITE_BYTES_MAX, WRITE_KEYS_MAX
from kvnode.core.vector import Dot
from kvnode.errors import Conflict, InvalidRequest

T = TypeVar("T")
R = TypeVar("R")

Key = str | bytes

#: What a key held when it was read: its versions, or their dots; empty if it was not there.
Seen = Iterable[Version | Dot]

Changes = Sequence[tuple[bytes] | tuple[bytes, bytes]]
Conditions = list[tuple[bytes, list[Dot]]]


def write(
    conditions: Conditions, changes: Changes, ttl_s: float | None = None
) -> list[ask.Operation]:
    """The operation, or none where there is nothing to do. What no node would take is told at once,
    and to whom it concerns."""
    ttl_ms = None if ttl_s is None else arguments.ttl_ms(ttl_s)
    if not changes and not conditions:
        return []
    if not changes:
        raise InvalidRequest("conditions are judged where something is written; nothing is")
    if len(conditions) + len(changes) > WRITE_KEYS_MAX:
        message = f"a write changes and asks for at most {WRITE_KEYS_MAX} keys together"
        raise InvalidRequest(f"{message}; this does {len(conditions) + len(changes)}")
    size_bytes = sum(len(part) for change in changes for part in change)
    if size_bytes > WRITE_BYTES_MAX:
        raise InvalidRequest(f"a write has at most {WRITE_BYTES_MAX} bytes; this has {size_bytes}")
    return [ask.write(conditions, changes, ttl_ms)]


def as_given(read: Callable[[R], T], given: Collection[Key]) -> Callable[[R], T]:
    """Reads results with `read`; a Conflict has the keys of the conditions as they were given."""

    def read_as_given(results: R) -> T:
        try:
            return read(results)
        except Conflict as conflict:
            names = {packed_key(key): key for key in given}
            found = conflict.found.items()
            raise Conflict({names.get(key, key): dots for key, dots in found}) from None

    return read_as_given


def puts(items: Any) -> list[tuple[bytes, bytes]]:
    if not isinstance(items, Mapping):
        raise InvalidRequest(f"what to put must be a mapping of keys to values; not {told(items)}")
    return [(packed_key(key), packed_value(value, key)) for key, value in items.items()]


def deletes(keys: Any) -> list[tuple[bytes]]:
    return [(packed_key(key),) for key in several(keys, "keys to delete")]


def several(keys: Any, what: str) -> list[Any]:
    """Keys of any iterable. A string is one key, and a sequence of others by accident."""
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise InvalidRequest(f"{what} must be a sequence of keys; not {told(keys)}")
    return list(keys)


def conditions(if_version: Any, if_absent: Collection[Key] = ()) -> Conditions:
    """What several keys must hold."""
    if if_version is None:
        if_version = {}
    if not isinstance(if_version, Mapping):
        raise InvalidRequest("if_version of several keys maps each to what was seen there")
    conditions = {packed_key(key): dots(seen) for key, seen in if_version.items()}
    for key in if_absent:
        if conditions.setdefault(packed_key(key), []):
            raise InvalidRequest(f"{told(key)} can't be absent and hold a version")
    return list(conditions.items())


def absent(if_version: Any) -> tuple[()]:
    """What a key holds that is not there."""
    if if_version is not None and dots(if_version):
        raise InvalidRequest("a key can't be absent and hold a version")
    return ()


def dots(seen: Any) -> list[Dot]:
    """Of what `read` gave, or of some of it."""
    if isinstance(seen, Version | Dot):
        seen = [seen]
    if isinstance(seen, Mapping | str | bytes) or not isinstance(seen, Iterable):
        raise InvalidRequest("if_version takes what read() gave, or dots; () for an absent key")
    dots = []
    for it in seen:
        if not isinstance(it, Version | Dot):
            raise InvalidRequest(f"if_version takes what read() gave, or dots; not {told(it)}")
        dots.append(it.dot if isinstance(it, Version) else it)
    return dots
