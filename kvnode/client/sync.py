"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import zmq

from kvnode.client.session import (
    Request,
    Session,
    Version,
    packed_key,
    packed_name,
    packed_value,
    raise_error,
    unpacked_dot,
    unpacked_members,
    unpacked_name,
    unpacked_status,
    unpacked_versions,
)
from kvnode.codec import client as ask
from kvnode.core.vector import Dot
from kvnode.errors import InvalidRequest, TimedOut, Unreachable, UnreadableAnswer
from kvnode.transport.sockets import dealer, receive_frames, tcp_address

DEFAULT_ADDRESS: Final = "tcp://127.0.0.1:7411"


class Client:
    """A session with one node.

    `address` is the node's request address, `tcp://host:port` or `host:port`. `timeout_s`
    bounds how long an answer may take beside the time that the node may spend waiting for
    the session's past, which is `wait_s`; with 0 a node that is behind answers at once,
    and `Delayed` is raised. `token` carries on a session begun elsewhere.

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

    @property
    def token(self) -> bytes | None:
        """What this session has seen, for `Client(token=...)`; None if nothing yet."""
        return self._session.token

    def put(self, key: str | bytes, value: Any, *, wait_s: float | None = None) -> Dot:
        """Write any msgpack value; the dot of the write. It is on the node's disk then."""
        return unpacked_dot(self._one(ask.put(packed_key(key), packed_value(value)), wait_s))

    def get(self, key: str | bytes, default: Any = None, *, wait_s: float | None = None) -> Any:
        """The value of a key, of its winner if there are siblings; else the default."""
        versions, _ = unpacked_versions(self._one(ask.get(packed_key(key)), wait_s))
        return versions[0].value if versions else default

    def get_many(
        self, keys: Sequence[str | bytes], default: Any = None, *, wait_s: float | None = None
    ) -> list[Any]:
        """The values of up to 1024 keys, of 12 MiB together, as the node had them at one moment."""
        if not keys:
            return []
        asked = [ask.get(packed_key(key)) for key in keys]
        results = self._run(asked, self.wait_s if wait_s is None else wait_s)
        if len(results) != len(keys):
            raise UnreadableAnswer(f"{self.address} gave {len(results)} results for {len(keys)}")
        found = [unpacked_versions(result)[0] for result in results]
        return [versions[0].value if versions else default for versions in found]

    def read(self, key: str | bytes, *, wait_s: float | None = None) -> tuple[Version, ...]:
        """All versions of a key, the winner first; more than one are concurrent siblings.

        Siblings beyond what one answer holds (12 MiB) are read by further requests; what is
        written between these may show.
        """
        versions, more = unpacked_versions(self._one(ask.read(packed_key(key), 0), wait_s))
        while more:
            result = self._one(ask.read(packed_key(key), len(versions)), wait_s)
            further, more = unpacked_versions(result)
            versions += further
        return versions

    def delete(self, key: str | bytes, *, wait_s: float | None = None) -> Dot:
        """Delete what is visible at the node; concurrent writes stay. The write's dot."""
        return unpacked_dot(self._one(ask.delete(packed_key(key)), wait_s))

    def ping(self) -> str:
        """The node's name. Raises Unavailable while it takes no writes, also if reads go on."""
        return unpacked_name(self._one(ask.PING, 0))

    def status(self) -> dict[str, Any]:
        """What the node knows of itself: see docs/PROTOCOL.md for the fields."""
        return unpacked_status(self._one(ask.STATUS, 0))

    def members(self) -> list[dict[str, Any]]:
        """The members of the cluster as the node knows them, itself included: see
        docs/PROTOCOL.md for the fields."""
        return unpacked_members(self._one(ask.MEMBERS, 0))

    def forget(self, name: str, *, wait_s: float | None = None) -> Dot:
        """Make a node that is gone for good no member any more, so that nothing waits for
        it. Refused while it is alive. Should it come back after all, it joins anew, and
        nothing that it wrote is lost."""
        return unpacked_dot(self._one(ask.forget(packed_name(name)), wait_s))

    def fault(self, peer: str, channel: str, action: str) -> None:
        """Hold, drop or pass (`action`) what the node gets from a peer by `gossip` or
        `repair` (`channel`). Refused unless the node was started with --allow-faults."""
        raise_error(self._one(ask.fault(peer, channel, action), 0))

    def backup(self, name: str) -> dict[str, Any]:
        """Have the node copy what it has into a directory of that name beside its data:
        where it is, and what it has. Refused if there is such a backup already."""
        return unpacked_status(self._one(ask.backup(name), 0))

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

    def _one(self, operation: ask.Operation, wait_s: float | None) -> list[Any]:
        results = self._run([operation], self.wait_s if wait_s is None else wait_s)
        if len(results) != 1:
            raise UnreadableAnswer(f"{self.address} gave {len(results)} results for one operation")
        return results[0]

    def _run(self, operations: Sequence[ask.Operation], wait_s: float) -> list[list[Any]]:
        request = self._session.request(operations, wait_s)
        if not self._socket.poll(int(self.timeout_s * 1000), zmq.POLLOUT):
            raise Unreachable(f"no connection to {self.address} within {self.timeout_s} s")
        try:
            self._socket.send(request.payload, zmq.NOBLOCK)
        except zmq.Again:
            raise Unreachable(f"the connection to {self.address} was lost") from None
        return self._receive(request, wait_s + self.timeout_s)

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
