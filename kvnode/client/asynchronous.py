"""The asyncio client: the methods of `Client`, as coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import zmq
import zmq.asyncio

from kvnode.client.calls import CALLS, Call, Calls
from kvnode.client.methods import as_method
from kvnode.client.pipeline import AsyncPipeline
from kvnode.client.scans import Page
from kvnode.client.session import Request, Session, decoded_answer
from kvnode.client.sync import DEFAULT_ADDRESS
from kvnode.codec.client import Operation
from kvnode.errors import (
    IndefiniteError,
    InvalidRequest,
    KvnodeError,
    TimedOut,
    Unreachable,
    UnreadableAnswer,
)
from kvnode.transport.sockets import REQUESTS_IN_FLIGHT_MAX, dealer, tcp_address

P = ParamSpec("P")
T = TypeVar("T")

#: What the answer to a request becomes.
Results = list[list[Any]]


def _asked(
    call: Callable[Concatenate[Calls, P], Call[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    async def method(client: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await client.make(call(CALLS, *args, **kwargs))

    return as_method(method, call)


def _iterated(
    call: Callable[Concatenate[Calls, P], Call[Page[T]]],
) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]:
    def method(client: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return client._items(call(CALLS, *args, **kwargs))

    return as_method(method, call)


class AsyncClient:
    """A session with one node, for asyncio: see `Client` for its arguments.

    Any number of coroutines may share it: they are one session. Up to 500 requests are on their
    way at once, the others wait their turn. The node runs those on data in the order of their
    making. It belongs to the event loop that uses it first; `async with` closes it.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout_s: float = 5.0,
        wait_s: float = 5.0,
        token: bytes | None = None,
    ) -> None:
        self.address = tcp_address(address)
        self.timeout_s = timeout_s
        self.wait_s = wait_s
        self._session = Session(token)
        try:
            # The context is everybody's, and never ended: who forgets to close a client leaves a
            # socket to the garbage collector, and to end a context of its own would wait for that.
            self._socket = dealer(zmq.asyncio.Context.instance(), self.address)
        except zmq.ZMQError as error:
            raise InvalidRequest(f"{address!r} is no address of a node: {error}") from None
        self._waiting: dict[int, tuple[Request, asyncio.Future[Results]]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._room = asyncio.Semaphore(REQUESTS_IN_FLIGHT_MAX)
        self._sending = asyncio.Lock()

    put = _asked(Calls.put)
    put_many = _asked(Calls.put_many)
    delete = _asked(Calls.delete)
    delete_many = _asked(Calls.delete_many)
    transact = _asked(Calls.transact)
    touch = _asked(Calls.touch)
    persist = _asked(Calls.persist)
    get = _asked(Calls.get)
    get_many = _asked(Calls.get_many)
    read = _asked(Calls.read)
    scan = _iterated(Calls.scan)
    keys = _iterated(Calls.keys)
    count = _asked(Calls.count)
    forget = _asked(Calls.forget)
    ping = _asked(Calls.ping)
    status = _asked(Calls.status)
    members = _asked(Calls.members)
    fault = _asked(Calls.fault)
    backup = _asked(Calls.backup)

    @property
    def token(self) -> bytes | None:
        """What this session has seen, for `AsyncClient(token=...)`; None if nothing yet."""
        return self._session.token

    def pipeline(
        self,
        *,
        replicas: int | None = None,
        timeout_s: float | None = None,
        wait_s: float | None = None,
    ) -> AsyncPipeline:
        """Collect operations and send them in one message: see `Pipeline`."""
        return AsyncPipeline(self, wait_s, replicas, timeout_s)

    async def make(self, call: Call[T]) -> T:
        """Make a call, and those that it takes to know its result."""
        while True:
            wait_s = self.wait_s if call.wait_s is None else call.wait_s
            held_s = call.held_s or 0
            results = await self._run(call.operations, wait_s, held_s) if call.operations else []
            result = call.read(results)
            if not isinstance(result, Call):
                return result
            call = result

    async def close(self) -> None:
        """Close the connection; what still waits for an answer may have happened, and is told so.
        The token stays readable."""
        self._fail_all(IndefiniteError(f"closed before {self.address} answered"))
        if self._reader is not None and self._loop is asyncio.get_running_loop():
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        self._socket.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _items(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """Those of one page after another, each asked for when the one before is used up."""
        following: Call[Page[T]] | None = call
        while following is not None:
            page = await self.make(following)
            following = page.following
            for item in page.items:
                yield item

    async def _run(self, operations: Sequence[Operation], wait_s: float, held_s: float) -> Results:
        loop = self._expect_own_loop()
        async with self._room:
            if self._socket.closed:
                raise InvalidRequest("this client is closed")
            request = self._session.request(operations, wait_s)
            future: asyncio.Future[Results] = loop.create_future()
            self._waiting[request.id] = request, future
            try:
                async with self._sending:  # who came first is sent first
                    await self._send(request)
                return await self._answer(future, wait_s + held_s + self.timeout_s)
            finally:
                del self._waiting[request.id]

    def _expect_own_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise InvalidRequest("this client belongs to another event loop: make one in this")
        self._loop = loop
        return loop

    async def _answer(self, future: asyncio.Future[Results], patience_s: float) -> Results:
        if self._reader is None or self._reader.done():  # it is cancelled with all other tasks
            self._reader = asyncio.create_task(self._read())
        try:
            return await asyncio.wait_for(future, patience_s)
        except TimeoutError:
            message = f"no answer from {self.address} within {patience_s:g} s"
            raise TimedOut(message) from None

    async def _send(self, request: Request) -> None:
        wait_ms = int(self.timeout_s * 1000)
        if not await self._socket.poll(wait_ms, zmq.POLLOUT):  # type: ignore[call-arg]  # it has flags
            raise Unreachable(f"no connection to {self.address} within {self.timeout_s} s")
        try:
            await self._socket.send(request.payload, zmq.NOBLOCK)
        except zmq.Again:
            raise Unreachable(f"the connection to {self.address} was lost") from None

    async def _read(self) -> None:
        """Hand each answer to whom it is for; what can't be read is for all."""
        while True:
            frames = await self._socket.recv_multipart()
            try:
                self._take(frames)
            except KvnodeError as error:
                self._fail_all(error)

    def _fail_all(self, error: KvnodeError) -> None:
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(error)

    def _take(self, frames: list[bytes]) -> None:
        if len(frames) != 1:
            raise UnreadableAnswer(f"{self.address} does not speak kvnode's protocol")
        answer = decoded_answer(frames[0])
        request, future = self._waiting.get(answer.id or 0, (None, None))
        if request is None or future is None or future.done():
            self._session.add(answer)
            return
        try:
            future.set_result(self._session.results_of(request, answer))
        except KvnodeError as error:
            future.set_exception(error)
