"""The answering side: requests that are refused, with an id and a code where these can be told."""

from __future__ import annotations

from typing import Any

import pytest

from kvnode.codec.packing import INTEGER_MAX, MESSAGE_BYTES_MAX, pack
from kvnode.codec.server import BadRequest, decode_request
from kvnode.core.limits import (
    KEY_BYTES_MAX,
    ONCE_WRITES_MAX,
    REQUEST_DEADLINE_MS_MAX,
    REQUEST_OPERATIONS_MAX,
    REQUEST_SCANS_MAX,
    TTL_MS_MAX,
    VALUE_BYTES_MAX,
    WRITE_BYTES_MAX,
    WRITE_KEYS_MAX,
)
from kvnode.core.pieces import BEGUN_MAX, DIGEST_BYTES
from kvnode.core.vector import new_origin

X = new_origin("X", 1, 1)
GET = ["get", b"key"]
DIGEST = bytes(DIGEST_BYTES)


def encoded(*operations: Any, id_: Any = 5, token: Any = None, deadline_ms: Any = 0) -> bytes:
    return pack([1, id_, token, deadline_ms, *operations])


def refusal(payload: bytes) -> tuple[int | None, str]:
    """The id and the code of the error that a request gets."""
    with pytest.raises(BadRequest) as caught:
        decode_request(payload)
    return caught.value.id, caught.value.code


@pytest.mark.parametrize(
    "operation",
    [
        None,
        [],
        {},
        "get",
        ["put"],
        ["put", b"key"],
        ["put", b"key", b"value", b"more"],
        ["put", b"key", None],
        ["put", b"", b"value"],
        ["put", None, b"value"],
        ["get"],
        ["get", b""],
        ["get", [b"key"]],
        ["read", b"key"],
        ["read", 1, 0],
        ["read", b"key", -1],
        ["read", b"key", None],
        ["read", b"key", True],
        ["delete", b"key", b"value"],
        ["scan", None, None, None, None, 1, False],
        ["scan", -1, None, None, None, 1, False, "keys"],
        ["scan", b"1", None, None, None, 1, False, "keys"],
        ["scan", True, None, None, None, 1, False, "keys"],
        ["scan", None, 1, None, None, 1, False, "keys"],
        ["scan", None, None, [b"a"], None, 1, False, "keys"],
        ["scan", None, None, None, None, 0, False, "keys"],
        ["scan", None, None, None, None, 1001, False, "keys"],
        ["scan", None, None, None, None, 1001, False, "entries"],
        ["scan", None, None, None, None, 2049, False, "count"],
        ["scan", None, None, None, None, None, False, "keys"],
        ["scan", None, None, None, 0, 1, False, "keys"],
        ["scan", None, None, None, b"1", 1, False, "keys"],
        ["scan", None, None, None, 1 << 63, 1, False, "keys"],
        ["scan", None, None, None, None, 1, 0, "keys"],
        ["scan", None, None, None, None, 1, None, "keys"],
        ["scan", None, None, None, None, 1, False, "values"],
        ["scan", None, None, None, None, 1, False, b"keys"],
        ["scan", None, None, None, None, 1, False, None],
        ["write", []],
        ["write", [], []],
        ["write", None, [[b"key"]]],
        ["write", [], [b"key"]],
        ["write", [], [[]]],
        ["write", [], [[b"key", b"value", b"more"]]],
        ["write", [], [[b"key", None]]],
        ["write", [], [[b""]]],
        ["write", [[b"key"]], [[b"key"]]],
        ["write", [[b"key", []], [b"key", []]], [[b"key"]]],
        ["write", [[b"key", [X]]], [[b"key"]]],
        ["write", [[b"key", [[X, 0]]]], [[b"key"]]],
        ["write", [[b"key", [["X", 1]]]], [[b"key"]]],
        ["write", [], [[b"\0kvnode/member/x"]]],
        ["once", bytes(15), "X", 0],
        ["once", "text of 16 chars", "X", 0],
        ["once", bytes(16), "a~b", 0],
        ["once", bytes(16), "X", -1],
        ["once", bytes(16), "X"],
        ["position", 1],
        ["ping", 1],
        ["status", None],
        ["hello", "c", "X", 1],
        ["hello", b"c", "X", 1, "x:1", "x:2", None],
        ["hello", "c", "a~b", 1, "x:1", "x:2", None],
        ["hello", "c", "X", -1, "x:1", "x:2", None],
        ["hello", "c", "X", True, "x:1", "x:2", None],
        ["hello", "c", "X", 1, b"x:1", "x:2", None],
        ["hello", "c", "X", 1, "x" * 257, "x:2", None],
        ["hello", "c", "X", 1, "x:1", None, None],
        ["hello", "c", "X", 1, "x:1", "x:2", X],
        ["hello", "c", "X", 1, "x:1", "x:2", [X]],
        ["hello", "c", "X", 1, "x:1", "x:2", [X, 0]],
        ["hello", "c", "X", 1, "x:1", "x:2", ["X", 1]],
        ["members", 1],
        ["forget"],
        ["forget", "a~b"],
        ["forget", b"X"],
        ["snapshot", None],
        ["snapshot", None, b"", 1],
        ["snapshot", -1, b"", 1, []],
        ["snapshot", None, "text", 1, []],
        ["snapshot", 1, bytes(KEY_BYTES_MAX + 2), 1, []],
        ["snapshot", None, b"", 0, []],
        ["since", {}, 1],
        ["since", {}, 0, []],
        ["since", {}, MESSAGE_BYTES_MAX + 1, []],
        ["since", [], 1, []],
        ["since", {"X": 1}, 1, []],
        ["since", {X: 0}, 1, []],
        ["since", {}, 1, None],
        ["since", {}, 1, [[DIGEST]]],
        ["since", {}, 1, [[DIGEST, 0]]],
        ["since", {}, 1, [[DIGEST[1:], 1]]],
        ["since", {}, 1, [["text", 1]]],
        ["since", {}, 1, [[DIGEST, 1]] * (BEGUN_MAX + 1)],
        ["replicated", 2],
        ["replicated", 0, 100],
        ["replicated", 1025, 100],
        ["replicated", 2, -1],
        ["replicated", 2, 600_001],
        ["replicated", None, 100],
        ["replicated", 2, True],
        ["cancel"],
        ["cancel", -1],
        ["cancel", b"1"],
        ["synced", "X", 1, X],
        ["synced", "a~b", 1, X, 1],
        ["synced", "X", -1, X, 1],
        ["synced", "X", 1, "X", 1],
        ["synced", "X", 1, X, 0],
        ["watch", b"a"],
        ["watch", None, False],
        ["watch", 1, False],
        ["watch", b"a", 1],
        ["touch", b"a"],
        ["touch", b"a", 0],
        ["touch", b"a", TTL_MS_MAX + 1],
        ["touch", b"a", 1.5],
        ["put", b"a", b"", 0],
        ["put", b"a", b"", None],
        ["write", [], [[b"a"]], "soon"],
        ["fault", "X", "gossip", "stop"],
        ["fault", "X", "everything", "hold"],
        ["fault", "X", ["gossip"], "hold"],
        ["fault", "a~b", "gossip", "hold"],
    ],
)
def test_an_unsound_operation_is_malformed_and_its_request_known_by_id(operation: Any) -> None:
    assert refusal(encoded(operation)) == (5, "malformed")
    assert refusal(encoded(GET, operation)) == (5, "malformed")


