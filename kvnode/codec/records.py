"""What storage keeps: versions of a key, and the state of an origin.

These bytes come from our own disk, beneath its checksums; on the way to a client they are
decoded without the checks that a peer's bytes get. Whoever examines a disk checks them.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from kvnode.codec.chains import chain
from kvnode.codec.packing import (
    ADDRESS_BYTES_MAX,
    INTEGER_MAX,
    array,
    expiry_us,
    integer,
    pack,
    text,
    told,
    unpack_array,
    unpack_flat,
    unpack_record,
    value_bytes,
    vector,
)
from kvnode.core.chain import NO_CHAIN
from kvnode.core.clock import STAMP_US_MAX
from kvnode.core.messages import OriginState, OwnPast
from kvnode.core.vector import is_origin
from kvnode.core.versions import Version, Versions
from kvnode.errors import MalformedError

#: Of each version in a record.
_PARTS: Final = 5
#: Of an origin's state that was written before chains were kept.
_UNCHAINED_PARTS: Final = 4


class MemberRecord(NamedTuple):
    """How others reach a member."""

    listen: str
    gossip: str


def encode_member(record: MemberRecord) -> bytes:
    """The value of a member's record."""
    return pack(list(record))


def decode_member(value: bytes) -> MemberRecord:
    """The inverse; raises MalformedError, since it was a peer's to write."""
    listen, gossip = unpack_array(value, 2, "a member record")
    return MemberRecord(
        text(listen, ADDRESS_BYTES_MAX, "an address"), text(gossip, ADDRESS_BYTES_MAX, "an address")
    )


def encode_versions(versions: Versions) -> bytes:
    """The winner first: [stamp_us, origin, seq, value, expires_us, ...] with no inner arrays; nil
    is for what never expires."""
    if len(versions) == 1:
        return pack(versions[0])
    return pack([part for version in versions for part in version])


def decode_versions(record: bytes) -> Versions:
    """The inverse."""
    parts = unpack_record(record)
    if len(parts) == _PARTS:
        return (Version(*parts),)
    return tuple(Version(*parts[at : at + _PARTS]) for at in range(0, len(parts), _PARTS))


def encode_origin_state(state: OriginState) -> bytes:
    """[delivered, stamp_us, row, ends, chain]"""
    return pack([state.delivered, state.stamp_us, dict(state.row), dict(state.ends), state.chain])


def decode_origin_state(record: bytes) -> OriginState:
    """The inverse. Those that were written before chains were kept have none."""
    return OriginState(*unpack_record(record))


def encode_own_past(past: OwnPast) -> bytes:
    """[origin, its state, [opened, ...], [doubtful, ...]]; without an origin there is no state."""
    state = b"" if past.state is None else encode_origin_state(past.state)
    return pack([past.origin, state, list(past.opened), list(past.doubtful)])


def decode_own_past(record: bytes) -> OwnPast:
    """The inverse."""
    origin, state, opened, doubtful = unpack_record(record)
    confirmed = decode_origin_state(state) if state else None
    return OwnPast(origin, confirmed, tuple(opened), tuple(doubtful))


# --- with checks


def checked_versions(record: bytes) -> Versions:
    """As `decode_versions`, of bytes that may be damaged. Raises MalformedError."""
    parts = unpack_flat(record, "versions")
    if not parts or len(parts) % _PARTS:
        message = f"versions must be of {_PARTS} parts each; here are {len(parts)} parts"
        raise MalformedError(message)
    starts = range(0, len(parts), _PARTS)
    return tuple(_checked_version(*parts[at : at + _PARTS]) for at in starts)


def _checked_version(stamp_us: Any, origin: Any, seq: Any, value: Any, expires_us: Any) -> Version:
    integer(stamp_us, 1, STAMP_US_MAX, "a version's stamp")
    if type(origin) is not str or not is_origin(origin):
        raise MalformedError(f"a version is by {told(origin)}, which is no origin")
    integer(seq, 1, INTEGER_MAX, "a version's seq")
    expires_us = None if expires_us is None else expiry_us(expires_us)
    return Version(stamp_us, origin, seq, value_bytes(value), expires_us)


def checked_origin_state(record: bytes) -> OriginState:
    """As `decode_origin_state`, of bytes that may be damaged. Raises MalformedError."""
    parts = unpack_array(record, None, "an origin's state")
    if len(parts) == _UNCHAINED_PARTS:
        parts = [*parts, NO_CHAIN]
    delivered, stamp_us, row, ends, last_chain = array(parts, 5, "an origin's state")
    return OriginState(
        integer(delivered, 1, INTEGER_MAX, "what is delivered"),
        integer(stamp_us, 1, STAMP_US_MAX, "a stamp"),
        vector(row, "a row"),
        vector(ends, "what an incarnation ends"),
        chain(last_chain, "an origin's chain"),
    )


def checked_own_past(record: bytes) -> OwnPast:
    """As `decode_own_past`, of bytes that may be damaged. Raises MalformedError."""
    origin, state, opened, doubtful = unpack_array(record, 4, "what is confirmed")
    if type(origin) is not str or type(state) is not bytes or bool(origin) != bool(state):
        raise MalformedError("what is confirmed is an origin and its state, or nothing")
    opened, doubtful = array(opened, None, "what was opened"), array(doubtful, None, "doubts")
    for each in [*([origin] if origin else []), *opened, *doubtful]:
        if type(each) is not str or not is_origin(each):
            raise MalformedError(f"what is confirmed names {told(each)}, which is no origin")
    confirmed = checked_origin_state(state) if state else None
    return OwnPast(origin, confirmed, tuple(opened), tuple(doubtful))
