"""Scanning: the range that a scan is of, and how its pages become one iterator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from kvnode.client.session import Version, encoded
from kvnode.codec.packing import bound
from kvnode.errors import InvalidRequest, MalformedError

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

    def behind(self, next_: bytes, *, reverse: bool) -> Range:
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
    behind_prefix = None
    if prefix:
        head = _bound(prefix, "prefix")
        assert head is not None
        first = head if first is None else max(first, head)
        behind_prefix = successor(head)
    if behind_prefix is not None:
        last = behind_prefix if last is None else min(last, behind_prefix)
    return Range(first, last, kind is str)


def successor(prefix: bytes) -> bytes | None:
    """The first key behind all that start so; None if there is none."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else None


def _bound(value: Any, what: str) -> bytes | None:
    try:
        return bound(encoded(value), what)
    except MalformedError as error:
        raise InvalidRequest(str(error)) from None


def checked_count(value: Any, low: int, high: int, what: str) -> int:
    """An integer between these, both included. Raises InvalidRequest."""
    if type(value) is not int or not low <= value <= high:
        raise InvalidRequest(f"{what} must be an integer from {low} to {high}; not {value!r:.80}")
    return value
