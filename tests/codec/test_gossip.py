"""Gossip: who speaks and of what, then the body."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.codec.gossip import (
    AWAITED,
    BATCH,
    CLAIM,
    Header,
    decode_awaited,
    decode_claim,
    decode_header,
    encode_awaited,
    encode_claim,
    encode_header,
)
from kvnode.codec.packing import INTEGER_MAX, WrongVersion, pack
from kvnode.codec.token import CLUSTER_BYTES_MAX
from kvnode.core.messages import Claim
from kvnode.core.vector import Dot, new_origin
from kvnode.core.versions import DIGEST_MODULUS
from kvnode.errors import MalformedError
from tests.strategies import checked, clusters, hostile, names, origins, seqs, vectors

X = new_origin("X", 1, 1)
HEADER = Header("c", "X", 1, CLAIM)

instances = st.integers(0, INTEGER_MAX)
headers = st.builds(Header, clusters, names, instances, st.sampled_from([BATCH, CLAIM, AWAITED]))
digests = st.integers(0, DIGEST_MODULUS - 1)
claims = checked(
    st.builds(
        Claim,
        names,
        instances,
        vectors,
        vectors,
        digests,
        vectors,
        instances,
        instances,
        st.booleans(),
        st.lists(st.text(max_size=20), max_size=3).map(tuple),
    )
)


@given(headers)
def test_a_header_is_decoded_as_it_was_encoded(header: Header) -> None:
    assert decode_header(encode_header(header)) == header


@given(claims)
def test_a_claim_is_decoded_as_it_was_encoded(claim: Claim) -> None:
    header = Header("c", claim.name, claim.instance, CLAIM)
    assert decode_claim(header, encode_claim(claim)) == claim


@given(st.builds(Dot, origins, seqs))
def test_an_awaited_write_is_decoded_as_it_was_encoded(dot: Dot) -> None:
    assert decode_awaited(encode_awaited(dot)) == dot


@pytest.mark.parametrize("body", [None, [X], [X, 0], ["X", 1], [X, 1, 1], [X, None]])
def test_an_awaited_write_must_be_a_dot(body: Any) -> None:
    with pytest.raises(MalformedError):
        decode_awaited(pack(body))


@given(hostile(headers.map(encode_header)))
def test_hostile_bytes_are_malformed_or_a_sound_header(data: bytes) -> None:
    try:
        header = decode_header(data)
    except MalformedError:
        return
    assert decode_header(encode_header(header)) == header


@given(hostile(claims.map(encode_claim)))
def test_hostile_bytes_are_malformed_or_a_sound_claim(data: bytes) -> None:
    try:
        claim = decode_claim(HEADER, data)
    except MalformedError:
        return
    assert decode_claim(HEADER, encode_claim(claim)) == claim


def test_another_version_is_named_in_the_refusal() -> None:
    with pytest.raises(WrongVersion, match="gossip of version 2; this node speaks 1"):
        decode_header(pack([2, *HEADER]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cluster", b"c"),
        ("cluster", None),
        ("cluster", "c" * (CLUSTER_BYTES_MAX + 1)),
        ("name", ""),
        ("name", b"X"),
        ("name", "a~b"),
        ("name", None),
        ("instance", -1),
        ("instance", INTEGER_MAX + 1),
        ("instance", True),
        ("instance", "1"),
        ("kind", "other"),
        ("kind", b"claim"),
        ("kind", ["claim"]),
        ("kind", None),
    ],
)
def test_an_unsound_header_is_malformed(field: str, value: Any) -> None:
    with pytest.raises(MalformedError):
        decode_header(pack([1, *HEADER._replace(**{field: value})]))


@pytest.mark.parametrize("value", [None, {}, [1], [1, *HEADER, 0], "header"])
def test_another_shape_of_header_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedError):
        decode_header(pack(value))


#: The parts of a claim, and what none of them may be.
SOUND: list[Any] = [{X: 1}, bytes(4), {}, bytes(16), {}, 0, 0, False, []]
UNSOUND: list[list[Any]] = [
    [[], None, {}, {X: 0}, {"X": 1}],
    [None, b"", bytes(3), bytes(8), "4chr"],
    [None, {X: 0}, {"X": 1}],
    [bytes(15), bytes(17), "digest-as-a-text", 0],
    [None, {X: 0}],
    [-1, 1 << 63, None, 0.5],
    [-1, 1 << 63, None],
    [None, 0],
    [None, {}, [b"x"]],
]


def test_a_sound_claim_is_read() -> None:
    assert decode_claim(HEADER, pack(SOUND)).delivered == {X: 1}


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        SOUND[:-1],
        [*SOUND, 0],
        *(
            [*SOUND[:at], wrong, *SOUND[at + 1 :]]
            for at, wrongs in enumerate(UNSOUND)
            for wrong in wrongs
        ),
    ],
)
def test_another_shape_of_claim_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedError):
        decode_claim(HEADER, pack(value))


@pytest.mark.parametrize("depth", [100, 990, 1020, 2000])
@pytest.mark.parametrize("at", range(5))
def test_a_header_that_nests_deep_is_malformed(at: int, depth: int) -> None:
    parts = [pack(part) for part in (1, *HEADER)]
    parts[at] = b"\x91" * depth + b"\xc0"
    with pytest.raises(MalformedError):
        decode_header(b"\x95" + b"".join(parts))
