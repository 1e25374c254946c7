"""Sockets to nodes, so that a host of which no name server tells holds up nobody else.

ZeroMQ looks a name up whenever it connects, in the I/O thread that has the connection, and that
stands still until a name server has answered: for ten seconds and more where one is cut off from
it. So a socket to a host that goes by a name has a context for itself, and with it a thread; and
who closes it does not wait for the context's end.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from threading import BoundedSemaphore, Thread
from typing import Any, Final, cast

import zmq

from kvnode.errors import InvalidRequest, Unreachable
from kvnode.transport.addresses import host_of, named_host
from kvnode.transport.sockets import AnySocket, dealer

#: So many contexts may be on their way to their end. Who closes sockets faster than names are
#: looked up waits from then on, or the process would run out of files.
ENDING_MAX: Final = 32

_ending = BoundedSemaphore(ENDING_MAX)


def expect_addresses(addresses: Iterable[str]) -> None:
    """Raises InvalidRequest if one is no address of a node."""
    for address in addresses:
        if host_of(address) in (None, "*"):
            raise InvalidRequest(f"{address!r} is no address of a node; write HOST:PORT")


def opened(context: zmq.Context[AnySocket], address: str) -> AnySocket:
    """A DEALER that is connecting; by this context, if the host of the address has a number, else
    by one of the same type, which ends when the socket is forgotten. Raises Unreachable if the
    process may open no more."""
    try:
        if named_host(address) is None:
            return dealer(context, address)
        own = cast("zmq.Context[AnySocket]", type(context)())
        socket = dealer(own, address)
    except zmq.ZMQError as error:
        raise Unreachable(f"can't connect to {address}: {error}") from None
    weakref.finalize(socket, _end, own).atexit = False
    return socket


def _end(context: zmq.Context[Any]) -> None:
    _ending.acquire()
    Thread(target=_ended, args=(context, _ending), daemon=True).start()


def _ended(context: zmq.Context[Any], ending: BoundedSemaphore) -> None:
    try:
        context.term()
    finally:
        ending.release()


def _forked() -> None:
    """The threads that end contexts are the parent's."""
    global _ending
    _ending = BoundedSemaphore(ENDING_MAX)


os.register_at_fork(after_in_child=_forked)
