"""Batches: encoded once by their origin, checked by everyone who decodes them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from kvnode.codec.batches import decode_batch, encode_batch, first_dot
from kvnode.codec.packing import INTEGER_MAX, TooLarge, pack
from kvnode.core.batch import Batch, Change
from kvnode.core.clock import STAMP_US_MAX
from kvnode.core.limits import BATCH_WRITES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX
from kvnode.core.vector import new_origin
from kvnode.errors import MalformedError
from tests.strategies import batches, hostile

X, Y = (new_origin(name, 1, 1) for name in "XY")
PUT, DELETE = [b"key", b"value"], [b"key"]
FIELDS = ("format", "origin", "first", "previous", "deps", "checks", "stamp_us", "body")
CHAIN = b"8 bytes."


def encoded(**others: Any) -> bytes:
    """A sound batch but for these fields."""
    sound = dict(zip(FIELDS, (2, X, 1, CHAIN, {Y: 2}, b"chk2", 7, [[PUT]]), strict=True))
    return pack(list({**sound, **others}.values()))


@given(batches())
def test_a_batch_is_decoded_as_it_was_encoded_and_keeps_its_bytes(batch: Batch) -> None:
    assert decode_batch(batch.encoded) == batch


def test_the_bytes_of_a_batch_stay_as_they_are() -> None:
    """Logs hold them for long: another layout needs another format number."""
    writes = ((Change(b"a", b"1"), Change(b"b", None)), (Change(b"c", b""),))
    body = [[[b"a", b"1"], [b"b"]], [[b"c", b""]]]
    expected = [2, X, 5, CHAIN, {Y: 2}, b"chk2", 7, body]
    assert encode_batch(X, 5, {Y: 2}, 7, writes, CHAIN, b"chk2") == pack(expected)
    assert encode_batch(X, 5, {Y: 2}, 7, writes) == pack(
        [*expected[:3], b"", {Y: 2}, bytes(4), 7, body]
    )


def test_a_batch_that_was_made_before_there_were_chains_is_read() -> None:
    """Old logs have such."""
    data = pack([1, X, 5, {Y: 2}, 7, [[PUT]]])
    assert decode_batch(data) == Batch(X, 5, {Y: 2}, 7, ((Change(*PUT),),), data, b"", b"")
    assert first_dot(data) == first_dot(encoded(first=5)) == (X, 5)


def test_a_key_that_is_text_is_its_bytes() -> None:
    assert decode_batch(encoded(body=[[["ä", b"1"]]])).writes == ((Change("ä".encode(), b"1"),),)


@given(hostile(batches().map(lambda batch: batch.encoded)))
def test_hostile_bytes_are_malformed_or_a_sound_batch(data: bytes) -> None:
    try:
        batch = decode_batch(data)
    except MalformedError:
        return
    again = encode_batch(batch.origin, batch.first, batch.deps, batch.stamp_us, batch.writes)
    assert decode_batch(again).writes == batch.writes


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", 0),
        ("format", 1),
        ("format", 3),
        ("format", True),
        ("format", 1.0),
        ("format", None),
        ("origin", "X"),
        ("origin", X.encode()),
        ("origin", None),
        ("origin", [X]),
        ("first", 0),
        ("first", -1),
        ("first", True),
        ("first", INTEGER_MAX),
        ("first", "1"),
        ("previous", None),
        ("previous", "8 bytes."),
        ("previous", b"7 bytes"),
        ("previous", b"9 bytes.."),
        ("checks", b""),
        ("checks", None),
        ("checks", "chk2"),
        ("checks", b"chk"),
        ("checks", b"checks.8"),
        ("deps", {}),
        ("deps", []),
        ("deps", {X: 1}),
        ("deps", {"Y": 1}),
        ("deps", {Y: 0}),
        ("stamp_us", 0),
        ("stamp_us", -1),
        ("stamp_us", STAMP_US_MAX + 1),
        ("stamp_us", 7.0),
        ("body", []),
        ("body", {}),
        ("body", None),
        ("body", [[]]),
        ("body", [PUT]),
        ("body", [[[]]]),
        ("body", [[[b"key", b"value", b"more"]]]),
        ("body", [[[b"", b"value"]]]),
        ("body", [[[b"key", None]]]),
        ("body", [[[b"key", "text"]]]),
        ("body", [[{"key": b"value"}]]),
        ("body", [[PUT], [PUT, DELETE]]),
        ("body", [[["key"], [b"key"]]]),
    ],
)
def test_an_unsound_field_is_malformed(field: str, value: Any) -> None:
    decode_batch(encoded())
    with pytest.raises(MalformedError):
        decode_batch(encoded(**{field: value}))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        X,
        [1],
        [1, X, 1, {}, 7],
        [1, X, 1, {}, 7, [[PUT]], 0],
        [2],
        [2, X, 1, {}, 7, [[PUT]]],
        [2, X, 1, b"", {}, b"", 7],
        [2, X, 1, b"", {}, b"", 7, [[PUT]], 0],
    ],
)
def test_another_shape_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedError):
        decode_batch(pack(value))


@pytest.mark.parametrize("stamp_us", [1, STAMP_US_MAX])
def test_the_bounds_of_a_stamp_are_sound(stamp_us: int) -> None:
    assert decode_batch(encoded(stamp_us=stamp_us)).stamp_us == stamp_us


@pytest.mark.parametrize("stamp_us", [0, STAMP_US_MAX + 1])
def test_a_stamp_out_of_bounds_is_never_encoded(stamp_us: int) -> None:
    with pytest.raises(AssertionError):
        encode_batch(X, 1, {}, stamp_us, ((Change(b"key", b"value"),),))


def test_the_last_seq_of_a_batch_fits_every_languages_integers() -> None:
    first = INTEGER_MAX - BATCH_WRITES_MAX
    batch = decode_batch(encoded(first=first, body=[[PUT]] * BATCH_WRITES_MAX))
    assert batch.last < INTEGER_MAX


def test_one_write_too_many_is_neither_encoded_nor_decoded() -> None:
    with pytest.raises(MalformedError):
        decode_batch(encoded(body=[[PUT]] * (BATCH_WRITES_MAX + 1)))
    with pytest.raises(AssertionError):
        encode_batch(X, 1, {}, 1, ((Change(b"key", b"value"),),) * (BATCH_WRITES_MAX + 1))


@pytest.mark.parametrize(
    "change", [[b"k" * (KEY_BYTES_MAX + 1)], [b"k", bytes(VALUE_BYTES_MAX + 1)]]
)
def test_a_key_or_value_over_its_limit_is_too_large(change: list[bytes]) -> None:
    with pytest.raises(TooLarge):
        decode_batch(encoded(body=[[change]]))


def test_the_greatest_key_and_value_fit() -> None:
    key, value = b"k" * KEY_BYTES_MAX, bytes(VALUE_BYTES_MAX)
    assert decode_batch(encoded(body=[[[key, value]]])).writes == ((Change(key, value),),)


@pytest.mark.parametrize("depth", [100, 990, 1020, 2000])
@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_nests_deep_is_malformed(field: str, depth: int) -> None:
    hole = b"\xa4HOLE"
    data = encoded(**{field: "HOLE"}).replace(hole, b"\x91" * depth + b"\xc0")
    with pytest.raises(MalformedError):
        decode_batch(data)