@pytest.mark.parametrize("others", [[GET], [["watch", b"", False]]])
def test_a_watch_stands_alone(others: list[Any]) -> None:
    assert refusal(encoded(["watch", b"", False], *others)) == (5, "malformed")
    assert refusal(encoded(*others, ["watch", b"", False])) == (5, "malformed")


@pytest.mark.parametrize("after", [GET, ["replicated", 2, 100]])
def test_nothing_stands_after_a_wait_for_replicas(after: list[Any]) -> None:
    put = ["put", b"key", b"value"]
    assert refusal(encoded(put, ["replicated", 2, 100], after)) == (5, "malformed")


ONCE = ["once", bytes(16), "X", 0]
PUT = ["put", b"key", b"value"]


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ([ONCE], "malformed"),
        ([ONCE, GET], "malformed"),
        ([PUT, ONCE], "malformed"),
        ([ONCE, ONCE, PUT], "malformed"),
        ([ONCE, *(ONCE_WRITES_MAX + 1) * [PUT]], "too_large"),
    ],
)
def test_what_is_done_once_is_a_few_writes_after_its_id(operations: list[Any], code: str) -> None:
    assert refusal(encoded(*operations)) == (5, code)


@pytest.mark.parametrize("name", ["", "PUT", "put ", b"put", None, 1, ["put"], {}])
def test_an_unknown_operation_is_called_unknown(name: Any) -> None:
    assert refusal(encoded([name, b"key"])) == (5, "unknown_operation")


