"""Truncation: how long a batch stays in the log.

A batch that every member has delivered may go: who has it will never ask for it. It stays a
while all the same, for watchers that come back, and for a member whose power fails before it has
synced. A member that is away pins the log, until it is forgotten or the log reaches its greatest
size; then whoever comes back after all gets a snapshot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from kvnode.core.clock import Now
from kvnode.core.limits import Limits
from kvnode.core.succession import Reading, Succession
from kvnode.core.vector import Vector

#: Into so many steps the time is divided for which batches are kept.
_STEPS: Final = 64


class Logged(NamedTuple):
    """What the log says of one batch without its being read."""

    #: Counts deliveries.
    position: int
    origin: str
    last: int
    size_bytes: int


class Pin(NamedTuple):
    """Who keeps the log from being truncated."""

    name: str
    since_us: int


class _Mark(NamedTuple):
    """Where the log stood at a time."""

    steady_us: int
    #: The next batch's.
    position: int
    #: Of all batches up to there, those that are gone included.
    logged_bytes: int


class Truncation:
    """Decides what may go."""

    def __init__(self, limits: Limits, succession: Succession) -> None:
        self._limits = limits
        self._succession = succession
        #: The members that lack the oldest batch, the one that has done so for longest first.
        self.pins: list[Pin] = []
        #: Since when each has been behind that was ever among them, until it has caught up.
        self._behind: dict[str, int] = {}
        #: What went though somebody lacked it; it is behind until it has that from elsewhere.
        self._gone: Vector = {}
        #: Where the log stood at times past, by the steady clock.
        self._marks: deque[_Mark] = deque()
        #: Where it stood as long ago as batches are kept.
        self._old = _Mark(0, 0, 0)
        self._dropped_bytes = 0

    def droppable(
        self,
        head: Sequence[Logged],
        log_bytes: int,
        next_position: int,
        members: Mapping[str, Vector],
        now: Now,
    ) -> Sequence[Logged]:
        """The first of these, the oldest of the log, that may go now; they count as gone then.

        `members` has for each other member what it claims to have; nothing where that is not known.
        """
        read = {name: self._succession.reading(has) for name, has in members.items()}
        self._mark(_Mark(now.steady_us, next_position, self._dropped_bytes + log_bytes))
        lacking: list[str] = []
        gone = dict(self._gone)
        count = 0
        for batch in head:
            lacking = _lacking(batch, read)
            if log_bytes <= self._limits.log_bytes_max:
                is_kept = (
                    batch.position >= self._old.position
                    and log_bytes <= self._limits.log_kept_bytes
                )
                if lacking or is_kept:
                    break
            elif lacking:
                gone[batch.origin] = batch.last
            log_bytes -= batch.size_bytes
            self._dropped_bytes += batch.size_bytes
            count += 1
        self._gone = self._succession.normal(gone)
        self._pinned_by(lacking, read, now)
        return head[:count]

    def kept_for_pins_bytes(self, log_bytes: int) -> int:
        """What would be gone of a log of this size if nobody lacked it."""
        old_bytes = self._old.logged_bytes - self._dropped_bytes
        return max(0, old_bytes, log_bytes - self._limits.log_kept_bytes)

    def _pinned_by(self, lacking: Sequence[str], members: Mapping[str, Reading], now: Now) -> None:
        """Each counts for itself: who has just fallen behind must not hide who is long gone."""
        self._behind = {
            name: self._behind.get(name, now.steady_us)
            for name, has in members.items()
            if name in lacking or (name in self._behind and not has.covers_all(self._gone))
        }
        pins = [Pin(name, self._behind[name]) for name in lacking]
        self.pins = sorted(pins, key=lambda pin: (pin.since_us, pin.name))

    def _mark(self, mark: _Mark) -> None:
        step_us = self._limits.log_kept_us // _STEPS
        if not self._marks or self._marks[-1].steady_us + step_us <= mark.steady_us:
            self._marks.append(mark)
        while self._marks and self._marks[0].steady_us + self._limits.log_kept_us <= mark.steady_us:
            self._old = self._marks.popleft()


def _lacking(batch: Logged, members: Mapping[str, Reading]) -> list[str]:
    """The members that may lack it."""
    return [name for name, has in members.items() if not has.covers(batch.origin, batch.last)]
