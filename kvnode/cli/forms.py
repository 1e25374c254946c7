"""How keys and values are shown: raw, in one line, and as JSON."""

from __future__ import annotations

import base64
import json
import math
from datetime import datetime
from typing import Any, Final, NoReturn

import msgpack  # type: ignore[import-untyped]

from kvnode.errors import KvnodeError, UnreadableValue

#: Surrogate escapes (PEP 383) stand for bytes that are no UTF-8.
_ESCAPED_BYTES: Final = range(0xDC80, 0xDD00)


def raw(value: Any) -> bytes:
    """A value as it is where it is text or bytes, else its JSON; what that has no form for, as
    Python writes it."""
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json_or_repr(value)).encode()


def in_line(value: bytes | Any) -> str:
    """A key or a value in a part of one line that no terminal takes for more than text: what can't
    be printed is escaped as in Python, and a backslash is two."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    text = value if isinstance(value, str) else json_or_repr(value)
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(map(_escaped, text))


def json_or_repr(value: Any) -> str:
    """For people: what JSON has no form for, as Python writes it."""
    try:
        return as_json(value)
    except KvnodeError:
        pass
    try:
        return repr(value)
    except RecursionError:
        return as_json(jsonable(value))


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
    """One line of JSON, for reading: bytes are `{"base64": ...}`, what else JSON has no word for is
    a string, and so are the keys of maps. Raises KvnodeError."""
    try:
        text = json.dumps(value, default=_jsonable, allow_nan=False)
        _expect_distinct_keys(value)
    except (TypeError, ValueError, RecursionError) as error:
        why = f"this can't be shown as JSON: {error}"
        raise KvnodeError(f"{why}; `kv export` has it whole, as msgpack") from None
    return text


def jsonable(value: Any) -> Any:
    """A value for `as_json`; what that has no form for at all is msgpack in base64."""
    if not isinstance(value, UnreadableValue):
        try:
            as_json(value)
            return value
        except KvnodeError:
            pass
    return {"msgpack": packed_text(value)}


def packed_text(value: Any) -> str:
    """Its msgpack in base64; of what can't be read, its bytes."""
    packed = value.packed if isinstance(value, UnreadableValue) else msgpack.packb(value)
    return base64.b64encode(packed).decode()


def parsed(text: bytes | str) -> Any:
    """A value from JSON that says just one thing, which `as_json` gives back: no NaN, no number
    beyond all floats, no object with a key twice. Raises ValueError or RecursionError."""
    return json.loads(
        text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_object
    )


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text:.80} is beyond all floats")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"an object has the key {twice!r:.80} twice")
    return made


def _expect_distinct_keys(value: Any) -> None:
    """Raise ValueError for a map of which two keys are one in JSON, as 1 and "1" are."""
    left = [value]
    while left:
        here = left.pop()
        if isinstance(here, list | tuple):
            left += here
        elif isinstance(here, dict):
            left += here.values()
            forms: dict[str, Any] = {}
            for key in here:
                form = key if isinstance(key, str) else json.dumps(key)
                if form in forms:
                    raise ValueError(f"the keys {forms[form]!r:.80} and {key!r:.80} are the same")
                forms[form] = key


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return str(value)
