"""Watches: the writes beyond a position, one after another, from whichever node answers."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from kvnode.client import arguments
from kvnode.client.call import Call, Results
from kvnode.client.scans import range_of
from kvnode.client.session import Request, Session, unpacked_expiry
from kvnode.client.values import unpacked_value
from kvnode.client.writes import Key
from kvnode.codec import client as ask
from kvnode.codec.client import Answer
from kvnode.codec.token import decode_token, encode_token
from kvnode.core.vector import Dot, joined
from kvnode.errors import InvalidRequest, UnreadableAnswer

if TYPE_CHECKING:
    from kvnode.client.sync import ClientSession

#: How long a node is asked to wait until something comes. Then it is asked again, with the position
#: that it answered: a filter skips much, and what it skipped need not be looked at twice.
WAIT_S: Final = 20.0


class _Position(Session):
    """Where a watch is. Answers do not move it on, but taking what they tell: nobody heard what a
    late one told, or one whose reader was cancelled."""

    #: The token of the latest answer.
    answered: bytes | None = None

    def results_of(self, request: Request, answer: Answer) -> list[list[Any]]:
        """See `Session.results_of`."""
        self.answered, before = answer.token, self.token
        try:
            return super().results_of(request, answer)
        finally:
            self.token = before

    def add(self, answer: Answer) -> None:
        """See `Session.add`: it counts as not having come."""


class Change:
    """What a write did to one key."""

    __slots__ = ("_at", "_packed", "_page", "dot", "expires_at", "is_delete", "key", "stamp_us")

    def __init__(
        self,
        key: str | bytes,
        packed: bytes | None,
        dot: Dot,
        stamp_us: int,
        expires_at: datetime | None,
        place: tuple[_Page, int],
    ) -> None:
        #: A string if the watch's prefix is one, with surrogate escapes (PEP 383) for what is no
        #: UTF-8.
        self.key = key
        self.is_delete = packed is None
        #: The write's; those that a write changed together come one after another.
        self.dot = dot
        #: The hybrid-logical-clock stamp, microseconds since 1970.
        self.stamp_us = stamp_us
        #: When it expires; None is never.
        self.expires_at = expires_at
        self._packed = packed
        self._page, self._at = place

    @property
    def value(self) -> Any:
        """What was put, or an UnreadableValue where that can't be read; None if it was deleted."""
        return None if self._packed is None else unpacked_value(self._packed, self.key)

    @property
    def token(self) -> bytes:
        """For `since=`: goes on after this change. Of a write that changed several keys only the
        last one's does; the others' go on before that write, which comes again as a whole."""
        return self._page.token_after(self._at)

    def __repr__(self) -> str:
        what = "is deleted" if self.is_delete else "is put"
        return f"<Change: {self.key!r} {what} by {self.dot.origin}:{self.dot.seq}>"


class _Page:
    """The changes of one answer, and where the watch was before and after them."""

    def __init__(self, before: bytes | None, after: bytes) -> None:
        self._before = before
        self.after = after
        self.changes: list[Change] = []

    def token_after(self, at: int) -> bytes:
        """Where a watch is that has taken up to this change."""
        following = self.changes[at + 1 :]
        if not following:
            return self.after
        dots = {it.dot.origin: it.dot.seq for it in self.changes[: at + 1]}
        if self.changes[at].dot == following[0].dot:
            origin, seq = following[0].dot
            dots[origin] = seq - 1
        cluster, _ = decode_token(self.after)
        seen = {} if self._before is None else decode_token(self._before)[1]
        return encode_token(cluster, joined(seen, {o: seq for o, seq in dots.items() if seq}))


