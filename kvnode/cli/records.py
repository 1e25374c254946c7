"""The lines of an export: one key each, with all that it takes to have it again.

    {"key": "user/1", "value": {"name": "Ada"}}
    {"key": "session/7", "value": "Ada", "expires_at": "2026-11-25T20:00:00+00:00"}
    {"key": {"base64": "/w=="}, "bytes": "AAE="}

A key that is no UTF-8 has its bytes in base64. A value that JSON has a form for is `value`; one of
bytes is `bytes`, in base64, and any other is `msgpack`, in base64.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any, Final, NamedTuple

from kvnode.cli.forms import packed_text, parsed
from kvnode.client.scans import Entry
from kvnode.client.session import packed_key
from kvnode.client.values import packed_value, unpacked_value
from kvnode.core.limits import KEY_BYTES_MAX, VALUE_BYTES_MAX
from kvnode.errors import InvalidRequest, KvnodeError, UnreadableValue

#: JSON may spell each byte of a key and a value in six; the rest is names and a time.
LINE_BYTES_MAX: Final = 6 * (KEY_BYTES_MAX + VALUE_BYTES_MAX) + 1024

_FORMS: Final = ("value", "bytes", "msgpack")


class Record(NamedTuple):
    """A key to be put."""

    key: bytes
    value: Any
    expires_at: datetime | None
    #: What key and value weigh in a request.
    size_bytes: int


def line_of(entry: Entry) -> bytes:
    """The line of a key (bytes) and its winner, with its end."""
    key, version, _ = entry
    head = {"key": _key_form(key)}
    form, text = _form(version.value)
    line = f'{json.dumps(head, ensure_ascii=False)[:-1]}, "{form}": {text}'
    if version.expires_at is not None:
        line += f', "expires_at": "{version.expires_at.isoformat()}"'
    return f"{line}}}\n".encode()


def end_line(error: KvnodeError | KeyboardInterrupt) -> bytes:
    """What stands where an export ends before its time, so that nobody takes it for whole."""
    interrupted = isinstance(error, KeyboardInterrupt)
    message = "it was interrupted" if interrupted else str(error)
    return (json.dumps({"error": type(error).__name__, "message": message}) + "\n").encode()


def record_of(line: bytes) -> Record:
    """The inverse. Raises InvalidRequest, which tells what is wrong with it."""
    try:
        document = parsed(line.decode())
    except RecursionError:
        raise InvalidRequest("this is nested too deeply") from None
    except ValueError as error:
        raise InvalidRequest(f"this is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidRequest("this is no JSON object")
    if "error" in document:
        reason = f"{document['error']}: {document.get('message')}"
        raise InvalidRequest(f"the export ended here before it was whole ({reason:.200})")
    if "key" not in document:
        raise InvalidRequest("it has no `key`")
    forms = [form for form in _FORMS if form in document]
    if len(forms) != 1:
        raise InvalidRequest("it must have just one of `value`, `bytes` and `msgpack`")
    if unknown := document.keys() - {"key", "expires_at", *forms}:
        raise InvalidRequest(f"nobody knows its {', '.join(map(repr, sorted(unknown))):.80}")
    named = _key(document["key"])
    key = packed_key(named)
    value = _value(forms[0], document[forms[0]], named)
    size_bytes = len(key) + len(packed_value(value, named))
    return Record(key, value, _time(document.get("expires_at")), size_bytes)


def _key_form(key: bytes) -> Any:
    try:
        return key.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(key).decode()}


def _form(value: Any) -> tuple[str, str]:
    """The name of the form, and its JSON. What JSON does not give back as it was is msgpack."""
    if isinstance(value, bytes):
        return "bytes", json.dumps(base64.b64encode(value).decode())
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        if json.loads(text) == value:
            return "value", text
    except (TypeError, ValueError, RecursionError):
        pass
    return "msgpack", json.dumps(packed_text(value))


def _key(form: Any) -> str | bytes:
    match form:
        case str():
            return form
        case {"base64": str(text)} if len(form) == 1:
            return _decoded(text, "key")
        case _:
            raise InvalidRequest('its `key` must be a string, or {"base64": ...}')


def _value(form: str, content: Any, key: str | bytes) -> Any:
    if form == "value":
        return content
    if not isinstance(content, str):
        raise InvalidRequest(f"its `{form}` must be base64")
    decoded = _decoded(content, form)
    if form == "bytes":
        return decoded
    value = unpacked_value(decoded, key)
    if isinstance(value, UnreadableValue):
        raise InvalidRequest(f"its `msgpack` is none: {value}")
    return value


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidRequest(f"its `{what}` is no base64: {error}") from None


def _time(text: Any) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        time = None
    if time is None or time.tzinfo is None:
        raise InvalidRequest("its `expires_at` must be a time of ISO 8601, with its offset")
    return time
