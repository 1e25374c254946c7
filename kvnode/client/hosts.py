"""Sockets to nodes, so that a host of which no name server tells holds up no other node.

ZeroMQ looks a name up whenever it connects, in the I/O thread that has the connection, and that
stands still until a name server has answered: for ten seconds and more where one is cut off from
it. So each name has an I/O thread for itself, in a context that is everybody's and is never ended:
to end it would be to wait for the name server as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import zmq

from kvnode.errors import InvalidRequest
from kvnode.transport.addresses import host_of, named_host
from kvnode.transport.sockets import AnySocket, dealer

#: So many names have threads of their own; what more a process knows must share these.
NAMES_APART: Final = 15

#: Of all clients of a process to hosts with names; more than it may have files open.
_SOCKETS_MAX: Final = 65_535


class _Names(zmq.Context[zmq.Socket[bytes]]):
    """Not the one that other parts of an application get by `zmq.Context.instance()`."""

    _instance = None


#: By host.
_threads: dict[str, int] = {}


def expect_addresses(addresses: Iterable[str]) -> None:
    """Raises InvalidRequest if one is no address of a node."""
    for address in addresses:
        if host_of(address) in (None, "*"):
            raise InvalidRequest(f"{address!r} is no address of a node; write HOST:PORT")


def opened(context: zmq.Context[AnySocket], address: str) -> AnySocket:
    """A DEALER that is connecting; it belongs to this context if the host of the address has a
    number. Raises InvalidRequest for an address that can't be."""
    host = named_host(address)
    try:
        if host is None:
            return dealer(context, address)
        names = _Names.instance(io_threads=NAMES_APART)
        names.set(zmq.MAX_SOCKETS, _SOCKETS_MAX)
        return dealer(type(context).shadow(names), address, threads=1 << _thread_of(host))
    except zmq.ZMQError as error:
        raise InvalidRequest(f"{address!r} is no address of a node: {error}") from None


def _thread_of(host: str) -> int:
    if host not in _threads and len(_threads) < NAMES_APART:
        _threads[host] = len(_threads)
    return _threads.get(host, sum(host.encode()) % NAMES_APART)
