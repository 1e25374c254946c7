"""Scanning: the range that a scan is of, and how one page leads to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from kvnode.client.call import Call, one
from kvnode.client.session import Version, encoded, unpacked_page
from kvnode.codec import client as ask
from kvnode.codec.packing import bound
from kvnode.errors import InvalidRequest, MalformedError, UnreadableAnswer

T = TypeVar("T")


class Page(NamedTuple, Generic[T]):
    """What one page of a scan brought."""

    items: Sequence[T]
    #: The call that brings the following page; None at the end.
    following: Any


class Entry(NamedTuple):
    """A key and its winner, as `entries` gives them."""

    key: Any
    version: Version
    #: How many there are beside the winner.
    siblings: int


class Range(NamedTuple):
    """Keys from `start` to before `end`, None for no bound."""

    start: bytes | None
    end: bytes | None
    #: Whether keys are given and come back as strings, or as bytes.
    is_text: bool

    def key(self, key: bytes) -> Any:
        """A key as it comes back: bytes that are no UTF-8 as surrogate escapes in a string (PEP
        383), which are taken back as they are."""
        return key.decode("utf-8", "surrogateescape") if self.is_text else key

    def after(self, next_: bytes, *, reverse: bool) -> Range:
        """What is left of it for the following pages."""
        return self._replace(end=next_) if reverse else self._replace(start=next_)


def range_of(prefix: Any, start: Any, end: Any) -> Range:
    """The keys with a prefix, from `start` to before `end`. Raises InvalidRequest."""
    given = [it for it in (prefix or None, start, end) if it is not None] or [prefix]
    for kind in (str, bytes):
        if all(isinstance(it, kind) for it in given):
            break
    else:
        raise InvalidRequest("prefix, start and end must be all strings, or all bytes")
    first, last = _bound(start, "start"), _bound(end, "end")
    after_prefix = None
    if prefix:
        head = _bound(prefix, "prefix")
        assert head is not None
        first = head if first is None else max(first, head)
        after_prefix = successor(head)
    if after_prefix is not None:
        last = after_prefix if last is None else min(last, after_prefix)
    return Range(first, last, kind is str)


def successor(prefix: bytes) -> bytes | None:
    """The first key after all that start so; None if there is none."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else None


def _bound(value: Any, what: str) -> bytes | None:
    try:
        return bound(encoded(value), what)
    except MalformedError as error:
        raise InvalidRequest(str(error)) from None


class Scan(NamedTuple):
    """What is left of a scan."""

    range: Range
    shows: str
    reverse: bool
    page: int
    limit: int | None
    wait_s: float | None

    def operation(self, cut: int | None) -> ask.Operation:
        start, end, _ = self.range
        return ask.scan(
            cut, start, end, self.limit, self.page, reverse=self.reverse, shows=self.shows
        )

    def after(self, next_: bytes, seen: int) -> Scan:
        range_ = self.range.after(next_, reverse=self.reverse)
        limit = None if self.limit is None else self.limit - seen
        return self._replace(range=range_, limit=limit)


def scan_page(asked: Scan, cut: int | None, item: Callable[[Any], T]) -> Call[Page[T]]:
    if asked.limit == 0:
        return Call([], lambda _: Page([], None), asked.wait_s)

    def unpacked(result: list[Any]) -> Page[T]:
        cut, records, goes_on_at = unpacked_page(result)
        if type(records) is not list:
            raise UnreadableAnswer("the node's answer has no records")
        items = [item(record) for record in records]
        if goes_on_at is None:
            return Page(items, None)
        return Page(items, scan_page(asked.after(goes_on_at, len(items)), cut, item))

    return one(asked.operation(cut), unpacked, asked.wait_s)


def count_on(asked: Scan, cut: int | None, known: int) -> Call[int]:
    def unpacked(result: list[Any]) -> int | Call[int]:
        cut, count, goes_on_at = unpacked_page(result)
        if type(count) is not int:
            raise UnreadableAnswer("the node's answer has no count")
        if goes_on_at is None:
            return known + count
        return count_on(asked.after(goes_on_at, count), cut, known + count)

    return Call([asked.operation(cut)], lambda results: unpacked(results[0]), asked.wait_s)
