"""The gossip that a node subscribes to: one SUB, connected to the PUB of each peer.

ZeroMQ gives a connection up for good if the other side is no PUB, speaks another security
mechanism, or sent what could not be read. To disconnect and connect again is enough then: libzmq
4.3.5 makes a new connection, on the same socket.
"""

from __future__ import annotations

from collections.abc import Iterable

import zmq

from kvnode.daemon.logs import Complaints
from kvnode.daemon.names import Names
from kvnode.transport.sockets import Context, connect, subscriber


class Subscriptions:
    """Where gossip comes from."""

    def __init__(self, context: Context, names: Names, complaints: Complaints) -> None:
        self.socket = subscriber(context)
        self._names = names
        self._complaints = complaints
        self._connected: set[str] = set()

    def follow(self, addresses: Iterable[str]) -> None:
        """Be connected to all of these, as far as their hosts are known, once each: two peers may
        be one node."""
        wanted = {number for address in addresses for number in self._names.numbers(address)}
        for number in sorted(wanted - self._connected):
            self._connect(number)
        for number in sorted(self._connected - wanted):
            self.socket.disconnect(number)
            self._connected.discard(number)

    def renew(self, address: str) -> None:
        """Connect anew where nothing comes."""
        for number in self._names.numbers(address):
            if number in self._connected:
                self.socket.disconnect(number)
                self._connected.discard(number)
                self._connect(number)

    def close(self) -> None:
        """Hear no more."""
        self.socket.close()

    def _connect(self, number: str) -> None:
        try:
            connect(self.socket, number)
        except zmq.ZMQError as error:
            self._complaints.add("bad_addresses", f"{number!r}: {error}")
        else:
            self._connected.add(number)
