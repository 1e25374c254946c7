"""Reports: telling an origin at once that this node has synced its writes.

Heartbeats say so too, half a second later. Whoever makes a write that a client waits for asks its
peers to report it; each does so once it has synced it, whether that came at once, was held back
first, or had to be pulled. Asking and reporting are hints: if either is lost, the next heartbeat
tells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kvnode.core.limits import Limits
from kvnode.core.vector import Dot


class _Asked(NamedTuple):
    """Between which writes of an origin a report is due: with the first, and not after the last."""

    first: int
    last: int


class Reports:
    """What this node was asked to report and has not."""

    def __init__(self, limits: Limits) -> None:
        self._origins_max = limits.awaited_origins_max
        self._asked: dict[str, _Asked] = {}

    def asked(self, dot: Dot) -> None:
        """Somebody waits for this write. Who is asked faster than writes come reports each that
        comes: else there would always be a later one to wait for."""
        known = self._asked.get(dot.origin)
        if known is not None:
            self._asked[dot.origin] = _Asked(min(known.first, dot.seq), max(known.last, dot.seq))
            return
        self._asked[dot.origin] = _Asked(dot.seq, dot.seq)
        if len(self._asked) > self._origins_max:
            del self._asked[next(iter(self._asked))]

    def due(self, synced: Callable[[str], int]) -> list[Dot]:
        """Up to where each origin's writes are synced that has one to be reported."""
        dots = []
        for origin, (first, last) in list(self._asked.items()):
            seq = synced(origin)
            if seq < first:
                continue
            dots.append(Dot(origin, seq))
            if seq < last:
                self._asked[origin] = _Asked(seq + 1, last)
            else:
                del self._asked[origin]
        return dots
