"""What storage keeps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvnode.codec.packing import pack
from kvnode.codec.records import (
    decode_origin_state,
    decode_versions,
    encode_origin_state,
    encode_versions,
)
from kvnode.core.messages import OriginState
from kvnode.core.vector import new_origin
from kvnode.core.versions import Version, Versions
from tests.strategies import origins, seqs, stamps, values, vectors

X, Y = (new_origin(name, 1, 1) for name in "XY")

versions = st.lists(st.builds(Version, stamps, origins, seqs, values), max_size=5).map(tuple)


@given(versions)
def test_versions_are_decoded_as_they_were_encoded(present: Versions) -> None:
    decoded = decode_versions(encode_versions(present))
    assert decoded == present
    assert all(type(version) is Version for version in decoded)


@given(st.builds(OriginState, seqs, stamps, vectors, vectors))
def test_an_origins_state_is_decoded_as_it_was_encoded(state: OriginState) -> None:
    decoded = decode_origin_state(encode_origin_state(state))
    assert decoded == state
    assert type(decoded) is OriginState


def test_the_bytes_of_records_stay_as_they_are() -> None:
    """Disks hold them for long: another layout needs another format of the store."""
    one, other = Version(7, X, 3, b"value"), Version(5, Y, 1, b"")
    assert encode_versions((one,)) == pack([7, X, 3, b"value"])
    assert encode_versions((one, other)) == pack([7, X, 3, b"value", 5, Y, 1, b""])
    assert encode_origin_state(OriginState(3, 7, {Y: 1}, {X: 2})) == pack([3, 7, {Y: 1}, {X: 2}])


def test_more_siblings_than_a_message_has_items_are_kept() -> None:
    many = tuple(Version(1, new_origin("X", at, at), 1, b"value") for at in range(5000))
    assert decode_versions(encode_versions(many)) == many
