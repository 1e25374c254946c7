"""What is served of a log: the batches of many origins, in the order in which they came."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping

from kvnode.core.limits import PULLED_BATCHES_MAX
from kvnode.core.succession import Ends
from kvnode.storage.layout import log_last

#: Where the batches of an origin stand in the log, from a seq on.
Positions = Callable[[str, int], Iterator[bytes]]


def collect(
    lacking: Mapping[str, int],
    ends: Ends,
    bytes_max: int,
    positions: Positions,
    batch_at: Callable[[bytes], bytes],
) -> list[bytes]:
    """The batches at the merged positions of all origins that are asked for.

    The work is that of the batches found, wherever in the log they stand.
    """
    found: list[bytes] = []
    size_bytes = 0
    for position in _Merged(lacking, ends, positions):
        batch = batch_at(position)
        size_bytes += len(batch)
        if found and (size_bytes > bytes_max or len(found) == PULLED_BATCHES_MAX):
            break
        found.append(batch)
    return found


class _Merged:
    """The positions of all these origins, in order.

    What an incarnation ends was delivered before it: so it is looked up only when that is read.
    """

    def __init__(self, lacking: Mapping[str, int], ends: Ends, positions: Positions) -> None:
        self._lacking = lacking
        self._positions = positions
        self._heap: list[tuple[bytes, str, Iterator[bytes]]] = []
        #: Who waits for an origin to be read up to a seq, and for how many each of these waits.
        self._waiting: dict[str, list[tuple[int, str]]] = {}
        self._waits: dict[str, int] = {}
        for origin in lacking:
            for ended, seq in ends.get(origin, {}).items():
                if lacking.get(ended, seq + 1) <= seq:
                    self._waiting.setdefault(ended, []).append((seq, origin))
                    self._waits[origin] = self._waits.get(origin, 0) + 1

    def __iter__(self) -> Iterator[bytes]:
        self._look_up([origin for origin in self._lacking if origin not in self._waits])
        while self._heap:
            position, origin, stream = heapq.heappop(self._heap)
            yield position
            freed = self._freed(origin, log_last(position)) if origin in self._waiting else []
            self._look_up(freed + self._read_on(origin, stream))

    def _look_up(self, origins: list[str]) -> None:
        while origins:
            origin = origins.pop()
            origins += self._read_on(origin, self._positions(origin, self._lacking[origin]))

    def _read_on(self, origin: str, stream: Iterator[bytes]) -> list[str]:
        """Those that need not wait for this origin any more, if it is read to its end."""
        position = next(stream, None)
        if position is None:
            return self._freed(origin, None)
        heapq.heappush(self._heap, (position, origin, stream))
        return []

    def _freed(self, origin: str, read: int | None) -> list[str]:
        """Those that wait for this origin no longer, now that it is read so far, or to its end."""
        freed = []
        for seq, waiter in (waiting := self._waiting.pop(origin, [])):
            if read is None or seq <= read:
                self._waits[waiter] -= 1
                if not self._waits[waiter]:
                    freed.append(waiter)
        if left := [it for it in waiting if read is not None and it[0] > read]:
            self._waiting[origin] = left
        return freed