class Feed:
    """A watch without sockets: what to ask, and what has come and was not taken yet."""

    def __init__(self, prefix: Key, since: bytes | str | None, session: Session) -> None:
        range_ = range_of(prefix, None, None)
        self.session = session
        #: What it follows, for people.
        self.followed = f"keys with {prefix!r}" if prefix else "all keys"
        self._key = range_.key
        self._prefix = range_.start or b""
        #: Whether it knows where it begins.
        self.is_begun = since is not None
        self.position = _Position(
            session.token if since is None else since, session.ids, within=session
        )
        self._waiting: deque[Change] = deque()
        #: The latest change that was taken; or where it began, if none was.
        self._latest: Change | bytes | None = self.position.token if self.is_begun else None

    @property
    def token(self) -> bytes | None:
        """After what was taken."""
        return self._latest.token if isinstance(self._latest, Change) else self._latest

    def call(self, wait_s: float | None) -> Call[None]:
        """Ask what comes next; or, at first, where now is."""

        def read(results: Results) -> None:
            after = self.position.answered
            if after is None:
                raise UnreadableAnswer("the node's answer to a watch has no token")
            self._take(results[0], _Page(self.position.token, after))

        operation = ask.watch(self._prefix, is_now=not self.is_begun)
        if not self.is_begun:
            return Call([operation], read)
        return Call([operation], read, wait_s, follows=True)

    def expect_open(self) -> None:
        """Raises InvalidRequest if the watch was closed."""
        if self.position.is_over:
            raise InvalidRequest("this watch is over: begin another one, from its token")

    def taken(self) -> Change | None:
        """The next change that has come, if there is one."""
        self.expect_open()
        if not self._waiting:
            return None
        self._latest = self._waiting.popleft()
        return self._latest

    def all_taken(self) -> list[Change]:
        """All that have come."""
        changes = []
        while (change := self.taken()) is not None:
            changes.append(change)
        return changes

    def _take(self, result: list[Any], page: _Page) -> None:
        match result:
            case ["ok", list(events)]:
                for at, event in enumerate(events):
                    page.changes.append(self._change(event, page, at))
            case _:
                raise UnreadableAnswer("the node's answer to a watch is unreadable")
        self.position.token = page.after
        self._waiting.extend(page.changes)
        self.is_begun = True
        if not page.changes:
            self._latest = page.after
        self.session.merge(page.after)

    def _change(self, event: Any, page: _Page, at: int) -> Change:
        match event:
            case [str(origin), int(seq), int(stamp_us), bytes(key)]:
                packed, expires_at = None, None
            case [str(origin), int(seq), int(stamp_us), bytes(key), bytes(packed), *expiry]:
                expires_at = unpacked_expiry(expiry)
            case _:
                raise UnreadableAnswer("the node's answer has an unreadable event")
        place = page, at
        return Change(self._key(key), packed, Dot(origin, seq), stamp_us, expires_at, place)


class Watch:
    """The changes of keys with a prefix, in causal order: an iterator without end.

    It goes on at another node of the client's where one does not answer any more; nothing is missed
    or comes twice. The client's session has seen what was handed out. `Compacted` is raised where
    no node's log reaches back to where it is, and `SessionLost` where nobody has any more what it
    has seen: docs/CLIENT.md tells how to go on.
    """

    def __init__(self, client: ClientSession, prefix: Key, since: bytes | str | None) -> None:
        self._client = client
        self._feed = Feed(prefix, since, client._seen)
        #: Held by who follows it, and in which process: a fork may come while a thread does that
        #: which is not in the child.
        self._followed, self._process = Lock(), os.getpid()
        if since is None:
            self._ask(None)

    @property
    def token(self) -> bytes | None:
        """For `since=` of another watch: after what was taken, and after what was skipped."""
        return self._feed.token

    def __iter__(self) -> Self:
        return self

    def __repr__(self) -> str:
        return f"<Watch of {self._feed.followed} at {self._client.address}>"

    def __next__(self) -> Change:
        with self._alone():
            while (change := self._feed.taken()) is None:
                self._ask(WAIT_S)
            return change

    def poll(self, wait_s: float = 0.0) -> list[Change]:
        """What has come, or comes within so many seconds; perhaps nothing."""
        end_s = time.monotonic() + arguments.wait_s(wait_s)
        with self._alone():
            while not (changes := self._feed.all_taken()):
                self._ask(max(0.0, end_s - time.monotonic()))
                if (changes := self._feed.all_taken()) or time.monotonic() >= end_s:
                    break
            return changes

    def close(self) -> None:
        """End it, also where another thread follows it; the token stays readable. Nodes keep
        nothing of it."""
        self._feed.position.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two that follow it would each get a part of the changes."""
        if self._process != os.getpid():
            self._followed, self._process = Lock(), os.getpid()
        followed = self._followed
        if not followed.acquire(blocking=False):
            raise InvalidRequest("another thread follows this watch: begin one of your own")
        try:
            yield
        finally:
            followed.release()

    def _ask(self, wait_s: float | None) -> None:
        self._client._make(self._feed.call(wait_s), self._feed.position)
