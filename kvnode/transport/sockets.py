"""The sockets of a node and of a client.

    ROUTER   a node's requests: from clients, and from peers that pull
    PUB      a node's gossip to all peers
    SUB      all peers' gossip to a node
    DEALER   a client's, or a pulling peer's, end of a ROUTER

A request is one frame, after the sender's identity; REQ's empty delimiter is accepted.
"""

from __future__ import annotations

import socket as tcp
import struct
from typing import Any, Final, NamedTuple, TypeVar

import zmq

from kvnode.codec.packing import MESSAGE_BYTES_MAX

#: Requests of one client that wait in our memory; what is beyond waits in its own.
REQUESTS_HIGH_WATER: Final = 256

#: Answers that wait for one client; what is beyond is dropped, since a client that does not read
#: must not fill our memory.
ANSWERS_HIGH_WATER: Final = 1_000

#: Requests that a client may have in flight. ZeroMQ counts what was read from a queue only in
#: steps of half its high-water mark, so that the other half may be taken for unread.
REQUESTS_IN_FLIGHT_MAX: Final = ANSWERS_HIGH_WATER // 2

#: Of these the watches, which wait for long: the others must not wait for them.
WATCHES_IN_FLIGHT_MAX: Final = REQUESTS_IN_FLIGHT_MAX * 4 // 5

#: Gossip that waits for one subscriber, at most GOSSIP_BYTES_MAX each: what a turn of many writes
#: makes at once. Beyond it frames are dropped, and the subscriber pulls.
GOSSIP_HIGH_WATER: Final = 256

#: Twice the limit of a message: what is between gets an error as an answer; what is
#: beyond ends the connection before it fills our memory.
FRAME_BYTES_MAX: Final = 2 * MESSAGE_BYTES_MAX

#: A connection whose other side does not acknowledge anything for so long is dead, though no packet
#: said so. The kernel probes it where it is idle. ZeroMQ's own heartbeats would end one on which no
#: whole message comes, but a large one may be on its way, for as long as the link needs for it.
PROBE_INTERVAL_S: Final = 5
PROBE_TIMEOUT_S: Final = 120

#: Where a socket listens at all numbers of its machine.
_ALL_NUMBERS: Final = ("0.0.0.0", "[::]")

RECONNECT_MS: Final = 50
RECONNECT_MAX_MS: Final = 2_000

Socket = zmq.Socket[bytes]
#: Also one of asyncio's.
AnySocket = TypeVar("AnySocket", bound=zmq.Socket[Any])
Context = zmq.Context[zmq.Socket[bytes]]

#: A connection did not come about, or ended.
_NOT_ACCEPTED: Final = int(zmq.EVENT_CLOSED)
_DROPPED: Final = int(zmq.EVENT_DISCONNECTED)

#: What a monitor sends first: an event and its value.
_EVENT: Final = struct.Struct("=hi")

# Plain numbers: as enumerations they would cost as much as the calls that take them.
_NOBLOCK: Final = int(zmq.NOBLOCK)
_NOBLOCK_MORE: Final = int(zmq.NOBLOCK) | int(zmq.SNDMORE)
_CONNECTED: Final = int(zmq.POLLOUT) | int(zmq.POLLIN)
_RCVMORE: Final = int(zmq.RCVMORE)


def tcp_address(text: str) -> str:
    """`host:port` is short for `tcp://host:port`."""
    return text if "://" in text else f"tcp://{text}"


def bound(context: Context, kind: int, address: str) -> Socket:
    """A ROUTER or PUB that listens. Raises zmq.ZMQError."""
    socket = _socket(context, kind)
    socket.setsockopt(zmq.IPV6, _is_ipv6(address))
    if kind == zmq.ROUTER:
        # Without it an answer to a client that is gone would be dropped unseen.
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    try:
        socket.bind(address)
    except zmq.ZMQError:
        socket.close(linger=0)
        raise
    return socket


def is_bound_at(endpoint: str, address: str) -> bool:
    """Whether a socket that is bound at this endpoint is what listens at an address, which has a
    number."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    bound_host, _, bound_port = endpoint.removeprefix("tcp://").rpartition(":")
    if port != bound_port or bound_host not in (host, *_ALL_NUMBERS):
        return False
    family = tcp.AF_INET6 if host.startswith("[") else tcp.AF_INET
    with tcp.socket(family, tcp.SOCK_DGRAM) as probe:
        try:
            probe.bind((host.strip("[]"), 0))  # only to a number of this machine
        except OSError:
            return False
    return True


def subscriber(context: Context) -> Socket:
    """A SUB to connect to peers."""
    socket = _socket(context, zmq.SUB)
    socket.setsockopt(zmq.SUBSCRIBE, b"")
    return socket


def dealer(context: zmq.Context[AnySocket], address: str) -> AnySocket:
    """A DEALER that is connecting, and again whenever its connection is lost or does not come
    about. Raises zmq.ZMQError for an address that can't be.

    It sends only over a connection that is there: what can't be sent surely was not.
    """
    socket = _socket(context, zmq.DEALER)
    socket.setsockopt(zmq.IMMEDIATE, 1)
    try:
        connect(socket, address)
    except zmq.ZMQError:
        socket.close(linger=0)
        raise
    return socket


class Attempt:
    """A DEALER that connects once, if at all, and tells how that ended. It must be closed: see
    `close`."""

    def __init__(self, context: Context, address: str) -> None:
        """Raises zmq.ZMQError for an address that can't be."""
        self.socket = _socket(context, zmq.DEALER)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.RECONNECT_IVL, -1)
        # It has one event at the most, so that nobody need read it.
        self._monitor: Socket | None = self.socket.get_monitor_socket(_NOT_ACCEPTED | _DROPPED)
        try:
            connect(self.socket, address)
        except zmq.ZMQError:
            self.close(0)
            raise

    def failure(self) -> str | None:
        """Why there is no connection; None if there is one, or may yet be."""
        frames = None if self._monitor is None else receive_frames(self._monitor, 2)
        if not frames:
            return None
        event, _ = _EVENT.unpack(frames[0])
        if event == _NOT_ACCEPTED:
            return "it was refused, or no way leads there; is a node running at that address?"
        return "it was accepted and dropped; is that where a node takes requests?"

    def succeed(self) -> None:
        """There is a connection: nobody asks why not."""
        if self._monitor is not None:
            # In this order: libzmq's thread waits for ever to tell an event to nobody.
            self.socket.disable_monitor()
            self._monitor.close(linger=0)
            self._monitor = None

    def close(self, linger_ms: int) -> None:
        """Close it; what was sent has so long to leave."""
        self.succeed()
        self.socket.close(linger_ms)


