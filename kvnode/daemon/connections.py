"""Connections that begin and end beneath the sockets, where no message tells of it.

A message above FRAME_BYTES_MAX ends its connection inside libzmq, as do bytes that are not
ZeroMQ's protocol. libzmq tells that a connection ended, but not by whose doing, and nearly always
it was a client that had nothing more to ask. So ends are counted, and only who looks for the reason
of one, at the level debug, is told of them.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Container, Mapping
from typing import Final

import zmq

from kvnode.core.limits import MIB
from kvnode.daemon.logs import Complaints
from kvnode.transport.sockets import FRAME_BYTES_MAX, Socket, receive_frames

#: Events read from one socket in one turn. What is beyond waits for the next turn: libzmq
#: keeps some 2,000 and then takes no more connections, nor messages, until they are read.
EVENTS_PER_TURN: Final = 1_000

#: Clients come and go all day, a health check every ten seconds: that is told now and then only.
ROUTINE_REPEAT_S: Final = 600.0

_BEGUN: Final = zmq.EVENT_ACCEPTED | zmq.EVENT_CONNECTED
_ENDED: Final = zmq.EVENT_DISCONNECTED
_LEFT_EARLY: Final = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
_NOT_SPOKEN: Final = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL

#: An event's first frame, by zmq_socket_monitor(3): what happened, and a value.
_EVENT: Final = struct.Struct("=HI")


class Connections:
    """Watches some sockets, by the names that status has for them."""

    def __init__(self, sockets: Mapping[str, Socket], complaints: Complaints) -> None:
        self._watched = {name: _Watched(socket, complaints) for name, socket in sockets.items()}

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """For status: `{"requests": {"begun": 3, "ended": 2, "failed": 1}}`."""
        return {
            name: {"begun": watched.begun, "ended": watched.ended, "failed": watched.failed}
            for name, watched in self._watched.items()
        }

    @property
    def monitors(self) -> list[Socket]:
        """The sockets to poll."""
        return [watched.monitor for watched in self._watched.values()]

    def receive(self, ready: Container[Socket]) -> None:
        """Read what happened from the monitors that are ready, within bounds."""
        for watched in self._watched.values():
            if watched.monitor in ready:
                watched.receive()

    def close(self) -> None:
        """Just before the context ends: an event that nobody would read holds up all that
        libzmq does, and `disable_monitor` may wait for that for ever."""
        for monitor in self.monitors:
            monitor.close()


class _Watched:
    """The connections of one socket."""

    def __init__(self, socket: Socket, complaints: Complaints) -> None:
        # Not that one could not be accepted: where file descriptors are out libzmq tries that again
        # at once and for ever, and to read of each try would leave the loop no time for requests.
        # `descriptors` tells of it.
        self.monitor = socket.get_monitor_socket(_BEGUN | _ENDED | _LEFT_EARLY | _NOT_SPOKEN)
        self.begun = 0
        self.ended = 0
        #: Of those that ended: how many before their handshake was done.
        self.failed = 0
        self._complaints = complaints
        # Who leaves early, or is cut off, is not at fault, and is told apart, and more seldom.
        self._quiet = Complaints(logging.INFO, ROUTINE_REPEAT_S)
        self._ends = Complaints(logging.DEBUG)

    def receive(self) -> None:
        for _ in range(EVENTS_PER_TURN):
            frames = receive_frames(self.monitor, 2)
            if not frames:
                break
            event, _ = _EVENT.unpack(frames[0])
            self._count(event, frames[1].decode())

    def _count(self, event: int, address: str) -> None:
        if event & _BEGUN:
            self.begun += 1
        elif event == _ENDED:
            self.ended += 1
            self._ends.add(
                "ended_connections",
                f"one at {address}: the other side left or fell silent, or sent a message above "
                f"{FRAME_BYTES_MAX // MIB} MiB or what is not ZeroMQ's protocol",
            )
        elif event == _NOT_SPOKEN:
            self.failed += 1
            what = f"what came to {address} is not ZeroMQ's protocol as we speak it"
            self._complaints.add("failed_handshakes", what)
        else:
            self.failed += 1
            what = f"one at {address} left or fell silent before it spoke ZeroMQ's protocol"
            self._quiet.add("failed_handshakes", what)
