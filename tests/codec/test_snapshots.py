"""Parts of snapshots: what travels is what stands on the server's disk, and is checked."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.codec.packing import INTEGER_MAX, pack, unpack
from kvnode.codec.records import encode_origin_state, encode_versions
from kvnode.codec.snapshots import POSITION_BYTES_MAX, Part, decode_chunk, encode_part, position
from kvnode.core.clock import STAMP_US_MAX
from kvnode.core.limits import KEY_BYTES_MAX
from kvnode.core.messages import Chunk, OriginState
from kvnode.core.vector import is_origin, new_origin
from kvnode.core.versions import Version, rank, ranked
from kvnode.errors import MalformedError
from tests.strategies import chains, hostile, keys, origins, seqs, stamps, vectors
from tests.strategies import versions as all_versions

X, Y = (new_origin(name, 1, 1) for name in "XY")
STATE = OriginState(3, 7, {Y: 1}, {})
ONE, OTHER = Version(7, Y, 3, b"value"), Version(5, X, 1, b"")
FIELDS = ("status", "number", "start", "clock_us", "digest", "origins", "table", "next")

positions = st.binary(max_size=20)
states = st.builds(OriginState, seqs, stamps, vectors, vectors, chains)
versions = st.lists(all_versions, min_size=1, max_size=3, unique_by=rank).map(ranked)
chunks = st.builds(
    Chunk,
    st.just("Y"),
    st.integers(0, INTEGER_MAX),
    positions,
    st.integers(0, STAMP_US_MAX),
    st.integers(0, (1 << 128) - 1),
    st.dictionaries(origins, states, max_size=3),
    st.dictionaries(keys, versions, max_size=3),
    st.none() | positions,
)


def encoded(chunk: Chunk) -> bytes:
    """The result in the answer, as it travels."""
    part = Part(
        chunk.number,
        chunk.start,
        chunk.clock_us,
        chunk.digest,
        [(origin.encode(), encode_origin_state(it)) for origin, it in chunk.origins.items()],
        [(key, encode_versions(held)) for key, held in chunk.table.items()],
        chunk.next,
    )
    return pack(list(encode_part(part)))


def result(**others: Any) -> list[Any]:
    """A sound result but for these fields."""
    sound = Chunk("Y", 1, b"o", 9, 5, {X: STATE}, {b"a": (ONE, OTHER)}, b"ta")
    fields = dict(zip(FIELDS, unpack(encoded(sound)), strict=True))
    return list({**fields, **others}.values())


@given(chunks)
def test_a_part_is_decoded_as_it_was_encoded(chunk: Chunk) -> None:
    assert decode_chunk("Y", unpack(encoded(chunk))) == chunk


def check_sound(chunk: Chunk) -> None:
    """What passed is what the core may rely on."""
    assert 0 <= chunk.number <= INTEGER_MAX
    assert 0 <= chunk.clock_us <= STAMP_US_MAX
    assert 0 <= chunk.digest < 1 << 128
    assert all(type(it) is bytes for it in (chunk.start, chunk.next or b""))
    for origin, state in chunk.origins.items():
        assert is_origin(origin) and state.delivered >= 1 and 1 <= state.stamp_us <= STAMP_US_MAX
        assert all(is_origin(it) for it in (*state.row, *state.ends))
    for key, held in chunk.table.items():
        assert 1 <= len(key) <= KEY_BYTES_MAX and held
        assert all(one > other for one, other in pairwise(held))
        assert all(is_origin(it.origin) and type(it.value) is bytes for it in held)


@given(hostile(chunks.map(encoded)))
def test_hostile_bytes_are_malformed_or_a_sound_part(data: bytes) -> None:
    try:
        chunk = decode_chunk("Y", unpack(data))
    except MalformedError:
        return
    check_sound(chunk)
    assert decode_chunk("Y", unpack(encoded(chunk))) == chunk


@given(hostile(states.map(encode_origin_state)), hostile(versions.map(encode_versions)))
def test_hostile_records_are_malformed_or_sound(state: bytes, held: bytes) -> None:
    for fields in ({"origins": [X.encode(), state]}, {"table": [b"a", held]}):
        try:
            check_sound(decode_chunk("Y", result(**fields)))
        except MalformedError:
            continue


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", -1),
        ("number", None),
        ("number", True),
        ("number", INTEGER_MAX + 1),
        ("start", None),
        ("start", "o"),
        ("start", b"o" * (POSITION_BYTES_MAX + 1)),
        ("clock_us", -1),
        ("clock_us", STAMP_US_MAX + 1),
        ("digest", 5),
        ("digest", b"x" * 15),
        ("digest", b"x" * 17),
        ("origins", None),
        ("origins", {}),
        ("origins", [X.encode()]),
        ("origins", [X, encode_origin_state(STATE)]),
        ("origins", [b"X", encode_origin_state(STATE)]),
        ("origins", [b"\xff", encode_origin_state(STATE)]),
        ("origins", [None, encode_origin_state(STATE)]),
        ("origins", [X.encode(), None]),
        ("origins", [X.encode(), b""]),
        ("origins", [X.encode(), encode_versions((ONE,))]),
        ("origins", [X.encode(), pack([0, 1, {}, {}])]),
        ("origins", [X.encode(), {}]),
        ("table", None),
        ("table", [b"a"]),
        ("table", [b"", encode_versions((ONE,))]),
        ("table", [b"a" * (KEY_BYTES_MAX + 1), encode_versions((ONE,))]),
        ("table", [b"a", "text"]),
        ("table", [b"a", pack([])]),
        ("table", [b"a", pack([7, Y, 3])]),
        ("table", [b"a", encode_versions((OTHER, ONE))]),
        ("table", [b"a", encode_versions((ONE, ONE))]),
        ("table", [b"a", encode_origin_state(STATE)]),
        ("next", 1),
        ("next", "ta"),
        ("next", b"t" * (POSITION_BYTES_MAX + 1)),
    ],
)
def test_an_unsound_field_is_malformed(field: str, value: Any) -> None:
    decode_chunk("Y", result())
    with pytest.raises(MalformedError):
        decode_chunk("Y", result(**{field: value}))


@pytest.mark.parametrize("value", [["ok"], result()[:-1], [*result(), 0]])
def test_another_shape_is_malformed(value: list[Any]) -> None:
    with pytest.raises(MalformedError):
        decode_chunk("Y", value)


def test_the_longest_key_has_a_position() -> None:
    longest = b"t" + b"k" * KEY_BYTES_MAX
    assert position(longest) == longest
