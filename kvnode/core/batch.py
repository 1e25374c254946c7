"""Batches: consecutive writes of one origin in one turn, encoded once by that origin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kvnode.core.chain import NO_CHAIN, NO_CHECKS
from kvnode.core.limits import CHANGE_OVERHEAD_BYTES, GOSSIP_BYTES_MAX
from kvnode.core.vector import Vector


class Change(NamedTuple):
    """What a write does to one key: put a value, or delete (None)."""

    key: bytes
    value: bytes | None
    #: When the value expires, in microseconds since 1970; None is never.
    expires_us: int | None = None


#: Changes that become visible together, at most one for each key.
Write = tuple[Change, ...]


class Batch(NamedTuple):
    """The writes (origin, first), (origin, first + 1), ... with their common past.

    `deps` is what the origin had delivered when its turn froze, beside its own writes:
    whole in the first batch after a start, later only the entries that changed since the
    batch before (Singhal, Kshemkalyani 1992). `encoded` are the origin's own bytes,
    which everyone gossips, logs and serves unchanged.
    """

    origin: str
    first: int
    deps: Vector
    stamp_us: int
    writes: tuple[Write, ...]
    encoded: bytes
    #: The chain of the origin's batch before; of a first batch, that of the incarnations it ends.
    previous: bytes = NO_CHAIN
    #: The checks of its deps, in their order.
    checks: bytes = NO_CHECKS

    @property
    def last(self) -> int:
        """The seq of its last write."""
        return self.first + len(self.writes) - 1

    @property
    def is_gossip(self) -> bool:
        """Whether it is small enough to publish; else peers pull it."""
        return len(self.encoded) <= GOSSIP_BYTES_MAX


def reduced(changes: Iterable[Change]) -> Write:
    """One change for each key: the last one that was asked for."""
    return tuple({change.key: change for change in changes}.values())


def write_bytes_max(write: Write) -> int:
    """An upper bound of what this write adds to an encoded batch."""
    return sum(
        CHANGE_OVERHEAD_BYTES + len(change.key) + len(change.value or b"") for change in write
    )
