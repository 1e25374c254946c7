"""msgpack within limits, and the checks that the decoders share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]

from kvnode.core.limits import (
    BATCH_WRITES_MAX,
    KEY_BYTES_MAX,
    MIB,
    RESERVED_PREFIX,
    VALUE_BYTES_MAX,
    VECTOR_ENTRIES_MAX,
)
from kvnode.core.vector import NAME_PATTERN, Dot, is_name, is_origin
from kvnode.errors import MalformedError

#: The number in every message; a change that old readers would misread raises it.
PROTOCOL_VERSION: Final = 1

#: A whole message, request or answer or gossip: the greatest value and its company.
MESSAGE_BYTES_MAX: Final = 16 * MIB

#: An address as ZeroMQ takes it.
ADDRESS_BYTES_MAX: Final = 256

#: The seq of a dot and the id of a request: what every language's integers hold.
INTEGER_MAX: Final = (1 << 63) - 1

# msgpack makes a list of the announced length before it sees the items, at each of up to
# 1024 levels: so the greatest array that any message needs is also a bound on memory.
_ARRAY_ITEMS_MAX: Final = BATCH_WRITES_MAX

#: One packer for all: packing is not reentrant, and nothing here packs from a callback.
pack: Callable[[object], bytes] = msgpack.Packer(autoreset=True).pack

#: Decode what we packed ourselves, from our own disk: no limits, no checks.
unpack_record: Callable[[bytes], Any] = msgpack.unpackb


class TooLarge(MalformedError):
    """A key, value or message over its limit."""

    code = "too_large"


class WrongVersion(MalformedError):
    """A message of a protocol version that this node does not speak."""

    code = "wrong_version"


def told(value: Any) -> str:
    """Something undecoded, for a message: what nests is only called by its type, since to
    spell it out would recurse as deep as it nests."""
    if isinstance(value, int) and value.bit_length() > 512:
        return "a number too long to write down"
    plain = value is None or isinstance(value, bool | int | float | str | bytes)
    return f"{value!r:.80}" if plain else f"a {type(value).__name__}"


def check_version(parts: list[Any], what: str) -> None:
    """Check the first item of a message."""
    if not parts or type(parts[0]) is not int or parts[0] != PROTOCOL_VERSION:
        version = told(parts[0]) if parts else "none"
        speaks = f"this node speaks {PROTOCOL_VERSION}: upgrade the older"
        raise WrongVersion(f"{what} of version {version}; {speaks}")


def unpack(data: bytes, what: str = "a message") -> Any:
    """Decode one msgpack object; raises MalformedError on anything unsound."""
    try:
        return msgpack.unpackb(
            data,
            max_array_len=_ARRAY_ITEMS_MAX,
            max_map_len=VECTOR_ENTRIES_MAX,
            max_ext_len=0,
            strict_map_key=True,
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise _unsound(what, error) from None


def unpack_flat(data: bytes, what: str) -> list[Any]:
    """Decode an array that holds no others. It may have any number of items, since each is
    seen before there is room for the next; raises MalformedError."""
    unpacker = msgpack.Unpacker(max_buffer_size=0, max_array_len=0, max_map_len=0, max_ext_len=0)
    unpacker.feed(data)
    try:
        items = [unpacker.unpack() for _ in range(unpacker.read_array_header())]
    except (ValueError, TypeError, OverflowError, msgpack.OutOfData) as error:
        raise _unsound(what, error) from None
    if unpacker.tell() != len(data):
        raise MalformedError(f"{what} is not sound msgpack: there is more after it")
    return items


def _unsound(what: str, error: Exception) -> MalformedError:
    deep = isinstance(error, msgpack.exceptions.StackError)
    reason = "nested too deep" if deep else str(error) or "there is no such format"
    return MalformedError(f"{what} is not sound msgpack: {reason}")


def unpack_array(data: bytes, items: int | None, what: str) -> list[Any]:
    """Decode an array, of exactly so many items if given."""
    return array(unpack(data, what), items, what)


def array(value: Any, items: int | None, what: str) -> list[Any]:
    """Check for an array, of exactly so many items if given."""
    if type(value) is not list or (items is not None and len(value) != items):
        wanted = "an array" if items is None else f"an array of {items} items"
        raise MalformedError(f"{what} must be {wanted}")
    return value


def integer(value: Any, low: int, high: int, what: str) -> int:
    """Check for an integer from `low` to `high`, both included."""
    if type(value) is not int or not low <= value <= high:
        raise MalformedError(f"{what} must be an integer from {low} to {high}")
    return value


def text(value: Any, bytes_max: int, what: str) -> str:
    """Check for a string of at most so many bytes in UTF-8."""
    if type(value) is not str or len(value.encode()) > bytes_max:
        raise MalformedError(f"{what} must be a string of at most {bytes_max} bytes")
    return value


def node_name(value: Any) -> str:
    """Check for the name of a node."""
    if type(value) is not str or not is_name(value):
        raise MalformedError(f"a node's name must match {NAME_PATTERN}")
    return value


def key_bytes(value: Any) -> bytes:
    """Check for a key: a string, taken as UTF-8, or bytes."""
    if type(value) is str:
        try:
            value = value.encode()
        except UnicodeEncodeError:
            raise MalformedError("a key has characters that UTF-8 can't hold") from None
    if type(value) is not bytes:
        raise MalformedError("a key must be bytes or a string")
    if not value:
        raise MalformedError("a key must not be empty")
    if len(value) > KEY_BYTES_MAX:
        raise TooLarge(f"a key must have at most {KEY_BYTES_MAX} bytes; this has {len(value)}")
    return value


def client_key(value: Any) -> bytes:
    """Check for a key that clients may touch."""
    key = key_bytes(value)
    if key.startswith(RESERVED_PREFIX):
        raise MalformedError(f"keys that start with {RESERVED_PREFIX!r} are kvnode's own")
    return key


def bound(value: Any, what: str) -> bytes | None:
    """Check for a bound of a range: a key of any kind, or one of no bytes, or nil."""
    if value is None or value in (b"", ""):
        return None if value is None else b""
    try:
        return key_bytes(value)
    except MalformedError as error:
        raise type(error)(f"{what}: {error}") from None


def value_bytes(value: Any) -> bytes:
    """Check for a value, which is bytes to everyone but clients."""
    if type(value) is not bytes:
        raise MalformedError("a value must be bytes")
    if len(value) > VALUE_BYTES_MAX:
        raise TooLarge(f"a value must have at most {VALUE_BYTES_MAX} bytes; this has {len(value)}")
    return value


def expiry_us(value: Any) -> int:
    """Check for the time when a version expires."""
    return integer(value, 1, INTEGER_MAX, "an expiry")


def dot(value: Any, what: str) -> Dot:
    """Check for [origin, seq]."""
    origin, seq = array(value, 2, what)
    if type(origin) is not str or not is_origin(origin):
        raise MalformedError(f"{what} names {told(origin)}, which is no origin")
    return Dot(origin, integer(seq, 1, INTEGER_MAX, f"the seq of {what}"))


def vector(value: Any, what: str) -> dict[str, int]:
    """Check for a vector: a map from origins to seqs of at least 1."""
    if type(value) is not dict:
        raise MalformedError(f"{what} must be a map")
    for origin, seq in value.items():
        if type(origin) is not str or not is_origin(origin):
            raise MalformedError(f"{what} names {told(origin)}, which is no origin")
        if type(seq) is not int or not 1 <= seq <= INTEGER_MAX:
            raise MalformedError(f"{what} has no sound seq for {origin}")
    return value
