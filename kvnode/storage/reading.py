"""The log, read as a node that starts at its floor would take it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from kvnode.core.batch import Batch
from kvnode.core.messages import OriginState
from kvnode.core.succession import Cut, ends_of
from kvnode.core.vector import Vector


class _Last(NamedTuple):
    """Where an origin's last batch ended."""

    seq: int
    stamp_us: int


class Reading:
    """Takes the log in from the floor, and knows what could be delivered by then."""

    def __init__(
        self,
        origins: Mapping[str, OriginState],
        floor: Vector,
        cut: Cut,
        add: Callable[[str], None],
    ) -> None:
        self._origins = origins
        self._floor = floor
        self._succession = cut.succession
        self._add = add
        self._covered = dict(floor)
        #: Each origin's last batch, whether the floor covers it or not.
        self._last: dict[str, _Last] = {}
        #: The rows of origins whose first batch is still in the log.
        self._rows: dict[str, Vector] = {}

    def take(self, batch: Batch) -> None:
        """The next batch of the log."""
        before = self._last.get(batch.origin, _Last(0, 0))
        dot = f"{batch.origin}:{batch.first}"
        if batch.first <= before.seq:
            self._add(f"{dot} comes in the log after {batch.origin}:{before.seq}")
            return
        if batch.stamp_us <= before.stamp_us:
            self._add(f"the stamp of {dot} is not above that of the batch before")
        self._last[batch.origin] = _Last(batch.last, batch.stamp_us)
        self._take_row(batch, before)
        if batch.last <= self._floor.get(batch.origin, 0):
            return  # a snapshot overtook it: what came before it may be gone
        covered = self._covered.get(batch.origin, 0)
        if batch.first != covered + 1:
            self._add(f"the log lacks {batch.origin}:{covered + 1}, and goes on at {dot}")
        for origin, seq in batch.deps.items():
            if seq > self._covered.get(origin, 0):
                self._add(f"{dot} comes in the log before {origin}:{seq}, which it had seen")
        self._covered[batch.origin] = batch.last

    def _take_row(self, batch: Batch, before: _Last) -> None:
        """As a replica does at a delivery."""
        if batch.first == 1:
            self._rows[batch.origin] = dict(batch.deps)
            state = self._origins.get(batch.origin)
            if state is not None and dict(state.ends) != ends_of(batch.origin, batch.deps):
                self._add(f"the ends of {batch.origin} are not those of its first batch")
        elif batch.first != before.seq + 1:
            self._rows.pop(batch.origin, None)
        elif batch.origin in self._rows:
            row = {**self._rows[batch.origin], **batch.deps, batch.origin: batch.first - 1}
            self._rows[batch.origin] = self._succession.normal(row)

    def end(self) -> None:
        """The log is read: it must have brought just what is delivered."""
        for origin in sorted(self._covered.keys() | self._origins.keys()):
            state, covered = self._origins.get(origin), self._covered.get(origin, 0)
            if state is None:
                self._add(f"the log has {origin}:{covered}, but no state of its origin")
            elif covered != state.delivered:
                self._add(f"the log ends at {origin}:{covered}, but {state.delivered} is delivered")
            else:
                self._expect_last(origin, state)

    def _expect_last(self, origin: str, state: OriginState) -> None:
        last = self._last.get(origin)
        if last is None or last.seq != state.delivered:
            return
        if last.stamp_us != state.stamp_us:
            self._add(f"the stamp of {origin} is not that of its last batch")
        if origin in self._rows and dict(state.row) != dict(self._rows[origin]):
            self._add(f"the row of {origin} is not what its batches make it")
