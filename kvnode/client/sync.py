"""The synchronous client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from kvnode.client import arguments
from kvnode.client.addresses import addresses_of
from kvnode.client.call import Call
from kvnode.client.calls import Calls, Resolver
from kvnode.client.connection import Connection
from kvnode.client.failover import Endpoints
from kvnode.client.mapping import K, KeyMapping
from kvnode.client.methods import as_method, called, written
from kvnode.client.pipeline import Pipeline
from kvnode.client.scans import Page
from kvnode.client.session import Session
from kvnode.client.watches import Watch
from kvnode.client.writes import Key
from kvnode.errors import InvalidRequest

P = ParamSpec("P")
T = TypeVar("T")


def _asked(
    call: Callable[Concatenate[Calls, P], Call[T]],
) -> Callable[Concatenate[ClientSession, P], T]:
    def method(client: ClientSession, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return client._make(call(client._calls, *args, **kwargs))

    return as_method(method, call)


def _iterated(
    call: Callable[Concatenate[Calls, P], Call[Page[T]]],
) -> Callable[Concatenate[ClientSession, P], Iterator[T]]:
    def method(client: ClientSession, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        items = client._items(call(client._calls, *args, **kwargs))
        return called(items, written(call, args, kwargs), client.address)

    return as_method(method, call, "Iterator[{}]")


class ClientSession:
    """A session of its own over a client's connection: what `Client.session` gives."""

    def __init__(
        self,
        connection: Connection,
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
    ) -> Pipeline:
        """Collect operations and send them in one message: see `Pipeline`."""
        return Pipeline(self, wait_s, replicas, timeout_s)

    def watch(self, prefix: Key = "", *, since: bytes | str | None = None) -> Watch:
        """Follow the changes of keys with the prefix, from now, or from where a token is: a
        session's, a change's, or that of an earlier watch. See `Watch`."""
        return Watch(self, prefix, since)

    def mapping(self, prefix: K) -> KeyMapping[K]:
        """The keys with this prefix as a dictionary, without the prefix: see `KeyMapping`."""
        return KeyMapping(self, prefix)

    def _make(self, call: Call[T], session: Session | None = None) -> T:
        """Make a call, and those that it takes to know its result; in another session, if given."""
        while True:
            if self._seen.is_over:
                raise InvalidRequest("this session is over: begin another one")
            patience = call.patience(self.timeout_s, self.wait_s)
            results = (
                self._connection.run(
                    session or self._seen, call.operations, patience, retry_writes=self.retry_writes
                )
                if call.operations
                else []
            )
            result = call.read(results)
            if not isinstance(result, Call):
                return result
            call = result

    def _items(self, call: Call[Page[T]]) -> Iterator[T]:
        """Those of one page after another, each asked for when the one before is used up."""
        following: Call[Page[T]] | None = call
        while following is not None:
            page = self._make(following)
            following = page.following
            yield from page.items

    def close(self) -> None:
        """End the session. The token stays readable; the connection is the client's."""
        self._seen.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Client(ClientSession):
    """A session with a node, or with whichever of several answers.

    `addresses` are nodes' request addresses, `tcp://host:port`, `host:port`, or `host` for port
    7411. Without any it asks those of KVNODE_NODE, or else the node at 127.0.0.1. The client stays
    with one node as long as that answers. Else it goes on to the next with its token: for reads,
    and for writes that surely were not done; see the table in `kvnode.client.failover`.

    `timeout_s` bounds how long a call may take as a whole, all attempts together. Within that time
    a node may spend up to `wait_s` waiting for what the session has seen; with 0 a node that is
    behind answers at once, and `Delayed` is raised. A call of several requests, as `count`, has
    that time for each. `token` carries on a session begun elsewhere. With `retry_writes` a write
    that got no answer is asked for again at the same node, which makes it once.
    `resolver(key, versions)` makes a value of siblings, the winner first, for `get`, `get_many` and
    the reads of `transact`; it writes nothing.

    Threads may share a client, and a process that is forked may go on with it; a watch, a scan and
    a pipeline belong to one thread each. Its errors are in `kvnode.errors`: definite ones say
    that the operation surely did not happen.
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
            Connection(endpoints),
            calls,
            token,
            timeout_s=timeout_s,
            wait_s=wait_s,
            retry_writes=retry_writes,
        )

    def session(self, token: bytes | str | None = None) -> ClientSession:
        """Another session over this connection, for one user of many: with this token, or else
        after all that the client has seen. What it sees then is its own: the client's token does
        not change."""
        return ClientSession(
            self._connection,
            self._calls,
            self.token if token is None else token,
            timeout_s=self.timeout_s,
            wait_s=self.wait_s,
            retry_writes=self.retry_writes,
        )

    def close(self) -> None:
        """Close the connections, and end all sessions over them. What other threads wait for ends
        with an error that says whether it may have happened. The token stays readable."""
        self._connection.close()
