"""The merge rule: what a change does to the versions of a key. There are no tombstones.

Under causal delivery a change replaces exactly what its author had seen; versions that it
had not seen are concurrent and stay as siblings. Nothing that arrives later can be older
than a delivered delete, so a delete leaves no trace. (Baquero, Almeida, Shoker:
Making Operation-based CRDTs Operation-based, DAIS 2014.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, NamedTuple

from kvnode.core.succession import Succession
from kvnode.core.vector import Vector


class Version(NamedTuple):
    """One value of a key and the write that put it."""

    # The order of these three fields is the order that picks the winner.
    stamp_us: int
    origin: str
    seq: int
    value: bytes
    #: When it expires, in microseconds since 1970; None is never.
    expires_us: int | None = None


#: The versions of a key, the winner first: the greatest (stamp, origin, seq). The hybrid
#: logical clock makes a causally later write always the greater.
Versions = tuple[Version, ...]


def ranked(versions: Iterable[Version]) -> Versions:
    """In order, the winner first."""
    return tuple(sorted(versions, key=rank, reverse=True))


def rank(version: Version) -> tuple[int, str, int]:
    """What picks the winner."""
    return version[:3]


def merged(
    present: Versions, succession: Succession, row: Vector, own: Version, *, deleted: bool
) -> Versions:
    """The versions that remain after the write that made `own` (or deleted the key).

    `row` is what the origin had delivered at that batch, beside its own writes; all its
    own writes below `own.seq` it had seen as well.
    """
    if not present:
        return () if deleted else (own,)
    kept = [version for version in present if not _seen(version, succession, row, own)]
    if not deleted:
        kept.append(own)
        kept.sort(reverse=True)
    return tuple(kept)


def _seen(version: Version, succession: Succession, row: Vector, own: Version) -> bool:
    if version.origin == own.origin:
        return version.seq < own.seq
    return succession.covers(row, version.origin, version.seq)


DIGEST_MODULUS: Final = 1 << 128
_HEADER = struct.Struct(">HHQQ")


def fingerprint(key: bytes, version: Version) -> int:
    """128 bits for one live version; a state's digest is their sum (mod 2^128).

    A sum does not depend on the order, and a replaced version can be subtracted again.
    It finds mistakes and bit rot; it is no defence against someone who forges states. A version
    that will expire counts nothing: each node removes it by its own clock, and tells nobody.
    """
    stamp_us, name, seq, value, expires_us = version
    if expires_us is not None:
        return 0
    origin = name.encode()
    data = _HEADER.pack(len(key), len(origin), seq, stamp_us) + key + origin + value
    return int.from_bytes(blake2b(data, digest_size=16).digest(), "big")


def digest_change(key: bytes, before: Versions, after: Versions) -> int:
    """What replacing these versions of a key adds to the digest; may be negative."""
    if not before and len(after) == 1:
        return fingerprint(key, after[0])
    change = 0
    for version in after:
        if version not in before:
            change += fingerprint(key, version)
    for version in before:
        if version not in after:
            change -= fingerprint(key, version)
    return change
