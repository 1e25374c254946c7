"""What is no history is rejected, with the line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.judge import HistoryError, Operation, dump, get, judge, parse, put

LINE = {"session": "s1", "op": "put", "key": "k", "value": "v", "ok": True}


def line(**changes: Any) -> str:
    return json.dumps(LINE | changes)


@pytest.mark.parametrize(
    "operation",
    [put("s", "k", "v"), put("s", "k", 7, ok=False), get("é\n", "", None), get("s", "k", "")],
    ids=str,
)
def test_an_operation_survives_its_line(operation: Operation) -> None:
    assert parse([dump(operation)]) == [operation]
    assert parse([dump(operation).encode() + b"\r\n"]) == [operation]


def test_unknown_fields_are_left_alone() -> None:
    assert parse([line(node="X", at_s=1.5)]) == [put("s1", "k", "v")]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (b'"\xff"', "not JSON"),
        ('"put"', "not a JSON object"),
        ("{}", "no 'session'"),
        (line()[:-13] + "}", "no 'ok'"),
        (line(session=1), "'session' is no string"),
        (line(op="delete"), "'op' is neither put nor get"),
        (line(op=["put"]), "'op' is neither put nor get"),
        (line(key=None), "'key' is no string"),
        (line(value=1.5), "'value' is no string, integer or null"),
        (line(value=True), "'value' is no string, integer or null"),
        (line(value=["v"]), "'value' is no string, integer or null"),
        (line(ok=1), "'ok' is neither true nor false"),
        (line(ok=None), "'ok' is neither true nor false"),
    ],
)
def test_a_malformed_line_is_named(bad: str | bytes, reason: str) -> None:
    with pytest.raises(HistoryError) as caught:
        parse([line(), bad, line(value="w")])
    assert str(caught.value) == f"line 2: {reason}"
    assert caught.value.line == 2


def test_a_value_written_twice_to_a_key_is_rejected() -> None:
    operations = [put("s1", "k", "v"), get("s1", "k", "v"), put("s2", "k", "v", ok=False)]
    with pytest.raises(HistoryError, match=r"^line 3: writes what line 1 wrote"):
        judge(operations)


def test_a_value_written_to_two_keys_is_no_matter() -> None:
    assert judge([put("s1", "k", "v"), put("s1", "l", "v")]).ok


def test_a_number_and_its_digits_are_two_values() -> None:
    judgement = judge([put("s1", "k", 1), put("s1", "k", "1"), get("s1", "k", 1)])
    assert judgement.cc is not None and judgement.cc.pattern == "WriteCORead"


def test_a_put_of_null_is_rejected() -> None:
    with pytest.raises(HistoryError, match=r"^line 1: a put of null"):
        judge(parse([line(value=None)]))
