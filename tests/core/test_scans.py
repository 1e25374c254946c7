"""Pages of scans: what they show, how much they look at, and which cut they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from kvnode.core.cuts import CUT_IDLE_US
from kvnode.core.expiry import ExpiryClock
from kvnode.core.limits import KIB, MIB, RESERVED_PREFIX, VALUE_BYTES_MAX, Limits
from kvnode.core.requests import Scan, Shows
from kvnode.core.results import Failed, Page
from kvnode.core.scans import Scans
from kvnode.core.vector import new_origin
from kvnode.core.versions import Version, Versions
from kvnode.storage.memory import MemoryDisk, MemoryStore
from tests.storage.commits import commit

X, Y = (new_origin(name, 1, 1) for name in "XY")
ALL = Scan(None, None, None, None, 100, False, Shows.KEYS)


def version(value: bytes = b"v", origin: str = X) -> Version:
    return Version(1, origin, 1, value)


class Scanned:
    """A table and the scans of it; each page is a turn of its own."""

    def __init__(self, table: Mapping[bytes, Versions], limits: Limits | None = None) -> None:
        self.store = MemoryStore(MemoryDisk())
        self.expiry = ExpiryClock()
        self.commit(table)
        self.scans = Scans(self.store, lambda: 0.5, limits or Limits())

    def commit(self, table: Mapping[bytes, Versions]) -> None:
        self.store.commit(commit(table=table), sync=True)

    def page(
        self, scan: Scan, changed: Mapping[bytes, Versions] | None = None, steady_us: int = 0
    ) -> Any:
        self.scans.begin_turn(steady_us)
        return self.scans.page(scan, changed or {}, self.expiry)

    def pages(self, scan: Scan) -> list[Any]:
        """The records of each page, to the end."""
        found = []
        while True:
            page = self.page(scan)
            assert isinstance(page, Page), page
            found.append(page.records)
            if page.next is None:
                return found
            bound = {"end" if scan.reverse else "start": page.next}
            scan = replace(scan, cut=page.cut, **bound)


def letters(text: str) -> dict[bytes, Versions]:
    return {letter.encode(): (version(letter.encode()),) for letter in text}


def shown(page: Page) -> str:
    assert isinstance(page.records, tuple)
    return b"".join(key for key in page.records if isinstance(key, bytes)).decode()


# --- ranges


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (None, None, "abcde"),
        (b"", None, "abcde"),
        (b"b", None, "bcde"),
        (b"b\0", None, "cde"),
        (None, b"d", "abc"),
        (b"b", b"d", "bc"),
        (b"b", b"b", ""),
        (b"d", b"b", ""),
        (None, b"", ""),
        (b"x", None, ""),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_a_range_has_its_start_but_not_its_end(
    start: bytes | None, end: bytes | None, found: str, *, reverse: bool
) -> None:
    scan = replace(ALL, start=start, end=end, reverse=reverse)
    page = Scanned(letters("abcde")).page(scan)
    assert shown(page) == (found[::-1] if reverse else found)
    assert (page.cut, page.next) == (None, None), "all is shown, so no cut is opened"


def test_entries_are_winners_and_the_numbers_of_their_siblings() -> None:
    table = {b"a": (version(), version(b"w", Y)), b"b": (version(b"only"),)}
    page = Scanned(table).page(replace(ALL, shows=Shows.ENTRIES))
    assert page.records == ((b"a", (version(),), 1), (b"b", (version(b"only"),), 0))


def test_a_count_is_a_number() -> None:
    assert Scanned(letters("abc")).page(replace(ALL, shows=Shows.COUNT)).records == 3


@pytest.mark.parametrize("reverse", [False, True])
def test_keys_of_kvnodes_own_are_never_shown_nor_looked_at(*, reverse: bool) -> None:
    around = [b"\0", RESERVED_PREFIX[:-1], b"\0kvnode.", b"\0kvnode0", b"\0kvnode0/", b"a"]
    own = [RESERVED_PREFIX, RESERVED_PREFIX + b"member/x", RESERVED_PREFIX + b"\xff"]
    scanned = Scanned({key: (version(),) for key in (*around, *own)}, Limits(scan_work_per_page=2))
    pages = scanned.pages(replace(ALL, reverse=reverse))
    assert [len(page) for page in pages] == [2, 2, 2]
    keys = [key for page in pages for key in page]
    assert keys == sorted(around, reverse=reverse)
    inside = replace(ALL, start=RESERVED_PREFIX + b"member/", end=RESERVED_PREFIX + b"n")
    assert scanned.page(inside) == Page(None, (), None)


# --- pages


@pytest.mark.parametrize(
    ("reverse", "pages"),
    [(False, ["ab", "cd", "e"]), (True, ["ed", "cb", "a"])],
)
def test_a_page_has_no_more_than_was_asked_for(reverse: bool, pages: list[str]) -> None:
    found = Scanned(letters("abcde")).pages(replace(ALL, page=2, reverse=reverse))
    assert [b"".join(page).decode() for page in found] == pages


def test_a_page_that_is_just_full_is_the_last_one() -> None:
    page = Scanned(letters("abc")).page(replace(ALL, page=3))
    assert (shown(page), page.cut, page.next) == ("abc", None, None)


@pytest.mark.parametrize("reverse", [False, True])
def test_where_no_more_are_wanted_the_scan_ends_and_no_cut_is_opened(*, reverse: bool) -> None:
    scanned = Scanned(letters("abcde"))
    for limit in (1, 2, 5, 6):
        page = scanned.page(replace(ALL, limit=limit, page=6, reverse=reverse))
        assert (len(page.records), page.cut, page.next) == (min(limit, 5), None, None)
    assert len(scanned.scans.cuts) == 0
    first = scanned.page(replace(ALL, limit=3, page=2))
    assert (shown(first), first.next) == ("ab", b"c")
    rest = scanned.page(replace(ALL, cut=first.cut, limit=1, page=2, start=first.next))
    assert (shown(rest), rest.next) == ("c", None)


def test_a_limit_counts_what_is_shown() -> None:
    changed: dict[bytes, Versions] = {b"a": (), b"c": ()}
    assert shown(Scanned(letters("abcde")).page(replace(ALL, limit=2), changed)) == "bd"


def test_a_count_goes_on_like_the_others() -> None:
    assert Scanned(letters("abcde")).pages(replace(ALL, page=2, shows=Shows.COUNT)) == [2, 2, 1]


def test_what_was_deleted_is_not_shown_but_was_looked_at() -> None:
    scanned = Scanned(letters("abcd"), Limits(scan_work_per_page=2))
    first = scanned.page(ALL, changed={b"a": (), b"b": ()})
    assert (first.records, first.next) == ((), b"c")
    assert shown(scanned.page(replace(ALL, cut=first.cut, start=first.next))) == "cd"


def test_a_page_looks_at_half_a_mib_or_at_one_record() -> None:
    half, large = bytes(MIB // 2 - 3 * KIB), bytes(VALUE_BYTES_MAX)
    table = {b"a": (version(half),), b"b": (version(half),), b"c": (version(large),)}
    for shows in Shows:
        pages = Scanned(table).pages(replace(ALL, shows=shows))
        assert [page if shows is Shows.COUNT else len(page) for page in pages] == [1, 1, 1]
    small = {b"%05d" % at: (version(bytes(KIB)),) for at in range(1000)}
    first = Scanned(small).page(replace(ALL, page=1000))
    assert 300 < len(first.records) < 500, "siblings and short keys are in the reckoning too"


def test_a_turn_has_so_much_work_for_all_its_pages_and_each_has_a_record() -> None:
    scanned = Scanned(letters("abcdefgh"), Limits(scan_work_per_turn=20))
    scanned.scans.begin_turn(0)
    assert not scanned.scans.is_spent
    assert (
        shown(scanned.scans.page(replace(ALL, page=2), {}, scanned.expiry)) == "ab"
    )  # 2 and the page's own 16
    assert not scanned.scans.is_spent
    assert shown(scanned.scans.page(ALL, {}, scanned.expiry)) == "ab"  # 2 are left
    assert scanned.scans.is_spent
    assert shown(scanned.scans.page(ALL, {}, scanned.expiry)) == "a"
    scanned.scans.begin_turn(0)
    assert not scanned.scans.is_spent


def test_to_sort_what_a_turn_has_changed_is_work() -> None:
    scanned = Scanned({}, Limits(scan_work_per_turn=100))
    scanned.scans.begin_turn(0)
    changed = {b"%d" % at: (version(),) for at in range(400)}
    assert len(scanned.scans.page(replace(ALL, end=b"2"), changed, scanned.expiry).records) == 1
    assert scanned.scans.is_spent


# --- cuts


def test_all_pages_show_what_the_first_one_saw() -> None:
    scanned = Scanned(letters("abcd"))
    changed: dict[bytes, Versions] = {b"b": (version(b"changed"),), b"c": ()}
    first = scanned.page(replace(ALL, page=1), changed)
    changed[b"d"] = ()  # later in that turn
    scanned.commit({**changed, b"a": (), b"e": (version(),)})
    rest = replace(ALL, cut=first.cut, start=first.next, shows=Shows.ENTRIES)
    entries = ((b"b", (version(b"changed"),), 0), (b"d", (version(b"d"),), 0))
    assert scanned.page(rest, {b"d": ()}) == Page(first.cut, entries, None)
    again = scanned.page(rest)
    assert again.records == entries, "a page may be asked for again, and the last one too"
    assert shown(scanned.page(ALL)) == "be", "a new scan shows what is there now"


def test_what_has_expired_is_not_shown_and_what_expires_later_is_in_all_pages_or_in_none() -> None:
    soon = Version(1, X, 1, b"v", 1_000)
    table = {letter.encode(): (soon,) for letter in "abc"} | letters("d")
    scanned = Scanned(table | {b"e": (soon, version(b"w", Y))})
    scanned.expiry.advance(999)
    first = scanned.page(replace(ALL, page=2))
    scanned.expiry.advance(1_000)
    assert shown(scanned.page(replace(ALL, cut=first.cut, start=first.next))) == "cde"
    entries = scanned.page(replace(ALL, shows=Shows.ENTRIES)).records
    assert entries == ((b"d", (version(b"d"),), 0), (b"e", (version(b"w", Y),), 0))
    assert scanned.page(replace(ALL, shows=Shows.COUNT)).records == 2


def test_a_cut_that_is_not_there_is_told() -> None:
    scanned = Scanned(letters("abcd"))
    first = scanned.page(replace(ALL, page=1))
    rest = replace(ALL, cut=first.cut, start=first.next)
    for gone in (replace(rest, cut=first.cut + 1), rest):
        failed = scanned.page(gone, steady_us=CUT_IDLE_US)
        assert isinstance(failed, Failed)
        assert (failed.code, failed.maybe) == ("cut_gone", False)
        assert "begin the scan anew" in failed.message


def test_a_cut_that_is_read_stays() -> None:
    scanned = Scanned(letters("abcd"))
    first = scanned.page(replace(ALL, page=1))
    rest = replace(ALL, cut=first.cut, start=first.next)
    for minutes in range(3):
        steady_us = minutes * (CUT_IDLE_US - 1)
        assert isinstance(scanned.page(rest, steady_us=steady_us), Page)


def test_too_many_scans_are_told_before_they_begin_and_short_ones_go_on() -> None:
    scanned = Scanned(letters("abcd"), Limits(cuts_max=1))
    assert scanned.page(replace(ALL, page=1)).cut is not None
    failed = scanned.page(replace(ALL, page=1))
    assert isinstance(failed, Failed)
    assert (failed.code, failed.maybe) == ("overloaded", False)
    assert shown(scanned.page(ALL)) == "abcd"


def test_one_that_was_read_to_its_end_makes_room() -> None:
    scanned = Scanned(letters("abcd"), Limits(cuts_max=1))
    assert len(scanned.pages(replace(ALL, page=1))) == 4
    assert len(scanned.pages(replace(ALL, page=1))) == 4
    assert len(scanned.scans.cuts) == 1
