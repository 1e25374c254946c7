"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

import zmq

from kvnode.client.calls import CALLS, Call, Calls
from kvnode.client.methods import as_method
from kvnode.client.pipeline import Pipeline
from kvnode.client.scans import Page
from kvnode.client.session import Request, Session
from kvnode.codec.client import Operation
from kvnode.errors import InvalidRequest, TimedOut, Unreachable, UnreadableAnswer
from kvnode.transport.sockets import dealer, receive_frames, tcp_address

DEFAULT_ADDRESS: Final = "tcp://127.0.0.1:7411"

P = ParamSpec("P")
T = TypeVar("T")


def _asked(call: Callable[Concatenate[Calls, P], Call[T]]) -> Callable[Concatenate[Client, P], T]:
    def method(client: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return client.make(call(CALLS, *args, **kwargs))

    return as_method(method, call)


def _iterated(
    call: Callable[Concatenate[Calls, P], Call[Page[T]]],
) -> Callable[Concatenate[Client, P], Iterator[T]]:
    def method(client: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return client._items(call(CALLS, *args, **kwargs))

    return as_method(method, call)


class Client:
    """A session with one node.

    `address` is the node's request address, `tcp://host:port` or `host:port`. `timeout_s`
    bounds how long an answer may take beside the time that the node may spend waiting for
    the session's past, which is `wait_s`; with 0 a node that is behind answers at once,
    and `Delayed` is raised. A write that waits for replicas may take its own `timeout_s` more.
    `token` carries on a session begun elsewhere.

    A client belongs to one thread. Its errors are in `kvnode.errors`: definite ones say
    that the operation surely did not happen.
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
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._socket = dealer(self._context, self.address)
        except zmq.ZMQError as error:
            self._context.term()
            raise InvalidRequest(f"{address!r} is no address of a node: {error}") from None

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
        """What this session has seen, for `Client(token=...)`; None if nothing yet."""
        return self._session.token

    def pipeline(
        self,
        *,
        replicas: int | None = None,
        timeout_s: float | None = None,
        wait_s: float | None = None,
    ) -> Pipeline:
        """Collect operations and send them in one message: see `Pipeline`."""
        return Pipeline(self, wait_s, replicas, timeout_s)

    def make(self, call: Call[T]) -> T:
        """Make a call, and those that it takes to know its result."""
        while True:
            wait_s = self.wait_s if call.wait_s is None else call.wait_s
            held_s = call.held_s or 0
            results = self._run(call.operations, wait_s, held_s) if call.operations else []
            result = call.read(results)
            if not isinstance(result, Call):
                return result
            call = result

    def close(self) -> None:
        """Close the connection. The token stays readable."""
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _items(self, call: Call[Page[T]]) -> Iterator[T]:
        """Those of one page after another, each asked for when the one before is used up."""
        following: Call[Page[T]] | None = call
        while following is not None:
            page = self.make(following)
            following = page.following
            yield from page.items

    def _run(
        self, operations: Sequence[Operation], wait_s: float, held_s: float
    ) -> list[list[Any]]:
        if self._socket.closed:
            raise InvalidRequest("this client is closed")
        request = self._session.request(operations, wait_s)
        if not self._socket.poll(int(self.timeout_s * 1000), zmq.POLLOUT):
            raise Unreachable(f"no connection to {self.address} within {self.timeout_s} s")
        try:
            self._socket.send(request.payload, zmq.NOBLOCK)
        except zmq.Again:
            raise Unreachable(f"the connection to {self.address} was lost") from None
        return self._receive(request, wait_s + held_s + self.timeout_s)

    def _receive(self, request: Request, patience_s: float) -> list[list[Any]]:
        give_up = time.monotonic() + patience_s
        while (left_s := give_up - time.monotonic()) > 0:
            if not self._socket.poll(max(1, int(left_s * 1000))):
                break
            frames = receive_frames(self._socket, 1)
            if not frames:
                raise UnreadableAnswer(f"{self.address} does not speak kvnode's protocol")
            results = self._session.results(request, frames[0])
            if results is not None:
                return results
        raise TimedOut(f"no answer from {self.address} within {patience_s:g} s")
