"""How keys and values are shown: raw, in one line, and as JSON."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any, Final

from kvnode.client.session import packed_value
from kvnode.errors import KvnodeError

#: Surrogate escapes (PEP 383) stand for bytes that are no UTF-8.
_ESCAPED_BYTES: Final = range(0xDC80, 0xDD00)


def raw(value: Any) -> bytes:
    """A value as it is where it is text or bytes, else its JSON."""
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else as_json(value)).encode()


def in_line(value: bytes | Any) -> str:
    """A key or a value in a part of one line that no terminal takes for more than text: what can't
    be printed is escaped as in Python, and a backslash is two."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    text = value if isinstance(value, str) else _json_or_repr(value)
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(map(_escaped, text))


def _json_or_repr(value: Any) -> str:
    try:
        return as_json(value)
    except KvnodeError:
        return repr(value)


def _escaped(character: str) -> str:
    if ord(character) in _ESCAPED_BYTES:
        return f"\\x{ord(character) - 0xDC00:02x}"
    if character.isprintable() and character != "\\":
        return character
    return character.encode("unicode_escape").decode()


def key_as_json(key: str | bytes) -> Any:
    """A string, or where it is no UTF-8 its bytes, for `as_json`."""
    if isinstance(key, str):
        key = key.encode("utf-8", "surrogateescape")
    try:
        return key.decode()
    except UnicodeDecodeError:
        return key


def time_as_json(time: datetime | None) -> str | None:
    """ISO 8601, in UTC."""
    return None if time is None else time.isoformat()


def as_json(value: Any) -> str:
    """One line of JSON, for reading: bytes are `{"base64": ...}`, and what else JSON has no word
    for is a string. Raises KvnodeError."""
    try:
        return json.dumps(value, default=_jsonable, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise KvnodeError(f"this can't be shown as JSON: {error}") from None


def packed_as_json(value: Any) -> dict[str, str]:
    """What `as_json` has no form for at all, as msgpack."""
    return {"msgpack": base64.b64encode(packed_value(value)).decode()}


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return str(value)
