"""Commits to try stores with."""

from __future__ import annotations

from collections.abc import Mapping

from kvnode.codec.batches import encode_batch
from kvnode.core.batch import Batch, Change
from kvnode.core.messages import Commit, OriginState
from kvnode.core.vector import new_origin
from kvnode.core.versions import Version, Versions

X, X1, Y, Z = (new_origin(name, 1, 1) for name in ("X", "X1", "Y", "Z"))
WRITE = (Change(b"key", b"value"),)


def batch(origin: str, first: int, writes: int = 1, value: bytes = b"value") -> Batch:
    """A batch of so many writes."""
    body = ((Change(b"key", value),),) * writes
    return Batch(origin, first, {}, 7, body, encode_batch(origin, first, {}, 7, body))


def version(origin: str, seq: int, value: bytes = b"value") -> Version:
    """A version."""
    return Version(7, origin, seq, value)


def commit(
    *batches: Batch,
    table: Mapping[bytes, Versions] | None = None,
    origins: Mapping[str, OriginState] | None = None,
    clock_us: int = 7,
    digest: int = 0,
) -> Commit:
    """A commit of these batches; if not told, with the states of their origins."""
    states = {each.origin: OriginState(each.last, each.stamp_us, {}, {}) for each in batches}
    return Commit(table or {}, batches, states if origins is None else origins, clock_us, digest)
