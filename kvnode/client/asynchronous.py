"""The asyncio client: the methods of `Client`, as coroutines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from kvnode.client import arguments
from kvnode.client.addresses import addresses_of
from kvnode.client.async_connection import AsyncConnection
from kvnode.client.async_watches import AsyncWatch
from kvnode.client.call import Call
from kvnode.client.calls import Calls, Resolver
from kvnode.client.failover import Endpoints
from kvnode.client.methods import as_method, called, written
from kvnode.client.pipeline import AsyncPipeline
from kvnode.client.scans import Page
from kvnode.client.session import Session
from kvnode.client.writes import Key
from kvnode.errors import InvalidRequest

P = ParamSpec("P")
T = TypeVar("T")


def _asked(
    call: Callable[Concatenate[Calls, P], Call[T]],
) -> Callable[Concatenate[AsyncClientSession, P], Coroutine[Any, Any, T]]:
    async def method(client: AsyncClientSession, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await client._make(call(client._calls, *args, **kwargs))

    return as_method(method, call)


def _iterated(
    call: Callable[Concatenate[Calls, P], Call[Page[T]]],
) -> Callable[Concatenate[AsyncClientSession, P], AsyncIterator[T]]:
    def method(
        client: AsyncClientSession, /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncIterator[T]:
        items = client._items(call(client._calls, *args, **kwargs))
        return called(items, written(call, args, kwargs), client.address)

    return as_method(method, call, "AsyncIterator[{}]")


class AsyncClientSession:
    """A session of its own over a client's connection: what `AsyncClient.session` gives."""

    def __init__(
        self,
        connection: AsyncConnection,
        calls: Calls,
        token: bytes | str | None,
        *,
        timeout_s: float,
        wait_s: float,
        retry_writes: bool,
    ) -> None:
        self.timeout_s = timeout_s
        self.wait_s = wait_s
        self.retry_writes = retry_writes
        self._calls = calls
        self._connection = connection
        #: What it has seen.
        self._seen = Session(token, connection.ids)

    def __repr__(self) -> str:
        nodes = len(self._connection.endpoints.addresses)
        others = f", one of {nodes} nodes" if nodes > 1 else ""
        return f"<{type(self).__name__} at {self.address}{others}>"

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
    entries = _iterated(Calls.entries)
    keys = _iterated(Calls.keys)
    count = _asked(Calls.count)
    forget = _asked(Calls.forget)
    ping = _asked(Calls.ping)
    status = _asked(Calls.status)
    members = _asked(Calls.members)
    fault = _asked(Calls.fault)
    backup = _asked(Calls.backup)

    @property
    def address(self) -> str:
        """The node that it is at: the one that is asked next."""
        return self._connection.endpoints.address

    @property
    def token(self) -> bytes | None:
        """What this session has seen, for `token=` of another; None if nothing yet. As text:
        `kvnode.printable`."""
        return self._seen.token

    def pipeline(
        self,
        *,
        replicas: int | None = None,
        timeout_s: float | None = None,
        wait_s: float | None = None,
    ) -> AsyncPipeline:
        """Collect operations and send them in one message: see `Pipeline`."""
        return AsyncPipeline(self, wait_s, replicas, timeout_s)

    def watch(self, prefix: Key = "", *, since: bytes | str | None = None) -> AsyncWatch:
        """Follow the changes of keys with the prefix, from now, or from where a token is: a
        session's, a change's, or that of an earlier watch. See `AsyncWatch`."""
        return AsyncWatch(self, prefix, since)

    async def _make(self, call: Call[T], session: Session | None = None) -> T:
        """Make a call, and those that it takes to know its result; in another session, if given."""
        while True:
            if self._seen.is_over:
                raise InvalidRequest("this session is over: begin another one")
            patience = call.patience(self.timeout_s, self.wait_s)
            results = (
                await self._connection.run(
                    session or self._seen, call.operations, patience, retry_writes=self.retry_writes
                )
                if call.operations
                else []
            )
            result = call.read(results)
            if not isinstance(result, Call):
                return result
            call = result

    async def _items(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """Those of one page after another, each asked for when the one before is used up."""
        following: Call[Page[T]] | None = call
        while following is not None:
            page = await self._make(following)
            following = page.following
            for item in page.items:
                yield item

    async def close(self) -> None:
        """End the session. The token stays readable; the connection is the client's."""
        self._seen.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class AsyncClient(AsyncClientSession):
    """A session with a node, or with whichever of several answers, for asyncio: see `Client` for
    its arguments.

    Any number of coroutines may share it: they are one session, and `session` makes others. Up to
    500 requests are on their way at once, the others wait their turn. The node runs those on data
    in the order of their making. It belongs to the event loop that uses it first; `async with`
    closes it.
    """

    def __init__(
        self,
        *addresses: str,
        timeout_s: float = 5.0,
        wait_s: float = 5.0,
        token: bytes | str | None = None,
        retry_writes: bool = False,
        resolver: Resolver | None = None,
    ) -> None:
        endpoints = Endpoints(addresses_of(addresses))
        # What is wrong is told before there is a connection to close.
        arguments.expect_of_client(timeout_s, wait_s, retry_writes)
        calls = Calls(resolver)
        Session(token)
        super().__init__(
            AsyncConnection(endpoints),
            calls,
            token,
            timeout_s=timeout_s,
            wait_s=wait_s,
            retry_writes=retry_writes,
        )

    def session(self, token: bytes | str | None = None) -> AsyncClientSession:
        """Another session over this connection, for one user of many: with this token, or else
        after all that the client has seen. What it sees then is its own: the client's token does
        not change."""
        return AsyncClientSession(
            self._connection,
            self._calls,
            self.token if token is None else token,
            timeout_s=self.timeout_s,
            wait_s=self.wait_s,
            retry_writes=self.retry_writes,
        )

    async def close(self) -> None:
        """Close the connection, and end all sessions over it; what still waits for an answer may
        have happened, what waits for a connection did not, and both are told so. The token stays
        readable."""
        await self._connection.close()
