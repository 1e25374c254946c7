"""Serving snapshots: views of this node's state, read by peers in parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kvnode.codec.snapshots import Part
from kvnode.errors import Refused
from kvnode.storage.store import View

#: Views held at once. Each keeps replaced data on the disk until it is let go.
SNAPSHOTS_MAX: Final = 4

#: A view that nobody reads for so long is let go. A peer with a slow link may be quiet for two
#: minutes: see `core.snapshot.PATIENT_ATTEMPTS_MAX`.
SNAPSHOT_IDLE_US: Final = 180_000_000

#: One that nobody reads for so long makes room for another, if there are too many.
SNAPSHOT_QUIET_US: Final = 10_000_000

_ORIGINS: Final = b"o"
_TABLE: Final = b"t"


@dataclass(slots=True)
class _Open:
    view: View
    read_us: int
    #: Whether it was read to its end. It stays a while: that answer may be lost.
    is_read: bool = False


class Snapshots:
    """The views that peers read."""

    def __init__(self, random_number: Callable[[], int]) -> None:
        self._random_number = random_number
        self._open: dict[int, _Open] = {}

    def part(
        self,
        new_view: Callable[[], View],
        number: int | None,
        after: bytes,
        bytes_max: int,
        steady_us: int,
    ) -> Part:
        """What comes after a position, in a new view if there is no number. Raises Refused."""
        self.close_idle(steady_us)
        if number is None:
            number = self._begin(new_view, steady_us)
        snapshot = self._open.get(number)
        if snapshot is None:
            raise Refused(f"there is no snapshot {number} any more; begin another one")
        snapshot.read_us = steady_us
        part = _part(snapshot.view, number, after, bytes_max)
        snapshot.is_read = part.next is None
        return part

    def reads_on(self, number: int, steady_us: int) -> None:
        """A part of it that was read before is still on its way to a peer."""
        if number in self._open:
            self._open[number].read_us = steady_us

    def close(self) -> None:
        """Let go of all views."""
        for number in list(self._open):
            self._close(number)

    def __len__(self) -> int:
        return len(self._open)

    def close_idle(self, steady_us: int) -> None:
        """Let go of the views that nobody reads any more."""
        for number, snapshot in list(self._open.items()):
            if steady_us - snapshot.read_us >= SNAPSHOT_IDLE_US:
                self._close(number)

    def _begin(self, new_view: Callable[[], View], steady_us: int) -> int:
        if len(self._open) >= SNAPSHOTS_MAX:
            self._make_room(steady_us)
        if len(self._open) >= SNAPSHOTS_MAX:
            raise Refused(f"{SNAPSHOTS_MAX} snapshots are being read already; try later")
        number = self._random_number()
        self._open[number] = _Open(new_view(), steady_us)
        return number

    def _make_room(self, steady_us: int) -> None:
        """Let go of one that was read to its end, or of the one that was quiet for longest."""
        number, quietest = min(
            self._open.items(), key=lambda item: (not item[1].is_read, item[1].read_us)
        )
        if quietest.is_read or steady_us - quietest.read_us >= SNAPSHOT_QUIET_US:
            self._close(number)

    def _close(self, number: int) -> None:
        self._open.pop(number).view.close()


def _part(view: View, number: int, after: bytes, bytes_max: int) -> Part:
    kind, key = after[:1], after[1:]
    if kind != _TABLE:
        if origins := view.origins(key, bytes_max):
            goes_on = _ORIGINS + origins[-1][0]
            return Part(number, after, view.clock_us, view.digest, origins, [], goes_on)
        key = b""
    table = view.table(key, bytes_max)
    goes_on_at = _TABLE + table[-1][0] if table else None
    return Part(number, after, view.clock_us, view.digest, [], table, goes_on_at)
