"""The asyncio client's links: to each node that it was at, opened when it comes there."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count

from kvnode.client.async_link import AsyncLink
from kvnode.client.connection import jitter
from kvnode.client.failover import Course, Endpoints, Patience, Results, follows_changes
from kvnode.client.late import GivenUp
from kvnode.client.pool import closed_before, no_place
from kvnode.client.session import Session
from kvnode.codec.client import REQUEST_ID_BYTES, Operation
from kvnode.errors import IndefiniteError, InvalidRequest, KvnodeError, Unreachable
from kvnode.transport.sockets import REQUESTS_IN_FLIGHT_MAX, WATCHES_IN_FLIGHT_MAX


class AsyncConnection:
    """Sends the requests of any number of coroutines, of one event loop. In a process that is
    forked it connects anew, and leaves the sockets of the other one alone."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.endpoints = endpoints
        #: Of all requests of all sessions that share it.
        self.ids = count(1)
        self._is_closed = False
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._given_up = GivenUp()
        #: By the numbers of their endpoints. One that was left stays: others may wait there.
        self._links: dict[int, AsyncLink] = {}
        self._places = asyncio.Semaphore(REQUESTS_IN_FLIGHT_MAX)
        #: Watches wait for long; they must leave room for the others.
        self._places_of_watches = asyncio.Semaphore(WATCHES_IN_FLIGHT_MAX)
        self._closing = asyncio.Event()
        #: How many calls there are, and whether there is none.
        self._calls = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    async def run(
        self,
        session: Session,
        operations: Sequence[Operation],
        patience: Patience,
        *,
        retry_writes: bool,
    ) -> Results:
        """The results of these operations, from whichever node gives them."""
        self._expect_own_loop()
        if self._is_closed:
            raise InvalidRequest("this client is closed")
        async with self._call(), self._place(operations, patience) as waited_s:
            id_ = os.urandom(REQUEST_ID_BYTES) if retry_writes else None
            left, now_s = patience.after(waited_s), time.monotonic()
            course = Course(self.endpoints, operations, left, now_s, jitter, id_=id_)
            while True:
                await self._pause(course.attempt.pause_s)
                try:
                    return await self._tried(session, course)
                except KvnodeError as error:
                    if self._is_closed:
                        raise (course.doubt or error) from None
                    course.fail(error, time.monotonic())

    async def close(self) -> None:
        """Close all; who waits for an answer is told that it may have happened, and who waits for a
        connection that nothing was sent. When it returns they have all been told."""
        self._is_closed = True
        self._leave_parent()
        self._closing.set()
        while self._links:
            self._links.popitem()[1].close()
        if self._loop is asyncio.get_running_loop():
            await self._is_idle.wait()

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        self._calls += 1
        self._is_idle.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._is_idle.set()

    async def _pause(self, pause_s: float) -> None:
        if pause_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._closing.wait()

    @asynccontextmanager
    async def _place(
        self, operations: Sequence[Operation], patience: Patience
    ) -> AsyncIterator[float]:
        """A place among those that may be on their way at once, and for how long the call waited
        for it: no longer than it may take."""
        places = [self._places]
        if follows_changes(operations, patience.wait_s):
            places.insert(0, self._places_of_watches)
        held = []
        is_full = any(place.locked() for place in places)
        start_s = time.monotonic()
        try:
            try:
                async with asyncio.timeout(patience.timeout_s):
                    for place in places:
                        await place.acquire()
                        held.append(place)
            except TimeoutError:
                raise no_place(
                    patience.timeout_s, REQUESTS_IN_FLIGHT_MAX, WATCHES_IN_FLIGHT_MAX
                ) from None
            if self._is_closed:
                raise closed_before()
            yield time.monotonic() - start_s if is_full else 0.0
        finally:
            for place in held:
                place.release()

    async def _tried(self, session: Session, course: Course) -> Results:
        if self._is_closed:
            raise closed_before()
        attempt = course.attempt
        link = self._link_to(attempt.at)
        if (question := course.question) is not None:
            try:
                course.learn(await link.ask(session, question, attempt))
            except IndefiniteError as error:
                if self._is_closed:
                    raise
                message = f"{link.address} does not say who it is, and nothing was sent"
                raise Unreachable(f"{message}: {error}") from None
        return course.results(await link.ask(session, course.request(), attempt))

    def _link_to(self, at: int) -> AsyncLink:
        if at not in self._links:
            addresses = self.endpoints.addresses
            self._links[at] = AsyncLink(
                addresses[at], self._given_up, has_others=len(addresses) > 1
            )
        return self._links[at]

    def _expect_own_loop(self) -> None:
        self._leave_parent()
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise InvalidRequest("this client belongs to another event loop: make one in this")
        self._loop = loop

    def _leave_parent(self) -> None:
        """The links of the process that this one was forked from stay as they are, and are kept:
        they are in use there, and so is the loop that listens to them."""
        if self._process != os.getpid():
            _inherited.append(self._links)
            self._begin()


_inherited: list[dict[int, AsyncLink]] = []
