"""Values: what may be put, and what a reader gets where it can't read one.

What a put takes, every client of this package reads again. Nodes take any bytes for a value, so one
that another client wrote may be unreadable all the same: see `UnreadableValue`.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack  # type: ignore[import-untyped]

from kvnode.codec.packing import told, value_bytes
from kvnode.errors import InvalidRequest, MalformedError, UnreadableValue

#: What a list of one item begins with in msgpack.
_LIST_OF_ONE_BYTES: Final = 1

#: What holds nothing else, and is packed as it is.
_FLAT: Final = frozenset({str, bytes, int, float, bool, type(None)})


def packed_value(value: Any, key: str | bytes | None = None) -> bytes:
    """A value as the node takes it, of this key. Raises InvalidRequest for what could not be read
    again."""
    try:
        return value_bytes(_packed(value))
    except (MalformedError, TypeError, ValueError, OverflowError) as error:
        which = "this value" if key is None else f"the value of {told(key)}"
        raise InvalidRequest(f"{which} can't be stored: {_reason(error)}") from None


def unpacked_value(packed: bytes, key: str | bytes) -> Any:
    """What a client put under this key; an UnreadableValue where that can't be read."""
    try:
        return _unpacked(packed)
    except (TypeError, ValueError) as error:
        return UnreadableValue(key, packed, _reason(error))


def readable(value: Any) -> Any:
    """A value that is asked for alone. Raises UnreadableValue where it is one."""
    if isinstance(value, UnreadableValue):
        raise value
    return value


def _packed(value: Any) -> bytes:
    if type(value) in _FLAT:
        packed: bytes = msgpack.packb(value)
        return packed
    # msgpack packs an empty list or map one level deeper than it reads one: inside a list of one
    # item, nothing is packed that is too deep for the reader.
    hull = [value]
    try:
        packed = msgpack.packb(hull, strict_types=True)[_LIST_OF_ONE_BYTES:]
    except TypeError:  # tuples and subclasses may be keys that come back as what can't be one
        packed = msgpack.packb(hull)[_LIST_OF_ONE_BYTES:]
        _unpacked(packed)
    return packed


def _unpacked(packed: bytes) -> Any:
    return msgpack.unpackb(packed, strict_map_key=False)


def _reason(error: Exception) -> str:
    """Why it can't be packed, or unpacked."""
    match error:
        case TypeError() if "unhashable" in str(error):
            return "a map in it has a list or a map as a key"
        case msgpack.exceptions.StackError():
            return "it is nested too deep"
        case ValueError() if "recursion limit" in str(error):
            return "it is nested too deep, or contains itself"
        case UnicodeError():
            return "a string in it is no Unicode text"
        case OverflowError():
            return "a number in it is too large"
        case TypeError() if "datetime." in str(error):
            return f"{error}; isoformat() makes text of it, and timestamp() a number"
        case _:
            return str(error) or "it is no msgpack"
