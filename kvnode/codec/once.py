"""What the writes of a request brought, as storage remembers it: results as answers have them."""

from __future__ import annotations

from typing import Any

from kvnode.codec.answers import encode_result
from kvnode.codec.packing import INTEGER_MAX, array, dot, integer, key_bytes, pack, told, unpack
from kvnode.core.clock import STAMP_US_MAX
from kvnode.core.requests import Condition
from kvnode.core.results import Absent, Conflict, Failed, WriteResult, WriteResults, Written
from kvnode.errors import MalformedError, StorageError


def encode_done(results: WriteResults) -> bytes:
    """[result, ...], a result as `encode_result` makes it."""
    return pack([encode_result(result) for result in results])


def decode_done(record: bytes) -> WriteResults:
    """The inverse; raises StorageError."""
    try:
        return checked_done(record)
    except MalformedError as error:
        raise StorageError(f"the data directory has unreadable records: {error}") from error


def checked_done(record: bytes) -> WriteResults:
    """The same, of bytes that may be damaged. Raises MalformedError."""
    results = array(unpack(record, "a request's results"), None, "a request's results")
    return tuple(_result(result) for result in results)


def _result(result: Any) -> WriteResult:
    match result:
        case ["ok", origin, seq, stamp_us, expires_us]:
            made = dot([origin, seq], "a write that was made")
            if expires_us is not None:
                integer(expires_us, 0, INTEGER_MAX, "when a value expires")
            return Written(made, integer(stamp_us, 0, STAMP_US_MAX, "a stamp"), expires_us)
        case ["absent"]:
            return Absent()
        case ["conflict", list(found)]:
            return Conflict(tuple(_found(condition) for condition in found))
        case ["error", str(code), str(message), bool(maybe)]:
            return Failed(code, message, maybe)
        case _:
            raise MalformedError(f"a write can't have brought {told(result)}")


def _found(condition: Any) -> Condition:
    key, dots = array(condition, 2, "a conflict")
    held = array(dots, None, "what a conflict found")
    return Condition(key_bytes(key), frozenset(dot(it, "what a conflict found") for it in held))
