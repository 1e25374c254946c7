"""The watches of the asyncio client."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kvnode.client.watches import WAIT_S, Change, Feed
from kvnode.client.writes import Key

if TYPE_CHECKING:
    from kvnode.client.asynchronous import AsyncClientSession


class AsyncWatch:
    """See `Watch`. It begins with `async with`, or else with the first change that is asked for.
    While it waits it is one of the 500 requests that its client may have on their way, 400 of which
    may be watches."""

    def __init__(self, client: AsyncClientSession, prefix: Key, since: bytes | str | None) -> None:
        self._client = client
        self._feed = Feed(prefix, since, client.seen)
        self._asking: asyncio.Future[None] | None = None

    @property
    def token(self) -> bytes | None:
        """See `Watch.token`."""
        return self._feed.token

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while (change := self._feed.taken()) is None:
            await self._ask(WAIT_S)
        return change

    async def poll(self, wait_s: float = 0.0) -> list[Change]:
        """See `Watch.poll`."""
        end_s = time.monotonic() + wait_s
        while not (changes := self._feed.all_taken()):
            await self._ask(max(0.0, end_s - time.monotonic()))
            if (changes := self._feed.all_taken()) or time.monotonic() >= end_s:
                break
        return changes

    async def close(self) -> None:
        """See `Watch.close`."""
        self._feed.position.end()
        if self._asking is not None:
            self._asking.cancel()

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
        patience_s = wait_s
        if self._asking is None:
            patience_s = None  # the answer comes in time
            call = self._client.make(self._feed.call(wait_s), self._feed.position)
            self._asking = asyncio.ensure_future(call)
        asked = self._asking
        await asyncio.wait({asked}, timeout=patience_s)
        if asked.done():
            if self._asking is asked:
                self._asking = None
            asked.result()
