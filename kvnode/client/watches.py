"""Watches: the writes beyond a position, one after another, from whichever node answers."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from kvnode.client.call import Call, Results
from kvnode.client.scans import range_of
from kvnode.client.session import Session, unpacked_expiry, unpacked_value
from kvnode.client.writes import Key
from kvnode.codec import client as ask
from kvnode.codec.client import Answer
from kvnode.codec.token import decode_token, encode_token
from kvnode.core.vector import Dot, joined
from kvnode.errors import InvalidRequest, UnreadableAnswer

if TYPE_CHECKING:
    from kvnode.client.asynchronous import AsyncClientSession
    from kvnode.client.sync import ClientSession

#: How long a node is asked to wait until something comes. Then it is asked again, with the position
#: that it answered: a filter skips much, and what it skipped need not be looked at twice.
_WAIT_S: Final = 20.0


class _Position(Session):
    """Where a watch is. Only answers that are waited for move it on: what a late one told, nobody
    heard."""

    def add(self, answer: Answer) -> None:
        """See `Session.add`: it counts as not having come."""


class _Told(NamedTuple):
    """What an event says."""

    #: A string if the watch's prefix is one, with surrogate escapes (PEP 383) for what is no UTF-8.
    key: str | bytes
    #: None if it was deleted.
    value: Any
    is_delete: bool
    #: The write's; those that a write changed together come one after another.
    dot: Dot
    #: The hybrid-logical-clock stamp, microseconds since 1970.
    stamp_us: int
    #: When it expires; None is never.
    expires_at: datetime | None


class Change(_Told):
    """What a write did to one key: `key`, `value`, `is_delete`, its `dot`, `stamp_us`, and
    `expires_at`."""

    _page: _Page
    _at: int

    @property
    def token(self) -> bytes:
        """For `since=`: goes on behind this change. Of a write that changed several keys only the
        last one's does; the others' go on before that write, which comes again as a whole."""
        return self._page.token_behind(self._at)


class _Page:
    """The changes of one answer, and where the watch was before and behind them."""

    def __init__(self, before: bytes | None, behind: bytes) -> None:
        self._before = before
        self._behind = behind
        self.changes: list[Change] = []

    def token_behind(self, at: int) -> bytes:
        """Where a watch is that has taken up to this change."""
        following = self.changes[at + 1 :]
        if not following:
            return self._behind
        dots = {it.dot.origin: it.dot.seq for it in self.changes[: at + 1]}
        if self.changes[at].dot == following[0].dot:
            origin, seq = following[0].dot
            dots[origin] = seq - 1
        cluster, _ = decode_token(self._behind)
        seen = {} if self._before is None else decode_token(self._before)[1]
        return encode_token(cluster, joined(seen, {o: seq for o, seq in dots.items() if seq}))


class _Feed:
    """A watch without sockets: what to ask, and what has come and was not taken yet."""

    def __init__(self, prefix: Key, since: bytes | str | None, session: Session) -> None:
        range_ = range_of(prefix, None, None)
        self.session = session
        self._key = range_.key
        self._prefix = range_.start or b""
        #: Whether it knows where it begins.
        self.is_begun = since is not None
        self.position = _Position(session.token if since is None else since, session.ids)
        self._waiting: deque[Change] = deque()
        self.is_over = False
        #: The latest change that was taken; or where it began, if none was.
        self._latest: Change | bytes | None = self.position.token if self.is_begun else None

    @property
    def token(self) -> bytes | None:
        """Behind what was taken."""
        return self._latest.token if isinstance(self._latest, Change) else self._latest

    def call(self, wait_s: float | None) -> Call[None]:
        """Ask what comes next; or, at first, where now is."""
        before = self.position.token

        def read(results: Results) -> None:
            behind = self.position.token
            assert behind is not None, "an answer has a token"
            self._take(results[0], _Page(before, behind))

        operation = ask.watch(self._prefix, is_now=not self.is_begun)
        return Call([operation], read, wait_s if self.is_begun else None)

    def taken(self) -> Change | None:
        """The next change that has come, if there is one."""
        if self.is_over:
            raise InvalidRequest("this watch is over: begin another one, from its token")
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
        self._waiting.extend(page.changes)
        self.is_begun = True
        if not page.changes:
            self._latest = self.position.token
        if self.position.token is not None:
            self.session.merge(self.position.token)

    def _change(self, event: Any, page: _Page, at: int) -> Change:
        match event:
            case [str(origin), int(seq), int(stamp_us), bytes(key)]:
                change = Change(self._key(key), None, True, Dot(origin, seq), stamp_us, None)
            case [str(origin), int(seq), int(stamp_us), bytes(key), bytes(packed), *expiry]:
                dot = Dot(origin, seq)
                value, expires_at = unpacked_value(packed, dot), unpacked_expiry(expiry)
                change = Change(self._key(key), value, False, dot, stamp_us, expires_at)
            case _:
                raise UnreadableAnswer("the node's answer has an unreadable event")
        change._page, change._at = page, at
        return change


class Watch:
    """The changes of keys with a prefix, in causal order: an iterator without end.

    It goes on at another node of the client's where one does not answer any more; nothing is missed
    or comes twice. The client's session has seen what was handed out. `Compacted` is raised where
    no node's log reaches back to where it is, and `SessionLost` where nobody has any more what it
    has seen: docs/CLIENT.md tells how to go on.
    """

    def __init__(self, client: ClientSession, prefix: Key, since: bytes | str | None) -> None:
        self._client = client
        self._feed = _Feed(prefix, since, client.seen)
        if since is None:
            self._ask(None)

    @property
    def token(self) -> bytes | None:
        """For `since=` of another watch: behind what was taken, and behind what was skipped."""
        return self._feed.token

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        while (change := self._feed.taken()) is None:
            self._ask(_WAIT_S)
        return change

    def poll(self, wait_s: float = 0.0) -> list[Change]:
        """What has come, or comes within so many seconds; perhaps nothing."""
        if changes := self._feed.all_taken():
            return changes
        self._ask(wait_s)
        return self._feed.all_taken()

    def close(self) -> None:
        """End it; the token stays readable. Nodes keep nothing of it."""
        self._feed.is_over = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, wait_s: float | None) -> None:
        self._client.make(self._feed.call(wait_s), self._feed.position)


class AsyncWatch:
    """See `Watch`. It begins with `async with`, or else with the first change that is asked for.
    While it waits it is one of the 500 requests that its client may have on their way."""

    def __init__(self, client: AsyncClientSession, prefix: Key, since: bytes | str | None) -> None:
        self._client = client
        self._feed = _Feed(prefix, since, client.seen)

    @property
    def token(self) -> bytes | None:
        """See `Watch.token`."""
        return self._feed.token

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while (change := self._feed.taken()) is None:
            await self._ask(_WAIT_S)
        return change

    async def poll(self, wait_s: float = 0.0) -> list[Change]:
        """See `Watch.poll`."""
        if changes := self._feed.all_taken():
            return changes
        await self._ask(wait_s)
        return self._feed.all_taken()

    async def close(self) -> None:
        """See `Watch.close`."""
        self._feed.is_over = True

    async def __aenter__(self) -> Self:
        if not self._feed.is_begun:
            await self._ask(None)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _ask(self, wait_s: float | None) -> None:
        await self._client.make(self._feed.call(wait_s), self._feed.position)
