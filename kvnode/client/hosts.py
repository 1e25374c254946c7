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
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, cast

import zmq

from kvnode.errors import InvalidRequest, Unreachable
from kvnode.transport.addresses import host_of, named_host
from kvnode.transport.sockets import AnySocket, dealer

#: So many contexts may be on their way to their end. Who closes sockets faster than names are
#: looked up waits from then on, or the process would run out of files.
ENDING_MAX: Final = 32


def _tokens() -> SimpleQueue[None]:
    """One for each context that may yet be on its way."""
    tokens: SimpleQueue[None] = SimpleQueue()
    for _ in range(ENDING_MAX):
        tokens.put(None)
    return tokens


_room = _tokens()


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
        return dealer(context, address) if named_host(address) is None else _apart(context, address)
    except zmq.ZMQError as error:
        raise Unreachable(f"can't connect to {address}: {error}") from None


def _apart(context: zmq.Context[AnySocket], address: str) -> AnySocket:
    own = cast("zmq.Context[AnySocket]", type(context)())
    try:
        socket = dealer(own, address)
    except zmq.ZMQError:
        own.term()
        raise
    weakref.finalize(socket, _end, own).atexit = False
    return socket


def _end(context: zmq.Context[Any]) -> None:
    """The garbage collector may call it at any time: unlike a semaphore, this queue has no lock
    that the thread may be holding then."""
    _room.get()
    try:
        Thread(target=_ended, args=(context, _room), daemon=True).start()
    except RuntimeError:  # the machine has no room for one more thread
        _ended(context, _room)


def _ended(context: zmq.Context[Any], room: SimpleQueue[None]) -> None:
    try:
        context.term()
    finally:
        room.put(None)


def _forked() -> None:
    """The threads that end contexts are the parent's."""
    global _room
    _room = _tokens()


os.register_at_fork(after_in_child=_forked)
