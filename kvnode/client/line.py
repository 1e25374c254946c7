"""A line: a socket to one node, which is made anew where it does not come to a connection.

libzmq connects again by itself, but not for ever: where the other side is no ROUTER, or has
another security mechanism, it gives up for good, and says so to nobody. Where a host goes by a
name, only a new socket goes where the name points by now. And whoever waits is to know at once that
nothing listens. So each socket connects just once.
"""

from __future__ import annotations

import os
import time
import warnings
import weakref
from threading import RLock
from typing import Final

import zmq

from kvnode.client.hosts import Lookup, looked_up, taken
from kvnode.errors import Unreachable
from kvnode.transport.addresses import named_host
from kvnode.transport.sockets import Attempt, Context, Socket, is_connected

#: How often whoever waits for a connection or an answer sees to the line.
LOOK_AGAIN_S: Final = 0.05

#: How long a socket that hears nothing has until it is made anew; then twice as long, up to the
#: maximum. A call shall live to see one made anew within the 5 s that it has.
PATIENCE_S: Final = 2.0
PATIENCE_MAX_S: Final = 4.0

#: One number of a named host has less, if a name has several, or has moved.
NAMED_PATIENCE_S: Final = 1.0

#: How long a node may be told, after a line is closed, that nobody waits any more.
LINGER_MS: Final = 1_000

#: The contexts of this process, and of those that it was forked from: never ended, since that waits
#: for all their sockets to be closed, and the garbage collector closes some of these in its own
#: time. Of another process's none may be touched: libzmq waits for a thread that is not there.
_contexts: dict[int, Context] = {}
_making = RLock()


def _forked() -> None:
    global _making
    _making = RLock()


os.register_at_fork(after_in_child=_forked)


def process_context() -> Context:
    """The context of all clients' sockets in this process."""
    pid = os.getpid()
    with _making:
        if pid not in _contexts:
            context: Context = zmq.Context()
            context.set(zmq.MAX_SOCKETS, context.get(zmq.SOCKET_LIMIT))
            _contexts[pid] = context
        return _contexts[pid]


def _forgotten(attempt: Attempt, process: int, address: str) -> None:
    """Of another process nothing may be touched."""
    if os.getpid() == process:
        attempt.close(LINGER_MS)
        warnings.warn(f"Unclosed client of {address}", ResourceWarning, stacklevel=2)


class Line:
    """Sees to it that there is a connection to an address, and tells whether there is."""

    def __init__(self, address: str) -> None:
        self.address = address
        #: None as long as the host's name is being looked up.
        self._attempt: Attempt | None = None
        #: Why the host is not known.
        self.trouble: str | None = None
        #: What is waited for if there is no socket.
        self.lookup: Lookup | None = None
        #: Closes the attempt where the line is forgotten: an attempt has two sockets, and of those
        #: that Python forgets it closes any first.
        self._forgotten: weakref.finalize[..., Line] | None = None
        self._host = named_host(address)
        self._numbers: list[str] = []
        self._made_s = 0.0
        self._was_connected = False
        self._first_patience_s = PATIENCE_S if self._host is None else NAMED_PATIENCE_S
        self._patience_s = self._first_patience_s

    def begin(self) -> None:
        """Somebody begins to use it: what failed before that is no news of what is there now, and
        the host may be elsewhere."""
        self._drop_closed()
        if self._attempt is not None and self._attempt.failure() is not None:
            self.close()
            self._numbers = []

    def tend(self, now_s: float) -> bool:
        """Whether there is a connection, or something to read that came over one. If not, and it
        is time for that, the socket is made anew. Raises Unreachable where the attempt to connect
        has failed since `begin`; what tends then begins another one."""
        self._drop_closed()
        if self._attempt is not None and is_connected(self._attempt.socket):
            self._was_connected = True
            self._patience_s = self._first_patience_s
            self._attempt.succeed()
            return True
        if self._attempt is not None and (why := self._attempt.failure()) is not None:
            self.close()
            if not self._numbers:
                raise Unreachable(f"no connection to {self.address}: {why}")
            self._make(now_s)
        elif self._is_due(now_s):
            self._make(now_s)
        return False

    @property
    def socket(self) -> Socket | None:
        """What to send by and to read from."""
        self._drop_closed()
        return None if self._attempt is None else self._attempt.socket

    @property
    def has_connection(self) -> bool:
        """See `tend`; nothing is made anew."""
        return self.socket is not None and is_connected(self.socket)

    def wait(self, timeout_s: float) -> None:
        """Until there may be a connection, so long at most."""
        if self.socket is not None:
            self.socket.poll(max(1, int(timeout_s * 1000)), zmq.POLLOUT)
        elif self.lookup is not None:
            self.lookup.wait(timeout_s)
        else:
            time.sleep(timeout_s)  # the host is not known, and is asked for again in a while

    def unreachable(self, within: str) -> Unreachable:
        """The error that tells that no connection came about within so long."""
        why = f": {self.trouble}" if self.trouble else "; is a node running at that address?"
        return Unreachable(f"no connection to {self.address} {within}{why}")

    def close(self) -> None:
        """Close it; what was sent over it may still leave."""
        if self._attempt is not None and self._forgotten is not None:
            if self._forgotten.detach() is not None:
                self._attempt.close(LINGER_MS)
            self._attempt = self._forgotten = None

    def _drop_closed(self) -> None:
        """The garbage collector closes a line's attempt before it calls the `__del__` of what was
        forgotten together with it, which may use the client once more."""
        if self._attempt is not None and self._attempt.socket.closed:
            self._attempt = self._forgotten = None

    def _is_due(self, now_s: float) -> bool:
        if self.lookup is not None:
            return self.lookup.is_done
        if self.socket is None:
            return now_s >= self._made_s + self._patience_s or not self.trouble
        return self._was_connected or now_s >= self._made_s + self._patience_s

    def _make(self, now_s: float) -> None:
        if self._was_connected:
            self._was_connected = False
            self._numbers = []  # the host may be elsewhere by now
        elif self.socket is not None:
            self._patience_s = min(2 * self._patience_s, PATIENCE_MAX_S)
        self._made_s = now_s
        self.close()
        if self._host is None:
            self._open(self.address)
        elif self._numbers:
            self._open_next()
        elif self.lookup is None:
            self.lookup = looked_up(self._host)
        else:
            answer, self.lookup = taken(self.lookup), None
            self.trouble, self._numbers = answer.trouble, list(answer.numbers)
            if self._numbers:
                self._open_next()

    def _open_next(self) -> None:
        """Those that were tried are asked for again: a name may point elsewhere by then."""
        number = self._numbers.pop(0)
        self._open(f"tcp://{number}:{self.address.rpartition(':')[2]}")

    def _open(self, address: str) -> None:
        try:
            self._attempt = Attempt(process_context(), address)
        except zmq.ZMQError as error:
            raise Unreachable(f"can't connect to {self.address}: {error}") from None
        forgotten = weakref.finalize(self, _forgotten, self._attempt, os.getpid(), self.address)
        forgotten.atexit = False
        self._forgotten = forgotten
