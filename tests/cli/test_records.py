"""Lines of exports: what they say comes back just as it was; what is wrong with one is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.cli.records import end_line, line_of, record_of
from kvnode.client.scans import Entry
from kvnode.client.session import Version
from kvnode.core.limits import KEY_BYTES_MAX
from kvnode.core.vector import Dot, new_origin
from kvnode.errors import CutGone, InvalidRequest

DOT = Dot(new_origin("X", 1, 1), 7)
TIME = datetime(2026, 11, 25, 20, 0, 0, 123456, tzinfo=UTC)


def line(key=b"k", value="v", expires_at=None):
    return line_of(Entry(key, Version(value, DOT, 1, expires_at), 0))


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"value": {"a": ["ä", None]}}, '{"key": "k", "value": {"a": ["ä", null]}}'),
        ({"key": b"\xff"}, '{"key": {"base64": "/w=="}, "value": "v"}'),
        ({"value": b"\0\1"}, '{"key": "k", "bytes": "AAE="}'),
        ({"value": {1: 2}}, '{"key": "k", "msgpack": "gQEC"}'),
        ({"value": float("inf")}, '{"key": "k", "msgpack": "y3/wAAAAAAAA"}'),
        (
            {"expires_at": TIME},
            '{"key": "k", "value": "v", "expires_at": "2026-11-25T20:00:00.123456+00:00"}',
        ),
    ],
)
def test_a_line_says_all_that_it_takes(entry, text):
    assert line(**entry).decode() == text + "\n"


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary()),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 9) | st.binary(), inner)
    ),
    max_leaves=8,
)
keys = st.binary(min_size=1).filter(lambda key: not key.startswith(b"\0kvnode/"))


def same(one, other):
    """Equal, and of equal types: 1 is neither 1.0 nor True."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=True)
        return all(same(a, b) and same(c, d) for (a, c), (b, d) in pairs)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@given(keys, values, st.none() | st.datetimes(timezones=st.just(UTC)))
def test_what_a_line_says_comes_back_just_as_it_was(key, value, expires_at):
    written = line(key, value, expires_at)
    assert written.endswith(b"}\n") and written.count(b"\n") == 1
    record = record_of(written)
    assert (record.key, record.expires_at) == (key, expires_at)
    assert same(record.value, value)
    assert record.size_bytes == len(key) + len(msgpack.packb(value))


def test_what_is_nested_as_deeply_as_msgpack_can_comes_back():
    value = []
    for _ in range(510):
        value = [value]
    assert record_of(line(value=value)).value == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no JSON"),
        ("\n", "no JSON"),
        ('{"key": "k", "value": 1', "no JSON"),
        ('{"key": "k", "value": NaN}', "NaN is no JSON"),
        ('{"key": "k", "value": [1e999]}', "1e999 is beyond all floats"),
        ('{"key": "k", "key": "l", "value": 1}', "the key 'key' twice"),
        ('{"key": "k", "value": {"a": 1, "a": 2}}', "the key 'a' twice"),
        (b'{"key": "\xff", "value": 1}', "no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "no JSON object"),
        ('{"value": 1}', "no `key`"),
        ('{"key": "k"}', "just one of"),
        ('{"key": "k", "value": 1, "bytes": ""}', "just one of"),
        ('{"key": "k", "value": 1, "expire_at": "x", "b": 1}', "nobody knows its 'b', 'expire_at'"),
        ('{"key": 1, "value": 1}', "`key` must be"),
        ('{"key": {"base64": "!"}, "value": 1}', "`key` is no base64"),
        ('{"key": {"base64": "AA==", "x": 1}, "value": 1}', "`key` must be"),
        ('{"key": "", "value": 1}', "key"),
        (f'{{"key": "{"k" * (KEY_BYTES_MAX + 1)}", "value": 1}}', "key"),
        ('{"key": "\\u0000kvnode/member/X", "value": 1}', "kvnode's own"),
        ('{"key": "k", "value": 18446744073709551616}', "can't be stored"),
        ('{"key": "k", "value": "\\ud800"}', "can't be stored"),
        ('{"key": "k", "bytes": 1}', "`bytes` must be base64"),
        ('{"key": "k", "bytes": "a"}', "`bytes` is no base64"),
        ('{"key": "k", "msgpack": "wQ=="}', "`msgpack` is none"),
        ('{"key": "k", "value": 1, "expires_at": 5}', "`expires_at` must be"),
        ('{"key": "k", "value": 1, "expires_at": "2026-11-25T20:00:00"}', "`expires_at` must be"),
    ],
)
def test_what_is_wrong_with_a_line_is_told(text, told):
    with pytest.raises(InvalidRequest) as raised:
        record_of(text if isinstance(text, bytes) else text.encode())
    assert told in str(raised.value) and len(str(raised.value)) < 400


def test_a_time_may_have_any_offset():
    record = record_of(
        b'{"key": "k", "value": 1, "expires_at": "2026-11-25T22:00:00.123456+02:00"}'
    )
    assert record.expires_at == TIME.astimezone(timezone(timedelta(hours=2)))


@pytest.mark.parametrize("error", [CutGone("begin anew"), KeyboardInterrupt()])
def test_where_an_export_ended_before_its_time_nobody_takes_it_for_whole(error):
    assert json.loads(end_line(error))["error"] == type(error).__name__
    with pytest.raises(InvalidRequest, match="ended here before it was whole"):
        record_of(end_line(error))
