"""Batches: encoded once by their origin, checked by everyone who decodes them."""

from __future__ import annotations

from typing import Any, Final

import msgpack  # type: ignore[import-untyped]

from kvnode.codec.chains import chain, checks
from kvnode.codec.packing import (
    INTEGER_MAX,
    array,
    expiry_us,
    integer,
    key_bytes,
    pack,
    told,
    unpack_array,
    value_bytes,
    vector,
)
from kvnode.core.batch import Batch, Change, Write
from kvnode.core.chain import NO_CHAIN, NO_CHECKS, unknown_checks
from kvnode.core.clock import STAMP_US_MAX
from kvnode.core.limits import BATCH_WRITES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX
from kvnode.core.vector import Dot, Vector, is_origin
from kvnode.errors import MalformedError

#: Batches stay in logs for long: the format's number is their own.
BATCH_FORMAT: Final = 2
#: Of batches that are in no chain; nobody makes such any more.
_UNCHAINED_FORMAT: Final = 1

#: Within these stand a batch's format, its origin and its first seq.
_HEAD_BYTES: Final = 512


def encode_batch(
    origin: str,
    first: int,
    deps: Vector,
    stamp_us: int,
    writes: tuple[Write, ...],
    previous: bytes = NO_CHAIN,
    checks: bytes = NO_CHECKS,
) -> bytes:
    """The bytes that everyone will gossip, log and serve.

    A change is [key, value] or [key, value, expires_us] for a put, and [key] for a delete.
    """
    assert 1 <= stamp_us <= STAMP_US_MAX and 1 <= len(writes) <= BATCH_WRITES_MAX
    body = [[_encoded(change) for change in changes] for changes in writes]
    checks = checks or unknown_checks(deps)
    return pack([BATCH_FORMAT, origin, first, previous, dict(deps), checks, stamp_us, body])


def _encoded(change: Change) -> list[object]:
    key, value, expires_us = change
    if value is None:
        return [key]
    return [key, value] if expires_us is None else [key, value, expires_us]


def decode_batch(encoded: bytes) -> Batch:
    """Check and decode a batch; it keeps its bytes. Raises MalformedError."""
    parts = unpack_array(encoded, None, "a batch")
    batch_format, origin, first, previous, deps, deps_checks, stamp_us, body = _fields(parts)
    if type(origin) is not str or not is_origin(origin):
        raise MalformedError(f"a batch from {told(origin)}, which is no origin")
    integer(first, 1, INTEGER_MAX - BATCH_WRITES_MAX, "a batch's first seq")
    chain(previous, "the chain before a batch")
    vector(deps, "a batch's deps")
    if batch_format != _UNCHAINED_FORMAT:
        checks(deps_checks, len(deps), "the checks of a batch's deps")
    if origin in deps:
        raise MalformedError("a batch's deps name its own origin")
    integer(stamp_us, 1, STAMP_US_MAX, "a batch's stamp")
    if type(body) is not list or not 1 <= len(body) <= BATCH_WRITES_MAX:
        raise MalformedError(f"a batch must have 1 to {BATCH_WRITES_MAX} writes")
    writes = tuple([_one_put(changes) or _decode_write(changes) for changes in body])
    return Batch(origin, first, deps, stamp_us, writes, encoded, previous, deps_checks)


def _fields(parts: list[Any]) -> list[Any]:
    """What a batch of any format that is read consists of, as in the latest one."""
    batch_format = parts[0] if parts else None
    if type(batch_format) is int and batch_format == BATCH_FORMAT:
        return array(parts, 8, "a batch")
    if type(batch_format) is int and batch_format == _UNCHAINED_FORMAT:
        _, origin, first, deps, stamp_us, body = array(parts, 6, "a batch")
        return [batch_format, origin, first, NO_CHAIN, deps, NO_CHECKS, stamp_us, body]
    found = told(batch_format) if parts else "none"
    reads = f"this node reads {_UNCHAINED_FORMAT} and {BATCH_FORMAT}"
    raise MalformedError(f"a batch of format {found}; {reads}")


def first_dot(encoded: bytes) -> Dot:
    """The first write of a batch of this node's own log, without reading all of it."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(encoded[:_HEAD_BYTES])
    unpacker.read_array_header()
    _, origin, first = (unpacker.unpack() for _ in range(3))
    return Dot(origin, first)


def _one_put(changes: Any) -> Write | None:
    """The usual write, decoded at once; None if it is another, or unsound."""
    if type(changes) is not list or len(changes) != 1:
        return None
    change = changes[0]
    if type(change) is not list or len(change) != 2:
        return None
    key, value = change
    if (
        type(key) is bytes
        and type(value) is bytes
        and 0 < len(key) <= KEY_BYTES_MAX
        and len(value) <= VALUE_BYTES_MAX
    ):
        return (Change(key, value),)
    return None


def _decode_write(changes: Any) -> Write:
    if type(changes) is not list or not changes:
        raise MalformedError("a write must be an array of at least one change")
    write = tuple([_decode_change(change) for change in changes])
    if len(write) > 1 and len({change.key for change in write}) < len(write):
        raise MalformedError("a write changes one key twice")
    return write


def _decode_change(change: Any) -> Change:
    if type(change) is not list or not 1 <= len(change) <= 3:
        raise MalformedError("a change must be [key], [key, value] or [key, value, expires_us]")
    key, *rest = change
    if not rest:
        return Change(key_bytes(key), None)
    if len(rest) == 1:
        return Change(key_bytes(key), value_bytes(rest[0]))
    return Change(key_bytes(key), value_bytes(rest[0]), expiry_us(rest[1]))
