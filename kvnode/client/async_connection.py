"""The asyncio client's connections: to each node that it was at, opened when it comes there."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from itertools import count

import zmq
import zmq.asyncio

from kvnode.client.connection import jitter
from kvnode.client.failover import Attempt, Course, Endpoints, Patience, Results
from kvnode.client.hosts import expect_addresses, opened
from kvnode.client.late import GivenUp
from kvnode.client.session import Request, Session, decoded_answer
from kvnode.codec.client import REQUEST_ID_BYTES, Operation
from kvnode.errors import (
    IndefiniteError,
    InvalidRequest,
    KvnodeError,
    TimedOut,
    Unreachable,
    UnreadableAnswer,
)
from kvnode.transport.sockets import (
    REQUESTS_IN_FLIGHT_MAX,
    WATCHES_IN_FLIGHT_MAX,
    is_connected,
)

#: How often to see whether the connection is still there while an answer is awaited.
LOOK_AGAIN_S = 0.1


class AsyncLink:
    """A connection to one node, and who waits for an answer over it."""

    def __init__(self, address: str, given_up: GivenUp) -> None:
        self.address = address
        self._given_up = given_up
        # The context is everybody's, and never ended: who forgets to close a client leaves a
        # socket to the garbage collector, and to end a context of its own would wait for that.
        self._socket = opened(zmq.asyncio.Context.instance(), address)
        self._waiting: dict[int, tuple[Session, Request, asyncio.Future[Results]]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    async def ask(
        self, session: Session, operations: Sequence[Operation], attempt: Attempt
    ) -> Results:
        """Send a request and wait for its results."""
        request = session.request(operations, attempt.wait_s)
        future: asyncio.Future[Results] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = session, request, future
        try:
            async with self._sending:  # who came first is sent first
                await self._send(request, attempt.connect_s)
            return await self._answer(future, attempt)
        except (TimedOut, asyncio.CancelledError):
            self._given_up.add(request.id, session)
            raise
        finally:
            del self._waiting[request.id]

    async def close(self, error: KvnodeError) -> None:
        """Close it; who still waits gets the error."""
        self._fail_all(error)
        reader = self._reader
        if reader is not None and reader.get_loop() is asyncio.get_running_loop():
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        self._socket.close()

    async def _connected(self, patience_s: float) -> bool:
        """Wait for a connection; whether there is one."""
        wait_ms = int(patience_s * 1000)
        try:
            return bool(await self._socket.poll(wait_ms, zmq.POLLOUT))  # type: ignore[call-arg]  # it has flags
        except (zmq.ZMQError, asyncio.CancelledError):
            task = asyncio.current_task()
            if not self._socket.closed or (task is not None and task.cancelling()):
                raise
            return False

    async def _send(self, request: Request, connect_s: float) -> None:
        has_connection = await self._connected(connect_s)
        if self._socket.closed:
            raise Unreachable(f"closed before anything was sent to {self.address}")
        if not has_connection:
            raise Unreachable(f"no connection to {self.address} within {connect_s:.3g} s")
        try:
            await self._socket.send(request.payload, zmq.NOBLOCK)
        except zmq.Again:
            raise Unreachable(f"the connection to {self.address} was lost") from None

    async def _answer(self, future: asyncio.Future[Results], attempt: Attempt) -> Results:
        if future.done():  # the client was closed
            return future.result()
        if self._reader is None or self._reader.done():  # it is cancelled with all other tasks
            self._reader = asyncio.create_task(self._read())
        while (left_s := attempt.until_s - time.monotonic()) > 0:
            done, _ = await asyncio.wait({future}, timeout=min(left_s, LOOK_AGAIN_S))
            if done:
                return future.result()
            if not is_connected(self._socket):
                message = f"the connection to {self.address} was lost before it answered"
                raise TimedOut(message)
        raise TimedOut(f"no answer from {self.address} within {attempt.patience_s:.3g} s")

    async def _read(self) -> None:
        """Hand each answer to whom it is for; what can't be read is for all."""
        while True:
            frames = await self._socket.recv_multipart()
            try:
                self._take(frames)
            except KvnodeError as error:
                self._fail_all(error)

    def _fail_all(self, error: KvnodeError) -> None:
        for _, _, future in self._waiting.values():
            if not future.done():
                future.set_exception(error)
                future.exception()  # it may be that nobody looks

    def _take(self, frames: list[bytes]) -> None:
        if len(frames) != 1:
            raise UnreadableAnswer(f"{self.address} does not speak kvnode's protocol")
        answer = decoded_answer(frames[0])
        waiting = self._waiting.get(answer.id or 0)
        if waiting is None or waiting[2].done():
            self._given_up.take(answer)
            return
        session, request, future = waiting
        try:
            future.set_result(session.results_of(request, answer))
        except KvnodeError as error:
            future.set_exception(error)
            future.exception()


class AsyncConnection:
    """Sends the requests of any number of coroutines, of one event loop."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.endpoints = endpoints
        #: Of all requests of all sessions that share it.
        self.ids = count(1)
        expect_addresses(endpoints.addresses)
        self._given_up = GivenUp()
        #: By the numbers of their endpoints. One that was left stays: others may wait there.
        self._links: dict[int, AsyncLink] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._room = asyncio.Semaphore(REQUESTS_IN_FLIGHT_MAX)
        #: Watches wait for long; they must leave room for the others.
        self._room_for_watches = asyncio.Semaphore(WATCHES_IN_FLIGHT_MAX)
        self._is_closed = False

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
        id_ = os.urandom(REQUEST_ID_BYTES) if retry_writes else None
        if any(operation[0] == "watch" for operation in operations):
            async with self._room_for_watches:
                return await self._run(session, operations, patience, id_)
        return await self._run(session, operations, patience, id_)

    async def _run(
        self,
        session: Session,
        operations: Sequence[Operation],
        patience: Patience,
        id_: bytes | None,
    ) -> Results:
        async with self._room:
            course = Course(self.endpoints, operations, patience, time.monotonic(), jitter, id_=id_)
            while True:
                if course.attempt.pause_s:
                    await asyncio.sleep(course.attempt.pause_s)
                try:
                    return await self._tried(session, course)
                except KvnodeError as error:
                    if self._is_closed:
                        raise
                    course.fail(error, time.monotonic())

    async def close(self) -> None:
        """Close all; who waits for an answer is told that it may have happened, and who waits for a
        connection that nothing was sent."""
        self._is_closed = True
        while self._links:
            _, link = self._links.popitem()
            await link.close(IndefiniteError(f"closed before {link.address} answered"))

    async def _tried(self, session: Session, course: Course) -> Results:
        if self._is_closed:
            raise InvalidRequest("this client is closed")
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
            self._links[at] = AsyncLink(self.endpoints.addresses[at], self._given_up)
        return self._links[at]

    def _expect_own_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise InvalidRequest("this client belongs to another event loop: make one in this")
        self._loop = loop
