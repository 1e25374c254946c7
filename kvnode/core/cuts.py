"""Cuts: the moments that scans of several pages go on reading.

A cut is the table that a scan's first page saw: what was committed before its turn, and what the
turn had changed by then. It has no position; any page of it can be asked for, and asked for again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from kvnode.core.expiry import ExpiryClock
from kvnode.core.limits import Limits
from kvnode.core.overlay import Overlay

#: A cut that nobody reads for so long is let go: it keeps replaced data on the disk.
CUT_IDLE_US: Final = 60_000_000

#: One that nobody reads for so long makes room for another, if there are too many.
CUT_QUIET_US: Final = 2_000_000

#: A number is random bits, so that none of another node or process is taken for one of here, and
#: the end of a counter, so that no two of here are equal.
_RANDOM_BITS: Final = 40
_COUNTER_BITS: Final = 20


class TableCut(NamedTuple):
    """What all pages of a scan read."""

    view: Overlay
    #: Stopped, so that what expires between two pages is in both of them or in none.
    expiry: ExpiryClock


@dataclass(slots=True)
class _Open:
    cut: TableCut
    size_bytes: int
    read_us: int
    #: Whether it was read to its end. It stays a while: that answer may be lost.
    is_read: bool = False


class Cuts:
    """The cuts that scans read, the one that was quiet for longest first."""

    def __init__(self, random: Callable[[], float], limits: Limits) -> None:
        self._random = random
        self._limits = limits
        self._open: dict[int, _Open] = {}
        self._opened = 0
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._open)

    @property
    def size_bytes(self) -> int:
        """What all of them hold in memory."""
        return self._size_bytes

    def keep(self, cut: TableCut, steady_us: int) -> int | None:
        """Keep a cut under a new number; None, and it is let go, if there is no room."""
        size_bytes = cut.view.size_bytes
        while not self._has_room(size_bytes) and (number := self._quietest(steady_us)) is not None:
            self._close(number)
        if not self._has_room(size_bytes):
            cut.view.close()
            return None
        self._opened += 1
        number = int(self._random() * (1 << _RANDOM_BITS)) << _COUNTER_BITS
        number += self._opened % (1 << _COUNTER_BITS)
        self._open[number] = _Open(cut, size_bytes, steady_us)
        self._size_bytes += size_bytes
        return number

    def read(self, number: int, steady_us: int) -> TableCut | None:
        """A cut that is read now; None if it is not there any more."""
        found = self._open.pop(number, None)
        if found is None:
            return None
        found.read_us, found.is_read = steady_us, False
        self._open[number] = found
        return found.cut

    def was_read(self, number: int) -> None:
        """It was read to its end: the first to make room."""
        self._open[number].is_read = True

    def close_idle(self, steady_us: int) -> None:
        """Let go of those that nobody reads any more."""
        while self._open:
            number, quietest = next(iter(self._open.items()))
            if steady_us - quietest.read_us < CUT_IDLE_US:
                return
            self._close(number)

    def close(self) -> None:
        """Let go of all."""
        for number in list(self._open):
            self._close(number)

    def _has_room(self, size_bytes: int) -> bool:
        fits = self._size_bytes + size_bytes <= self._limits.cut_bytes_max or not self._open
        return fits and len(self._open) < self._limits.cuts_max

    def _quietest(self, steady_us: int) -> int | None:
        """One that may go: that was read to its end, or else was quiet for long enough."""
        for number, held in self._open.items():
            if held.is_read:
                return number
        number, quietest = next(iter(self._open.items()))
        return number if steady_us - quietest.read_us >= CUT_QUIET_US else None

    def _close(self, number: int) -> None:
        closed = self._open.pop(number)
        self._size_bytes -= closed.size_bytes
        closed.cut.view.close()
