"""The watches of the asyncio client."""

from __future__ import annotations

import asyncio
import os
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from kvnode.client import arguments
from kvnode.client.watches import WAIT_S, Change, Feed
from kvnode.client.writes import Key

if TYPE_CHECKING:
    from kvnode.client.asynchronous import AsyncClientSession


#: How long a question stays at the node when the coroutine that waited for its answer was
#: cancelled. One that waits again and again, each time for a while, goes on where it was, though an
#: answer takes longer to come than it waits.
KEPT_S: Final = 1.0


class AsyncWatch:
    """See `Watch`. It begins with `async with`, or else with the first change that is asked for.
    While it waits it is one of the 500 requests that its client may have on their way, 400 of which
    may be watches."""

    def __init__(self, client: AsyncClientSession, prefix: Key, since: bytes | str | None) -> None:
        self._client = client
        self._feed = Feed(prefix, since, client._seen)
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._asking: asyncio.Future[None] | None = None
        #: How many coroutines wait for that, and what ends it when they have all left.
        self._waiting = 0
        self._leaving: asyncio.TimerHandle | None = None

    @property
    def token(self) -> bytes | None:
        """See `Watch.token`."""
        return self._feed.token

    def __aiter__(self) -> Self:
        return self

    def __repr__(self) -> str:
        return f"<AsyncWatch of {self._feed.followed} at {self._client.address}>"

    async def __anext__(self) -> Change:
        while (change := self._feed.taken()) is None:
            await self._ask(WAIT_S)
        return change

    async def poll(self, wait_s: float = 0.0) -> list[Change]:
        """See `Watch.poll`."""
        end_s = time.monotonic() + arguments.wait_s(wait_s)
        while not (changes := self._feed.all_taken()):
            await self._ask(max(0.0, end_s - time.monotonic()))
            if (changes := self._feed.all_taken()) or time.monotonic() >= end_s:
                break
        return changes

    async def close(self) -> None:
        """See `Watch.close`."""
        self._feed.position.end()
        self._leave()

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
        """Ask, or go on waiting for what was asked before: whoever waits may be cancelled, and
        what comes then is for the next one."""
        if self._process != os.getpid():
            self._begin()  # what was asked before, the loop of its parent waits for
        patience_s = wait_s
        if self._asking is None:
            patience_s = None  # the answer comes in time
            call = self._client._make(self._feed.call(wait_s), self._feed.position)
            self._asking = asyncio.ensure_future(call)
            self._asking.add_done_callback(_look_at)
        asked = self._asking
        self._waiting += 1
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        try:
            await asyncio.wait({asked}, timeout=patience_s)
        finally:
            self._waiting -= 1
            loop = asked.get_loop()
            if not asked.done() and not self._waiting and not loop.is_closed():
                self._leaving = loop.call_later(KEPT_S, self._leave)
        if asked.done():
            if self._asking is asked:
                self._asking = None
            self._feed.expect_open()
            asked.result()

    def _leave(self) -> None:
        """Nobody waits for an answer any more."""
        if self._process != os.getpid():
            self._begin()
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None


def _look_at(asked: asyncio.Future[None]) -> None:
    """It may be that nobody else does, and asyncio would complain of an error that is not seen."""
    if not asked.cancelled():
        asked.exception()
