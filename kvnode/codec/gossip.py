"""Gossip: what a node publishes. Two frames: who speaks and of what, then the body."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

from kvnode.codec.chains import checks
from kvnode.codec.packing import (
    ADDRESS_BYTES_MAX,
    INTEGER_MAX,
    PROTOCOL_VERSION,
    array,
    check_version,
    dot,
    integer,
    node_name,
    pack,
    text,
    told,
    unpack_array,
    vector,
)
from kvnode.codec.token import CLUSTER_BYTES_MAX
from kvnode.core.chain import unknown_checks
from kvnode.core.messages import Claim
from kvnode.core.vector import Dot
from kvnode.errors import MalformedError

BATCH: Final = "batch"
CLAIM: Final = "claim"
AWAITED: Final = "awaited"

_DIGEST_BYTES: Final = 16

#: Addresses in a claim of a node that joins: as many as it tries.
KNOWN_MAX: Final = 256


class Header(NamedTuple):
    """The first frame; the same bytes for all of one process's frames of a kind."""

    cluster: str
    name: str
    instance: int
    kind: str


def encode_header(header: Header) -> bytes:
    """The first frame."""
    return pack([PROTOCOL_VERSION, *header])


@lru_cache(maxsize=1024)  # three for each peer process
def decode_header(frame: bytes) -> Header:
    """Check and decode the first frame; raises MalformedError."""
    parts = unpack_array(frame, None, "a gossip header")
    check_version(parts, "gossip")
    _, cluster, name, instance, kind = array(parts, 5, "a gossip header")
    text(cluster, CLUSTER_BYTES_MAX, "a cluster")
    node_name(name)
    if kind not in (BATCH, CLAIM, AWAITED):
        raise MalformedError(f"gossip of an unknown kind: {told(kind)}")
    return Header(cluster, name, integer(instance, 0, INTEGER_MAX, "an instance"), kind)


def encode_claim(claim: Claim) -> bytes:
    """The body of a heartbeat."""
    return pack(parts_of(claim))


def parts_of(claim: Claim) -> list[Any]:
    """A claim as it travels, without who makes it."""
    return [
        dict(claim.delivered),
        claim.checks or unknown_checks(claim.delivered),
        dict(claim.synced),
        claim.digest.to_bytes(_DIGEST_BYTES, "big"),
        dict(claim.floor),
        claim.wall_us,
        claim.number,
        claim.is_not_all,
        list(claim.known),
    ]


def decode_claim(header: Header, body: bytes) -> Claim:
    """Check and decode a heartbeat; raises MalformedError."""
    return claim_of(header.name, header.instance, unpack_array(body, None, "a claim"))


def claim_of(name: str, instance: int, parts: list[Any]) -> Claim:
    """Check and decode a claim of this process; raises MalformedError."""
    parts = array(parts, 9, "a claim")
    delivered, its_checks, synced, digest, floor, wall_us, number, *others = parts
    is_not_all, known = others
    if type(digest) is not bytes or len(digest) != _DIGEST_BYTES:
        raise MalformedError(f"a claim's digest must be {_DIGEST_BYTES} bytes")
    if type(is_not_all) is not bool:
        raise MalformedError("whether a claim lacks a stranger's writes must be a boolean")
    return Claim(
        name,
        instance,
        vector(delivered, "a claim's vector"),
        vector(synced, "a claim's synced vector"),
        int.from_bytes(digest, "big"),
        vector(floor, "a claim's floor"),
        integer(wall_us, 0, INTEGER_MAX, "a claim's clock"),
        integer(number, 0, INTEGER_MAX, "a claim's number"),
        is_not_all,
        _known(known),
        checks(its_checks, len(delivered), "the checks of a claim's vector"),
    )


def _known(encoded: Any) -> tuple[str, ...]:
    addresses = array(encoded, None, "where others are")
    if len(addresses) > KNOWN_MAX:
        raise MalformedError(f"at most {KNOWN_MAX} others may be told of")
    return tuple(text(it, ADDRESS_BYTES_MAX, "an address") for it in addresses)


def encode_awaited(awaited: Dot) -> bytes:
    """The body of what asks peers to report a write."""
    return pack(awaited)


def decode_awaited(body: bytes) -> Dot:
    """Check and decode it; raises MalformedError."""
    return dot(unpack_array(body, 2, "an awaited write"), "an awaited write")
