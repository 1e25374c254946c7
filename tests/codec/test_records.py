"""What storage keeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.codec.packing import pack
from kvnode.codec.records import (
    checked_origin_state,
    checked_own_past,
    checked_versions,
    decode_origin_state,
    decode_own_past,
    decode_versions,
    encode_origin_state,
    encode_own_past,
    encode_versions,
)
from kvnode.core.messages import OriginState, OwnPast
from kvnode.core.vector import new_origin
from kvnode.core.versions import Version, Versions
from kvnode.errors import MalformedError
from tests.strategies import chains, hostile, origins, seqs, stamps, vectors
from tests.strategies import versions as all_versions

X, Y = (new_origin(name, 1, 1) for name in "XY")

versions = st.lists(all_versions, max_size=5).map(tuple)
states = st.builds(OriginState, seqs, stamps, vectors, vectors, chains)
opened = st.lists(origins, max_size=3).map(tuple)
nothing_confirmed = st.builds(OwnPast, st.just(""), st.none(), opened, opened)
pasts = nothing_confirmed | st.builds(OwnPast, origins, states, opened, opened)


@given(versions)
def test_versions_are_decoded_as_they_were_encoded(present: Versions) -> None:
    decoded = decode_versions(encode_versions(present))
    assert decoded == present
    assert all(type(version) is Version for version in decoded)


@given(states)
def test_an_origins_state_is_decoded_as_it_was_encoded(state: OriginState) -> None:
    decoded = decode_origin_state(encode_origin_state(state))
    assert decoded == state
    assert type(decoded) is OriginState


def test_the_bytes_of_records_stay_as_they_are() -> None:
    """Disks hold them for long: another layout needs another format of the store."""
    one, other = Version(7, X, 3, b"value"), Version(5, Y, 1, b"", 99)
    assert encode_versions((one,)) == pack([7, X, 3, b"value", None])
    assert encode_versions((one, other)) == pack([7, X, 3, b"value", None, 5, Y, 1, b"", 99])
    assert encode_own_past(OwnPast()) == pack(["", b"", [], []])
    state = OriginState(3, 7, {Y: 1}, {X: 2}, b"8 bytes.")
    assert encode_own_past(OwnPast(X, state, (Y,), (X,))) == pack(
        [X, encode_origin_state(state), [Y], [X]]
    )
    assert encode_origin_state(state) == pack([3, 7, {Y: 1}, {X: 2}, b"8 bytes."])


def test_a_state_that_was_written_before_chains_were_kept_is_read() -> None:
    record = pack([3, 7, {Y: 1}, {X: 2}])
    for read in (decode_origin_state, checked_origin_state):
        assert read(record) == OriginState(3, 7, {Y: 1}, {X: 2}, b"")


@pytest.mark.parametrize("chain", [None, "8 bytes.", b"7 bytes", b"9 bytes..", []])
def test_a_state_with_what_is_no_chain_is_malformed(chain: object) -> None:
    with pytest.raises(MalformedError, match="must be 8 bytes, or none"):
        checked_origin_state(pack([3, 7, {Y: 1}, {X: 2}, chain]))


def test_more_siblings_than_a_message_has_items_are_kept() -> None:
    many = tuple(Version(1, new_origin("X", at, at), 1, b"value") for at in range(5000))
    assert decode_versions(encode_versions(many)) == many


# --- with checks


@given(versions, states)
def test_sound_records_pass_the_checks(present: Versions, state: OriginState) -> None:
    assert not present or checked_versions(encode_versions(present)) == present
    assert checked_origin_state(encode_origin_state(state)) == state


@given(pasts)
def test_what_is_confirmed_comes_back_as_it_was_and_passes_the_checks(past: OwnPast) -> None:
    assert decode_own_past(encode_own_past(past)) == past
    assert checked_own_past(encode_own_past(past)) == past


@given(hostile(pasts.map(encode_own_past)))
def test_what_is_damaged_of_it_is_malformed_or_sound(record: bytes) -> None:
    try:
        found = checked_own_past(record)
    except MalformedError:
        return
    assert type(found.origin) is str
    assert checked_own_past(encode_own_past(found)) == found


@given(hostile(versions.map(encode_versions)))
def test_damaged_versions_are_malformed_or_sound_ones(record: bytes) -> None:
    try:
        found = checked_versions(record)
    except MalformedError:
        return
    assert found and checked_versions(encode_versions(found)) == found


@given(hostile(states.map(encode_origin_state)))
def test_a_damaged_state_is_malformed_or_a_sound_one(record: bytes) -> None:
    try:
        found = checked_origin_state(record)
    except MalformedError:
        return
    assert checked_origin_state(encode_origin_state(found)) == found


def test_more_siblings_than_a_message_has_items_pass_the_checks() -> None:
    many = tuple(Version(1, new_origin("X", at, at), 1, b"value") for at in range(5000))
    assert checked_versions(encode_versions(many)) == many
