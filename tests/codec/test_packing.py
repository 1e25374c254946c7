"""msgpack within limits, and the checks that the decoders share."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.codec.packing import (
    INTEGER_MAX,
    TooLarge,
    WrongVersion,
    array,
    check_version,
    integer,
    key_bytes,
    node_name,
    pack,
    text,
    unpack,
    unpack_array,
    unpack_flat,
    unpack_record,
    value_bytes,
    vector,
)
from kvnode.core.limits import (
    BATCH_WRITES_MAX,
    KEY_BYTES_MAX,
    MIB,
    VALUE_BYTES_MAX,
    VECTOR_ENTRIES_MAX,
)
from kvnode.core.vector import new_origin
from kvnode.errors import MalformedError
from tests.strategies import anything, hostile, vectors

X = new_origin("X", 1, 1)


def rejects(check: Callable[..., Any], *arguments: Any) -> bool:
    try:
        check(*arguments)
    except MalformedError:
        return True
    return False


# --- unpacking


@given(anything)
def test_what_is_packed_is_unpacked_equal(tree: Any) -> None:
    assert repr(unpack(pack(tree))) == repr(tree)
    assert repr(unpack_record(pack(tree))) == repr(tree)


@given(hostile(anything.map(pack)))
def test_unsound_bytes_are_malformed(data: bytes) -> None:
    if not rejects(unpack, data):
        assert repr(unpack(pack(unpack(data)))) == repr(unpack(data))


@pytest.mark.parametrize("items", [[], [1], ["a", b"b", None], [7] * (BATCH_WRITES_MAX + 1)])
def test_a_flat_array_may_have_any_number_of_items(items: list[Any]) -> None:
    assert unpack_flat(pack(items), "it") == items


@given(hostile(st.lists(st.binary(max_size=4) | st.integers(0, 9)).map(pack)))
def test_what_is_no_flat_array_is_malformed(data: bytes) -> None:
    if not rejects(unpack_flat, data, "it"):
        assert len(unpack_flat(data, "it")) <= len(data)


@pytest.mark.parametrize(
    "data",
    [
        pack({}),
        pack(5),
        pack([[1]]),
        pack([1]) + b"\0",
        b"\xdd\xff\xff\xff\xff" + bytes(9),
        b"\x91",
    ],
)
def test_these_are_no_flat_arrays(data: bytes) -> None:
    with pytest.raises(MalformedError, match="it is not sound msgpack"):
        unpack_flat(data, "it")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x00\x00",
        b"\xa1\xff",
        b"\x81\x01\x01",
        b"\x81\x90\x01",
        b"\xd4\x01\x00",
        b"\xd6\xff\x00\x00\x00\x00",
    ],
    ids=[
        "nothing",
        "never used",
        "two objects",
        "no UTF-8",
        "a number as key",
        "an array as key",
        "extension",
        "timestamp",
    ],
)
def test_what_no_message_needs_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError, match="not sound msgpack"):
        unpack(data)


def test_arrays_and_maps_are_limited_to_what_messages_need() -> None:
    assert len(unpack(pack([0] * BATCH_WRITES_MAX))) == BATCH_WRITES_MAX
    assert rejects(unpack, pack([0] * (BATCH_WRITES_MAX + 1)))
    entries = {str(number): 1 for number in range(VECTOR_ENTRIES_MAX)}
    assert unpack(pack(entries)) == entries
    assert rejects(unpack, pack({**entries, "one more": 1}))


@pytest.mark.parametrize("depth", [1025, 2000, 1_000_000])
@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1k"], ids=["arrays", "maps"])
def test_what_nests_too_deep_is_malformed(opening: bytes, depth: int) -> None:
    with pytest.raises(MalformedError, match="nested too deep"):
        unpack(opening * depth + b"\xc0")


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff" * 100,
        b"\xdf\xff\xff\xff\xff" * 100,
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xdc\x10\x00" * 1020,
        b"\xde\xff\xff\xa1k" * 1020,
    ],
    ids=["array", "map", "string", "bytes", "extension", "nested arrays", "nested maps"],
)
def test_announced_lengths_cost_bounded_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        assert rejects(unpack, data)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 64 * MIB


def test_unpack_array_wants_an_array_of_so_many_items() -> None:
    assert unpack_array(pack([1, 2]), 2, "it") == [1, 2]
    for other in ([1], [1, 2, 3], {"a": 1, "b": 2}, "ab"):
        with pytest.raises(MalformedError, match="it must be an array of 2 items"):
            unpack_array(pack(other), 2, "it")


# --- checks


@given(anything)
def test_arrays_are_lists(value: Any) -> None:
    assert rejects(array, value, None, "it") == (type(value) is not list)


@given(anything | st.integers(-20, 20), st.integers(-9, 0), st.integers(0, 9))
def test_integers_are_from_low_to_high_and_no_booleans(value: Any, low: int, high: int) -> None:
    sound = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    assert rejects(integer, value, low, high, "it") == (not sound)


def test_text_is_limited_in_bytes_not_in_characters() -> None:
    assert text("ää", 4, "it") == "ää"
    assert rejects(text, "ää", 3, "it")
    assert rejects(text, b"aa", 4, "it")


def test_keys_are_bytes_or_text_up_to_the_limit() -> None:
    assert key_bytes(b"key") == key_bytes("key") == b"key"
    assert key_bytes("ä") == "ä".encode()
    assert key_bytes(b"k" * KEY_BYTES_MAX) == b"k" * KEY_BYTES_MAX
    for key in (
        b"k" * (KEY_BYTES_MAX + 1),
        "k" * (KEY_BYTES_MAX + 1),
        "ä" * (KEY_BYTES_MAX // 2 + 1),
    ):
        with pytest.raises(TooLarge):
            key_bytes(key)


@pytest.mark.parametrize("key", [b"", "", "\ud800", None, 1, [b"k"], {}])
def test_other_keys_are_malformed(key: Any) -> None:
    assert rejects(key_bytes, key)


def test_values_are_bytes_up_to_the_limit() -> None:
    assert value_bytes(b"") == b""
    assert len(value_bytes(bytes(VALUE_BYTES_MAX))) == VALUE_BYTES_MAX
    with pytest.raises(TooLarge):
        value_bytes(bytes(VALUE_BYTES_MAX + 1))
    assert all(rejects(value_bytes, value) for value in ("text", None, 1, [b"v"]))


@given(vectors)
def test_vectors_map_origins_to_seqs(sound: dict[str, int]) -> None:
    assert vector(sound, "it") == sound


@pytest.mark.parametrize(
    "unsound",
    [
        [],
        None,
        [[X, 1]],
        {"X": 1},
        {X.encode(): 1},
        {X: 0},
        {X: -1},
        {X: INTEGER_MAX + 1},
        {X: True},
        {X: 1.0},
        {X: None},
        {X: 1, "": 1},
    ],
)
def test_other_vectors_are_malformed(unsound: Any) -> None:
    with pytest.raises(MalformedError, match=r"^it "):
        vector(unsound, "it")


def test_names_are_those_of_nodes() -> None:
    assert node_name("X-1.example") == "X-1.example"
    assert all(rejects(node_name, name) for name in ("", "a~b", "x" * 64, b"X", None, 1))


@pytest.mark.parametrize("version", [0, 2, None, "1", 1.0, True, [1]])
def test_another_version_is_refused_with_both_numbers(version: Any) -> None:
    with pytest.raises(WrongVersion, match=r"it of version .*; this node speaks 1"):
        check_version([version, "rest"], "it")


def test_no_version_is_a_wrong_version() -> None:
    with pytest.raises(WrongVersion, match="version none"):
        check_version([], "it")


def test_packed_messages_are_plain_msgpack() -> None:
    assert msgpack.unpackb(pack([1, "a", b"b", {"k": None}])) == [1, "a", b"b", {"k": None}]