def is_connected(socket: zmq.Socket[Any]) -> bool:
    """Whether a DEALER of ours has a connection, or something to read that came over one. What was
    sent over one that is gone is not answered any more: another connection is another client to the
    node."""
    # `get` and no other: for asyncio it is this that also sees to what came meanwhile.
    return bool(int(socket.get(zmq.EVENTS)) & _CONNECTED)


class Return(NamedTuple):
    """Where an answer goes."""

    identity: bytes
    #: Whether the client is a REQ, which wants an empty frame first.
    delimited: bool


def receive_request(router: Socket) -> tuple[Return, bytes | None] | None:
    """The next request, None if there is none now; its payload is None if misframed."""
    try:
        identity = router.recv(_NOBLOCK)
    except zmq.Again:
        return None
    payload = router.recv()  # ROUTER puts the identity before at least one frame
    more = router.get(_RCVMORE)
    delimited = bool(more) and not payload
    if delimited:
        payload = router.recv()
        more = router.get(_RCVMORE)
    if more:
        skip_message(router)
        return Return(identity, delimited), None
    return Return(identity, delimited), payload


def send_answer(router: Socket, to: Return, payload: bytes) -> bool:
    """Send without waiting; False if the client is gone or does not read its answers."""
    try:
        router.send(to.identity, _NOBLOCK_MORE)
        if to.delimited:
            router.send(b"", _NOBLOCK_MORE)
        router.send(payload, _NOBLOCK)
    except zmq.ZMQError as error:
        if error.errno in (zmq.EAGAIN, zmq.EHOSTUNREACH):
            return False
        raise
    return True


def receive_frames(socket: Socket, count: int) -> list[bytes] | None:
    """The next message of a SUB or DEALER, None if there is none now.

    One with another number of frames comes back as an empty list.
    """
    try:
        frames = [socket.recv(_NOBLOCK)]
    except zmq.Again:
        return None
    while socket.get(_RCVMORE) and len(frames) < count:
        frames.append(socket.recv())
    if socket.get(_RCVMORE):
        skip_message(socket)
        return []
    return frames if len(frames) == count else []


def skip_message(socket: Socket) -> None:
    """Read the rest of a message; libzmq hands out whole ones, so nothing waits here."""
    while socket.get(_RCVMORE):
        socket.recv(copy=False)


def connect(socket: zmq.Socket[Any], address: str) -> None:
    """Connect to an address of either family. Raises zmq.ZMQError."""
    socket.setsockopt(zmq.IPV6, _is_ipv6(address))
    socket.connect(address)


def _is_ipv6(address: str) -> int:
    # On for all, it would resolve names to IPv6 first, and never try the other.
    return int("[" in address)


def _socket(context: zmq.Context[AnySocket], kind: int) -> AnySocket:
    socket = context.socket(kind)
    gossip = kind in (zmq.PUB, zmq.SUB)
    options: dict[Any, int] = {
        zmq.SNDHWM: GOSSIP_HIGH_WATER if gossip else ANSWERS_HIGH_WATER,
        zmq.RCVHWM: GOSSIP_HIGH_WATER if gossip else REQUESTS_HIGH_WATER,
        zmq.MAXMSGSIZE: FRAME_BYTES_MAX,
        zmq.LINGER: 0,
        zmq.RECONNECT_IVL: RECONNECT_MS,
        zmq.RECONNECT_IVL_MAX: RECONNECT_MAX_MS,
        zmq.TCP_KEEPALIVE: 1,
        zmq.TCP_KEEPALIVE_IDLE: PROBE_INTERVAL_S,
        zmq.TCP_KEEPALIVE_INTVL: PROBE_INTERVAL_S,
        zmq.TCP_KEEPALIVE_CNT: PROBE_TIMEOUT_S // PROBE_INTERVAL_S - 1,
        zmq.TCP_MAXRT: 1000 * PROBE_TIMEOUT_S,
    }
    for option, value in options.items():
        socket.setsockopt(option, value)
    return socket
