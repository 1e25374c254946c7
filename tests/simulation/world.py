"""Time, and what happens when; everything that happens is noted in the trace."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b


class Violation(Exception):
    """An invariant does not hold; the first argument is its name."""

    def __init__(self, invariant: str, message: str) -> None:
        super().__init__(f"{invariant}: {message}")
        self.invariant = invariant


class World:
    """A clock that only moves when nothing more is to be done at its time."""

    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        self.now_us = 0
        #: How often each state worth reaching was reached.
        self.states: Counter[str] = Counter()
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._trace = blake2b(digest_size=16)
        self._tell = tell

    def at(self, time_us: int, action: Callable[[], None]) -> None:
        """Do this then; what was scheduled first happens first."""
        self._scheduled += 1
        heapq.heappush(self._events, (max(time_us, self.now_us), self._scheduled, action))

    def after(self, delay_us: int, action: Callable[[], None]) -> None:
        """Do this after a while."""
        self.at(self.now_us + delay_us, action)

    def run_until(self, time_us: int, done: Callable[[], bool] = lambda: False) -> None:
        """Let happen what happens by then, or until it is done."""
        while self._events and self._events[0][0] <= time_us and not done():
            self.now_us, _, action = heapq.heappop(self._events)
            action()
        if not done():
            self.now_us = time_us

    def note(self, line: str) -> None:
        """Put a line into the trace."""
        line = f"{self.now_us:>10} {line}"
        self._trace.update(line.encode() + b"\n")
        if self._tell is not None:
            self._tell(line)

    def reach(self, state: str) -> None:
        """Count a state worth reaching, and note it."""
        self.states[state] += 1
        self.note(f"({state})")

    @property
    def trace(self) -> str:
        """A digest of all that happened so far."""
        return self._trace.hexdigest()
