"""Keys and values raw, in one line, and as JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.cli.forms import as_json, in_line, jsonable, key_as_json, parsed, raw, time_as_json
from kvnode.errors import KvnodeError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("user/ä", "user/ä"),
        (b"user/\xc3\xa4", "user/ä"),
        (b"\xff\0", "\\xff\\x00"),
        ("two\nlines\tand a tab", "two\\nlines\\tand a tab"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202e", "\\u202e"),
        ("a\\b", "a\\\\b"),
        ({"a": [1, b"\xff"]}, '{"a": [1, {"base64": "/w=="}]}'),
        ({b"\xff": 1}, r"{b'\\xff': 1}"),
        (math.nan, "nan"),
        (None, "null"),
    ],
)
def test_what_is_shown_in_a_line_has_no_line_ends_and_no_orders_for_terminals(value, shown):
    assert in_line(value) == shown


@given(st.binary())
def test_any_bytes_are_told_apart_in_a_line(value):
    assert in_line(value).isprintable()
    undone = in_line(value).encode("latin1", "backslashreplace").decode("unicode_escape")
    if value.isascii():
        assert undone.encode("latin1") == value


@pytest.mark.parametrize(
    ("value", "raw_"),
    [
        ("ä\n", "ä\n".encode()),
        (b"\xff", b"\xff"),
        ([1, None], b"[1, null]"),
        ([math.nan, "ä"], "[nan, 'ä']".encode()),
    ],
)
def test_raw_is_what_it_is_or_its_json(value, raw_):
    assert raw(value) == raw_


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("a", '"a"'),
        (b"a", '"a"'),
        ("\udcff", '{"base64": "/w=="}'),
        (b"\xff", '{"base64": "/w=="}'),
    ],
)
def test_a_key_that_is_no_text_is_its_bytes_in_json(key, shown):
    assert as_json(key_as_json(key)) == shown


@pytest.mark.parametrize("value", [math.nan, {b"\xff": 1}])
def test_what_json_has_no_form_for_at_all_is_an_error_and_can_be_packed(value):
    with pytest.raises(KvnodeError, match="can't be shown as JSON"):
        as_json(value)
    packed = json.loads(as_json(jsonable(value)))
    assert packed == {"msgpack": "y3/4AAAAAAAA" if value is math.nan else "gcQB/wE="}
    assert msgpack.packb(value)


def test_times_are_iso_8601():
    assert time_as_json(datetime(2026, 11, 25, tzinfo=UTC)) == "2026-11-25T00:00:00+00:00"
    assert time_as_json(None) is None


@pytest.mark.parametrize(
    "value",
    [
        {1: "a", "1": "b"},
        [{"deep": ({None: 1, "null": 2},)}],
        {1.5: 1, "1.5": 2},
        {"true": 1, True: 2},
    ],
    ids=str,
)
def test_two_keys_of_a_map_that_would_be_one_in_json_are_named(value):
    with pytest.raises(KvnodeError, match=r"the keys .* and .* are the same; `kv export` has it"):
        as_json(value)
    assert jsonable(value).keys() == {"msgpack"}


@pytest.mark.parametrize("value", [{1: "a", "2": "b"}, {}, [], {"a": [{"1": 1}, {1: 1}]}])
def test_other_maps_are_shown_as_they_are(value):
    assert as_json(value) == json.dumps(value)
    assert jsonable(value) is value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("NaN", "NaN is no JSON"),
        ('{"a": [-Infinity]}', "-Infinity is no JSON"),
        ("1e999", "1e999 is beyond all floats"),
        ('[{"a": 1, "b": 2, "a": 3}]', "an object has the key 'a' twice"),
        ("{", "Expecting property name"),
    ],
)
def test_json_that_does_not_say_just_one_thing_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        parsed(text)


def test_json_is_read_as_what_it_says():
    assert parsed(b'{"a": [1, 2.5, null, "b", 1e3, -0.0]}') == {"a": [1, 2.5, None, "b", 1000.0, 0]}
