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


class Truncation:
    """Decides what may go."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        #: Of the members that lack the oldest batch, the one that has done so for longest.
        self.pin: Pin | None = None
        #: All of them, by name, and since when.
        self._pinning: dict[str, int] = {}
        #: Where the log stood at times past, by the steady clock.
        self._marks: deque[tuple[int, int]] = deque()
        self._old = 0

    def droppable(
        self,
        head: Sequence[Logged],
        log_bytes: int,
        next_position: int,
        members: Mapping[str, Vector],
        now: Now,
    ) -> Sequence[Logged]:
        """The first of these, the oldest of the log, that may go now.

        `members` has for each other member what it surely has on disk, spelled out; nothing
        where that is not known.
        """
        self._mark(next_position, now)
        lacking: list[str] = []
        count = 0
        for batch in head:
            lacking = _lacking(batch, members)
            if log_bytes <= self._limits.log_bytes_max:
                is_kept = batch.position >= self._old and log_bytes <= self._limits.log_kept_bytes
                if lacking or is_kept:
                    break
            log_bytes -= batch.size_bytes
            count += 1
        self._pinned_by(lacking, now)
        return head[:count]

    def _pinned_by(self, lacking: Sequence[str], now: Now) -> None:
        """Each counts for itself: who has just fallen behind must not hide who is long gone."""
        self._pinning = {name: self._pinning.get(name, now.steady_us) for name in lacking}
        pins = (Pin(name, since_us) for name, since_us in self._pinning.items())
        self.pin = min(pins, key=lambda pin: (pin.since_us, pin.name), default=None)

    def _mark(self, next_position: int, now: Now) -> None:
        step_us = self._limits.log_kept_us // _STEPS
        if not self._marks or self._marks[-1][0] + step_us <= now.steady_us:
            self._marks.append((now.steady_us, next_position))
        while self._marks and self._marks[0][0] + self._limits.log_kept_us <= now.steady_us:
            self._old = self._marks.popleft()[1]


def _lacking(batch: Logged, members: Mapping[str, Vector]) -> list[str]:
    """The members that may lack it."""
    return [name for name, has in members.items() if has.get(batch.origin, 0) < batch.last]
