"""Session tokens."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from hypothesis import given

from kvnode.codec.packing import pack
from kvnode.codec.token import (
    CLUSTER_BYTES_MAX,
    TOKEN_BYTES_MAX,
    decode_token,
    encode_token,
    merge_tokens,
    printable,
    token_of,
)
from kvnode.core.vector import joined, new_origin
from kvnode.errors import InvalidRequest, MalformedError, Refused
from tests.strategies import clusters, hostile, vectors

X, Y = (new_origin(name, 1, 1) for name in "XY")


@given(clusters, vectors)
def test_a_token_is_decoded_as_it_was_encoded(cluster: str, seen: dict[str, int]) -> None:
    assert decode_token(encode_token(cluster, seen)) == (cluster, seen)


@given(clusters, vectors, vectors)
def test_a_merged_token_has_seen_what_both_have(cluster, one, other) -> None:
    merged = merge_tokens(encode_token(cluster, one), encode_token(cluster, other))
    assert decode_token(merged) == (cluster, joined(one, other))


def test_a_session_that_has_seen_nothing_takes_over_the_token() -> None:
    token = encode_token("c", {X: 1})
    assert merge_tokens(None, token) == token


def test_merging_changes_no_token_that_was_decoded_before() -> None:
    one, other = encode_token("c", {X: 1}), encode_token("c", {X: 2, Y: 1})
    merge_tokens(one, other)
    assert decode_token(one) == ("c", {X: 1})


def test_tokens_of_two_clusters_do_not_merge() -> None:
    with pytest.raises(Refused, match=r"'one'.*'other'"):
        merge_tokens(encode_token("one", {}), encode_token("other", {X: 1}))


@given(hostile(vectors.map(lambda seen: encode_token("cluster", seen))))
def test_hostile_bytes_are_malformed_or_a_sound_token(data: bytes) -> None:
    try:
        cluster, seen = decode_token(data)
    except MalformedError:
        return
    assert decode_token(encode_token(cluster, seen)) == (cluster, seen)


@pytest.mark.parametrize(
    "value",
    [None, [], {}, ["c"], ["c", {}, 1], [b"c", {}], [1, {}], ["c", []], ["c", {X: 0}], ["c", None]],
)
def test_another_shape_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedError):
        decode_token(pack(value))


def test_a_cluster_over_its_limit_is_malformed() -> None:
    assert decode_token(pack(["c" * CLUSTER_BYTES_MAX, {}])) == ("c" * CLUSTER_BYTES_MAX, {})
    with pytest.raises(MalformedError):
        decode_token(pack(["c" * (CLUSTER_BYTES_MAX + 1), {}]))


def test_a_token_over_its_limit_is_malformed_before_it_is_unpacked() -> None:
    with pytest.raises(MalformedError, match=str(TOKEN_BYTES_MAX)):
        decode_token(bytes(TOKEN_BYTES_MAX + 1))


def test_a_token_has_room_for_two_thousand_origins() -> None:
    seen = {new_origin(f"node-{number:04}", 1, 1): 1 << 20 for number in range(2000)}
    assert decode_token(encode_token("cluster", seen)) == ("cluster", seen)


@given(clusters, vectors)
def test_a_printable_token_comes_back_as_it_was(cluster: str, seen: dict[str, int]) -> None:
    token = encode_token(cluster, seen)
    text = printable(token)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
    assert token_of(text) == token_of(f" {text}\n") == token
    assert token_of(base64.b64encode(token).decode()) == token, "as token files had it before"


def test_what_is_no_token_yet_stays_none() -> None:
    assert printable(None) is None


@pytest.mark.parametrize("text", ["%", "a", "a b", "ä", "====a"])
def test_text_that_is_no_token_is_told(text: str) -> None:
    with pytest.raises(MalformedError, match="base64"):
        token_of(text)


@pytest.mark.parametrize("token", [printable(encode_token("c", {})), 5, bytearray(b"t"), [b"t"]])
def test_what_is_no_token_has_no_text(token: object) -> None:
    with pytest.raises(InvalidRequest, match="a token is bytes"):
        printable(token)  # type: ignore[call-overload]