@pytest.mark.parametrize(
    "operation",
    [["ping"], ["status"], ["members"], ["since", {}, 1, []], ["snapshot", None, b"", 1, []]],
)
def test_an_operation_on_the_node_stands_alone(operation: list[Any]) -> None:
    for operations in ([operation, GET], [GET, operation], [operation, operation]):
        with pytest.raises(BadRequest, match="must stand alone"):
            decode_request(encoded(*operations))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("token", "text"),
        ("token", []),
        ("token", b""),
        ("token", b"\xc1"),
        ("token", pack(["c", {X: 0}])),
        ("deadline_ms", -1),
        ("deadline_ms", REQUEST_DEADLINE_MS_MAX + 1),
        ("deadline_ms", None),
        ("deadline_ms", 1.0),
        ("deadline_ms", True),
    ],
)
def test_an_unsound_token_or_deadline_is_malformed(field: str, value: Any) -> None:
    assert refusal(encoded(GET, **{field: value})) == (5, "malformed")


@pytest.mark.parametrize(
    ("id_", "told"),
    [
        (-1, -1),
        (INTEGER_MAX + 1, INTEGER_MAX + 1),
        (None, None),
        ("5", None),
        (True, None),
        (5.0, None),
    ],
)
def test_an_unsound_id_is_told_where_it_is_a_number(id_: Any, told: int | None) -> None:
    assert refusal(encoded(GET, id_=id_)) == (told, "malformed")


@pytest.mark.parametrize("version", [0, 2, None, "1", True, 1.0])
def test_another_version_is_refused_by_id(version: Any) -> None:
    assert refusal(pack([version, 5, None, 0, GET])) == (5, "wrong_version")


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([], (None, "wrong_version")),
        ([1], (None, "malformed")),
        ([1, 5], (5, "malformed")),
        ([1, 5, None, 0], (5, "malformed")),
        ({}, (None, "malformed")),
        (None, (None, "malformed")),
    ],
)
def test_another_shape_is_malformed(parts: Any, told: tuple[int | None, str]) -> None:
    assert refusal(pack(parts)) == told


@pytest.mark.parametrize(
    "operation",
    [
        ["get", b"k" * (KEY_BYTES_MAX + 1)],
        ["put", b"k", bytes(VALUE_BYTES_MAX + 1)],
        ["write", [], [[b"k" * (KEY_BYTES_MAX + 1)]]],
        ["scan", None, None, b"k" * (KEY_BYTES_MAX + 1), None, 1, False, "keys"],
        ["watch", b"k" * (KEY_BYTES_MAX + 1), False],
        ["write", [], [[b"%d" % at, bytes(WRITE_BYTES_MAX // 2)] for at in range(2)]],
    ],
    ids=["key", "value", "a write's key", "a scan's end", "a prefix", "a write"],
)
def test_a_key_or_value_over_its_limit_is_too_large(operation: list[Any]) -> None:
    assert refusal(encoded(operation)) == (5, "too_large")


@pytest.mark.parametrize(
    "operations",
    [
        [["write", [], [[b"%d" % at] for at in range(WRITE_KEYS_MAX)]], ["write", [], [[b"k"]]]],
        [["write", [[b"c%d" % at, []] for at in range(WRITE_KEYS_MAX)], [[b"k"]]]],
        5 * [["write", [[b"k", [[X, at] for at in range(1, 4000)]]], [[b"k"]]]],
    ],
    ids=["changes", "conditions", "dots"],
)
def test_the_writes_of_a_request_have_limits_together(operations: list[Any]) -> None:
    """They are made in one turn, and nobody else is served meanwhile."""
    assert refusal(encoded(*operations)) == (5, "too_large")


def test_the_pages_of_a_request_have_a_limit() -> None:
    page = ["scan", None, None, None, None, 1, False, "keys"]
    assert refusal(encoded(*[page] * (REQUEST_SCANS_MAX + 1))) == (5, "too_large")


def test_a_message_over_its_limit_is_too_large_before_it_is_unpacked() -> None:
    assert refusal(bytes(MESSAGE_BYTES_MAX + 1)) == (None, "too_large")


@pytest.mark.parametrize("number", [0, REQUEST_OPERATIONS_MAX + 1])
def test_one_operation_too_many_or_none_is_malformed(number: int) -> None:
    assert refusal(encoded(*[GET] * number)) == (5, "malformed")


@pytest.mark.parametrize("depth", [100, 990, 1020, 2000])
@pytest.mark.parametrize("at", range(6))
def test_a_part_that_nests_deep_is_a_bad_request(at: int, depth: int) -> None:
    parts = [pack(part) for part in (1, 5, None, 0, GET)]
    if at == 5:
        parts[4] = b"\x91" + b"\x91" * depth + b"\xc0"
    else:
        parts[at] = b"\x91" * depth + b"\xc0"
    with pytest.raises(BadRequest):
        decode_request(b"\x95" + b"".join(parts))
