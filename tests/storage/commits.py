"""Commits to try stores with."""

from __future__ import annotations

from collections.abc import Mapping

from kvnode.codec.batches import encode_batch
from kvnode.core.batch import Batch, Change
from kvnode.core.expiry import due_of
from kvnode.core.messages import Commit, Due, OriginState
from kvnode.core.vector import new_origin
from kvnode.core.versions import Version, Versions

X, X1, Y, Z = (new_origin(name, 1, 1) for name in ("X", "X1", "Y", "Z"))
#: An incarnation before X.
X0 = new_origin("X", 0, 0)
WRITE = (Change(b"key", b"value"),)


def batch(origin: str, first: int, writes: int = 1, value: bytes = b"value") -> Batch:
    """A batch of so many writes."""
    body = ((Change(b"key", value),),) * writes
    return Batch(origin, first, {}, 7, body, encode_batch(origin, first, {}, 7, body))


def version(
    origin: str, seq: int, value: bytes = b"value", expires_us: int | None = None
) -> Version:
    """A version."""
    return Version(7, origin, seq, value, expires_us)


def commit(
    *batches: Batch,
    table: Mapping[bytes, Versions] | None = None,
    origins: Mapping[str, OriginState] | None = None,
    clock_us: int = 7,
    digest: int = 0,
    settled: tuple[Due, ...] = (),
) -> Commit:
    """A commit of these batches; if not told, with the states of their origins."""
    states = {each.origin: OriginState(each.last, each.stamp_us, {}, {}) for each in batches}
    if origins is None:
        origins = states
    due = dict.fromkeys(settled, False)
    for key, versions in (table or {}).items():
        due.update(dict.fromkeys(due_of(key, versions), True))
    return Commit(table or {}, batches, origins, clock_us, digest, due)
