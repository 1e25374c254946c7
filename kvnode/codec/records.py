"""What storage keeps: versions of a key, and the state of an origin.

These bytes come from our own disk, beneath its checksums; they are decoded without the
checks that a peer's bytes get.
"""

from __future__ import annotations

from kvnode.codec.packing import pack, unpack_record
from kvnode.core.messages import OriginState
from kvnode.core.versions import Version, Versions


def encode_versions(versions: Versions) -> bytes:
    """The winner first: [stamp_us, origin, seq, value, ...] with no inner arrays."""
    if len(versions) == 1:
        return pack(versions[0])
    return pack([part for version in versions for part in version])


def decode_versions(record: bytes) -> Versions:
    """The inverse."""
    parts = unpack_record(record)
    if len(parts) == 4:
        return (Version(*parts),)
    return tuple(Version(*parts[at : at + 4]) for at in range(0, len(parts), 4))


def encode_origin_state(state: OriginState) -> bytes:
    """[delivered, stamp_us, row, ends]"""
    return pack([state.delivered, state.stamp_us, dict(state.row), dict(state.ends)])


def decode_origin_state(record: bytes) -> OriginState:
    """The inverse."""
    return OriginState(*unpack_record(record))
