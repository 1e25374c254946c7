"""One operation as its client saw it, and JSON lines to and from it.

What a line may say lives here; what the lines together may say is checked in history.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final, Literal

#: What is written. None stands for an absent key and is only ever read.
Value = str | int

_FIELDS: Final = ("session", "op", "key", "value", "ok")


class HistoryError(ValueError):
    """The input is no history that can be judged. Says which line, if it is one line's fault."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason if line is None else f"line {line}: {reason}")
        self.line = line


@dataclass(frozen=True, slots=True)
class Operation:
    """A put or a get of one key.

    A put that is not ok has an unknown outcome; a get that is not ok says nothing.
    """

    session: str
    op: Literal["put", "get"]
    key: str
    value: Value | None
    ok: bool = True

    @property
    def is_put(self) -> bool:
        return self.op == "put"

    def __str__(self) -> str:
        # As JSON, so that any text is printable and 1 and "1" look different.
        value = "absent" if self.value is None else json.dumps(self.value)
        doubt = "" if self.ok else " (outcome unknown)" if self.is_put else " (failed)"
        return f"{_name(self.session)} {self.op} {_name(self.key)} = {value}{doubt}"


def put(session: str, key: str, value: Value, ok: bool = True) -> Operation:
    """A put; with ok=False one that may or may not have taken effect."""
    return Operation(session, "put", key, value, ok)


def get(session: str, key: str, value: Value | None, ok: bool = True) -> Operation:
    """A get and the value it returned, None if the key was absent."""
    return Operation(session, "get", key, value, ok)


def parse(lines: Iterable[str | bytes]) -> list[Operation]:
    """The operations of these JSON lines, in their order; HistoryError names a bad line.

    Fields that the judge does not know are left alone, so that a history can carry more.
    """
    return [_operation(line, number) for number, line in enumerate(lines, 1)]


def dump(operation: Operation) -> str:
    """The operation as a line that `parse` reads, without its newline."""
    return json.dumps(asdict(operation))


def _operation(line: str | bytes, number: int) -> Operation:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        # RecursionError: brackets nested thousands deep.
        raise HistoryError("not JSON", number) from error
    if not isinstance(record, dict):
        raise HistoryError("not a JSON object", number)
    if missing := [field for field in _FIELDS if field not in record]:
        raise HistoryError(f"no {missing[0]!r}", number)
    session, op, key, value, ok = (record[field] for field in _FIELDS)
    if not isinstance(session, str):
        raise HistoryError("'session' is no string", number)
    if op not in ("put", "get"):
        raise HistoryError("'op' is neither put nor get", number)
    if not isinstance(key, str):
        raise HistoryError("'key' is no string", number)
    if type(value) not in (str, int, type(None)):
        raise HistoryError("'value' is no string, integer or null", number)
    if not isinstance(ok, bool):
        raise HistoryError("'ok' is neither true nor false", number)
    return Operation(session, op, key, value, ok)


def _name(name: str) -> str:
    """A plain name as it is, any other as JSON."""
    plain = name.isascii() and name.isprintable() and name and not set(name) & set(' "=')
    return name if plain else json.dumps(name)
