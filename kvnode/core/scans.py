"""Scans: ranges of keys in pages, all of which show one cut.

Work is counted: a record that is looked at, shown or not, weighs one, and one more for each 256
bytes that it has. So a page, and all pages of a turn together, take some milliseconds, whatever
they find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from kvnode.core.cuts import Cuts, TableCut
from kvnode.core.expiry import ExpiryClock
from kvnode.core.limits import RESERVED_PREFIX, Limits
from kvnode.core.overlay import Overlay, Record, TableView, size_bytes
from kvnode.core.requests import Scan, Shows
from kvnode.core.results import Failed, Page, ScanRecord
from kvnode.core.versions import Versions

#: Half a MiB weighs as much as 2048 small records: see `Limits.scan_work_per_page`.
_BYTES_PER_WORK: Final = 256

#: What a page weighs beside its records: seeking, and opening a cut.
_PAGE_WORK: Final = 16

#: So many changes are sorted for a first page in the time that one record takes.
_CHANGES_PER_WORK: Final = 4

#: The first key after kvnode's own.
_AFTER_RESERVED: Final = RESERVED_PREFIX[:-1] + bytes([RESERVED_PREFIX[-1] + 1])

_GONE: Final = Failed(
    "cut_gone",
    "this node does not have the cut of this scan any more: it was not read for a while, made "
    "room for another, or was another process's; nothing was done: begin the scan anew",
)
_TOO_MANY: Final = Failed(
    "overloaded",
    "too many scans are being read at this node; nothing was done: try later, or another node",
)


class Table(Protocol):
    """Where scans read what is committed."""

    def table_view(self) -> TableView:
        """The committed table as it is now."""


class Scans:
    """The scans of one node, and the cuts that they read."""

    def __init__(self, table: Table, random: Callable[[], float], limits: Limits) -> None:
        self.cuts = Cuts(random, limits)
        self._table = table
        self._limits = limits
        self._work_left = 0
        self._turned_us = 0

    def begin_turn(self, steady_us: int) -> None:
        """Another turn, at this time by the steady clock."""
        self._work_left = self._limits.scan_work_per_turn
        self._turned_us = steady_us
        self.cuts.close_idle(steady_us)

    @property
    def is_spent(self) -> bool:
        """Whether the turn has done all the work of this kind that it may."""
        return self._work_left <= 0

    def page(
        self, scan: Scan, changed: Mapping[bytes, Versions], expiry: ExpiryClock
    ) -> Page | Failed:
        """One page; `changed` is what the turn has changed by now, for the first one, and `expiry`
        says what is over.

        A page has at least one record if there is any in its range, shown or not.
        """
        if scan.cut is not None:
            return self._further_page(scan, scan.cut)
        self._work_left -= len(changed) // _CHANGES_PER_WORK
        cut = TableCut(Overlay(self._table.table_view(), changed), expiry.stopped())
        page = self._read(cut, scan)
        if page.next is None:
            cut.view.close()
            return page
        number = self.cuts.keep(cut, self._turned_us)
        return _TOO_MANY if number is None else page._replace(cut=number)

    def _further_page(self, scan: Scan, number: int) -> Page | Failed:
        cut = self.cuts.read(number, self._turned_us)
        if cut is None:
            return _GONE
        page = self._read(cut, scan)
        if page.next is None:
            self.cuts.was_read(number)
        return page

    def _read(self, cut: TableCut, scan: Scan) -> Page:
        page, work = _read(cut, scan, min(self._work_left, self._limits.scan_work_per_page))
        self._work_left -= work + _PAGE_WORK
        return page


def _read(cut: TableCut, scan: Scan, work_max: int) -> tuple[Page, int]:
    """A page of at most so much work, or one record; and what its work was."""
    records: list[ScanRecord] = []
    goes_on_at = last = None
    work = 0
    for key, held in _records(cut.view, scan):
        if len(records) == scan.limit:
            break  # no more are wanted, and no cut is needed for them
        weight = 1 + size_bytes(key, held) // _BYTES_PER_WORK
        if last is not None and (work + weight > work_max or len(records) == scan.page):
            goes_on_at = last if scan.reverse else key
            break
        work += weight
        last = key
        if versions := cut.expiry.visible(held):  # what is over was looked at all the same
            records.append((key, versions[:1], len(versions) - 1))
    return Page(scan.cut, _shown(records, scan.shows), goes_on_at), work


def _shown(
    records: list[ScanRecord], shows: Shows
) -> tuple[ScanRecord, ...] | tuple[bytes, ...] | int:
    match shows:
        case Shows.ENTRIES:
            return tuple(records)
        case Shows.KEYS:
            return tuple(key for key, _, _ in records)
        case Shows.COUNT:
            return len(records)


def _records(view: TableView, scan: Scan) -> Iterator[Record]:
    """Those of a scan's range. What is kvnode's own is never read."""
    start, end = scan.start or b"", scan.end
    below = start, RESERVED_PREFIX if end is None else min(end, RESERVED_PREFIX)
    above = max(start, _AFTER_RESERVED), end
    for first, last in (above, below) if scan.reverse else (below, above):
        if last is None or first < last:
            yield from view.records(first, last, reverse=scan.reverse)
