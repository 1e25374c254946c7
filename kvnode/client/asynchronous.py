"""The asyncio client: the methods of `Client`, as coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import zmq
import zmq.asyncio

from kvnode.client.calls import CALLS, Call, Calls
from kvnode.client.methods import as_method
from kvnode.client.pipeline import AsyncPipeline
from kvnode.client.session import Request, Session, decoded_answer
from kvnode.client.sync import DEFAULT_ADDRESS
from kvnode.codec.client import Operation
from kvnode.errors import (
    InvalidRequest,
    KvnodeError,
    Overloaded,
    TimedOut,
    Unreachable,
    UnreadableAnswer,
)
from kvnode.transport.sockets import ANSWERS_HIGH_WATER, dealer, tcp_address

P = ParamSpec("P")
T = TypeVar("T")

#: What the answer to a request becomes.
Results = list[list[Any]]


def _asked(
    call: Callable[Concatenate[Calls, P], Call[T]],
) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    async def method(client: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await client.make(call(CALLS, *args, **kwargs))

    return as_method(method, call)


class AsyncClient:
    """A session with one node, for asyncio: see `Client` for its arguments.

    Any number of coroutines may share it; they are one session, and the node runs their requests in
    the order of their making. Made and used in one event loop; `async with` closes it.
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
        self._context = zmq.asyncio.Context()
        try:
            self._socket = dealer(self._context, self.address)
        except zmq.ZMQError as error:
            self._context.term()
            raise InvalidRequest(f"{address!r} is no address of a node: {error}") from None
        self._waiting: dict[int, tuple[Request, asyncio.Future[Results]]] = {}
        self._reader: asyncio.Task[None] | None = None

    put = _asked(Calls.put)
    put_many = _asked(Calls.put_many)
    delete = _asked(Calls.delete)
    delete_many = _asked(Calls.delete_many)
    transact = _asked(Calls.transact)
    get = _asked(Calls.get)
    get_many = _asked(Calls.get_many)
    read = _asked(Calls.read)
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

    def pipeline(self, *, wait_s: float | None = None) -> AsyncPipeline:
        """Collect operations and send them in one message: see `Pipeline`."""
        return AsyncPipeline(self, wait_s)

    async def make(self, call: Call[T]) -> T:
        """Make a call, and those that it takes to know its result."""
        while True:
            wait_s = self.wait_s if call.wait_s is None else call.wait_s
            results = await self._run(call.operations, wait_s) if call.operations else []
            result = call.read(results)
            if not isinstance(result, Call):
                return result
            call = result

    async def close(self) -> None:
        """Close the connection; what still waits for an answer is cancelled. The token stays
        readable."""
        for _, future in self._waiting.values():
            future.cancel()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        self._socket.close()
        self._context.term()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _run(self, operations: Sequence[Operation], wait_s: float) -> Results:
        if len(self._waiting) >= ANSWERS_HIGH_WATER:
            raise Overloaded(f"{ANSWERS_HIGH_WATER} requests wait for their answers already")
        request = self._session.request(operations, wait_s)
        future: asyncio.Future[Results] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = request, future
        try:
            await self._send(request)
            if self._reader is None:
                self._reader = asyncio.create_task(self._read())
            patience_s = wait_s + self.timeout_s
            try:
                return await asyncio.wait_for(future, patience_s)
            except TimeoutError:
                message = f"no answer from {self.address} within {patience_s:g} s"
                raise TimedOut(message) from None
        finally:
            del self._waiting[request.id]

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
