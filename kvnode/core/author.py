"""The author: makes this node's own writes into batches.

The first write after a start opens a new incarnation, so that no disk that was wiped,
rolled back, copied or not synced can ever reuse a sequence number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kvnode.core.batch import Batch, Write
from kvnode.core.chain import ChainOf, chain_of_ends, checks_of
from kvnode.core.clock import HybridLogicalClock
from kvnode.core.limits import BATCH_BYTES_TARGET, BATCH_WRITES_MAX
from kvnode.core.succession import Cut, ends_of
from kvnode.core.vector import Dot, Vector

#: Origin, first seq, deps, stamp, writes, the chain before and the checks of the deps, to the bytes
#: that everyone will keep.
Encode = Callable[[str, int, Vector, int, tuple[Write, ...], bytes, bytes], bytes]


@dataclass(slots=True)
class _Open:
    """The batch that is being filled; all but its writes is fixed already."""

    first: int
    previous: bytes
    deps: Vector
    checks: bytes
    #: All that is visible to its first write, in normal form: the origin's row.
    row: Vector
    stamp_us: int
    writes: list[Write]
    size_bytes: int


class Author:
    """Numbers and stamps local writes and cuts them into batches."""

    def __init__(
        self,
        origin: str,
        cut: Cut,
        clock: HybridLogicalClock,
        encode: Encode,
        chain_of: ChainOf,
    ) -> None:
        self.origin = origin
        self._cut = cut
        self._clock = clock
        self._encode = encode
        self._chain_of = chain_of
        #: The origins delivered from since the deps of the last batch, as a set that keeps
        #: its order; None before the first batch, whose deps are sent whole.
        self._unsent: dict[str, None] | None = None
        self._open: _Open | None = None

    def delivered(self, origin: str) -> None:
        """Another origin's batch was delivered: the next deps must say so."""
        if self._unsent is not None:
            self._unsent[origin] = None

    @property
    def latest(self) -> Dot:
        """The latest write of this incarnation; its seq is 0 if there is none."""
        made = self._cut.entries.get(self.origin, 0)
        if self._open is not None:
            made = self._open.first + len(self._open.writes) - 1
        return Dot(self.origin, made)

    def has_room(self, write_bytes: int) -> bool:
        """Whether the open batch can take a write of this size too."""
        return self._open is not None and (
            len(self._open.writes) < BATCH_WRITES_MAX
            and self._open.size_bytes + write_bytes <= BATCH_BYTES_TARGET
        )

    def open(self, wall_us: int) -> None:
        """Start a batch: its deps are what is delivered now."""
        assert self._open is None
        row = dict(self._cut.heads)
        if self._unsent is None:
            deps = row
        else:
            deps = {origin: row[origin] for origin in self._unsent if origin in row}
        deps = {origin: seq for origin, seq in deps.items() if origin != self.origin}
        self._unsent = {}
        first = self._cut.entries.get(self.origin, 0) + 1
        previous = self._previous(first, deps)
        checks = checks_of(deps, self._chain_of)
        stamp_us = self._clock.tick(wall_us)
        self._open = _Open(first, previous, deps, checks, row, stamp_us, [], 0)

    def _previous(self, first: int, deps: Vector) -> bytes:
        """The chain that the next batch goes on."""
        if first > 1:
            return self._chain_of(self.origin)
        return chain_of_ends(ends_of(self.origin, deps), self._chain_of)

    def add(self, write: Write, write_bytes: int) -> tuple[Dot, int, Vector]:
        """Put a write into the open batch: its dot, stamp and row."""
        batch = self._open
        assert batch is not None
        dot = Dot(self.origin, batch.first + len(batch.writes))
        batch.writes.append(write)
        batch.size_bytes += write_bytes
        return dot, batch.stamp_us, batch.row

    def close(self) -> tuple[Batch, Vector] | None:
        """Finish the open batch, if there is one, and encode it: the batch and its row."""
        batch = self._open
        if batch is None:
            return None
        self._open = None
        writes = tuple(batch.writes)
        told = (self.origin, batch.first, batch.deps, batch.stamp_us, writes)
        chains = (batch.previous, batch.checks)
        return Batch(*told, self._encode(*told, *chains), *chains), batch.row
