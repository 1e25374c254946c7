"""What the calls of several threads share: channels, each of which one call has to itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Final, Generic, Protocol, TypeVar

from kvnode.errors import Overloaded, Unreachable

#: Calls that one client may have on their way at once. Each has a connection of its own, with two
#: files, and most processes may open 1,024.
CALLS_MAX: Final = 128

#: Of these the watches, which wait for long: the others must not wait for them.
WATCHES_MAX: Final = CALLS_MAX * 4 // 5


class Closable(Protocol):
    """What a pool holds."""

    def close(self) -> None:
        """Give up what it has."""


T = TypeVar("T", bound=Closable)


class Closing:
    """Whether a client was closed. Whoever waits for something looks at it now and then."""

    is_done = False


class Pool(Generic[T]):
    """Channels that nobody uses, the latest used on top: who is alone always gets the same."""

    def __init__(self, made: Callable[[], T], closing: Closing) -> None:
        #: A process that is forked from this one can't use what it inherits.
        self.process = os.getpid()
        self.closing = closing
        self._made = made
        self._idle: list[T] = []
        self._calls = _Places(CALLS_MAX)
        self._watches = _Places(WATCHES_MAX)

    @contextmanager
    def channel(self, timeout_s: float, *, watches: bool) -> Iterator[tuple[T, float]]:
        """A channel to use alone, and for how long the call waited for a place: so long at most.
        Raises Overloaded; or Unreachable if the client is closed meanwhile."""
        waited_s = 0.0
        taken: list[_Places] = []
        try:
            for places in (self._watches, self._calls) if watches else (self._calls,):
                took_s = places.take(timeout_s - waited_s, self.closing)
                if took_s is None:
                    raise no_place(timeout_s, CALLS_MAX, WATCHES_MAX)
                taken.append(places)
                waited_s += took_s
            if self.closing.is_done:
                raise closed_before()
            channel = self._popped() or self._made()
            try:
                yield channel, waited_s
            finally:
                self._idle.append(channel)
                if self.closing.is_done:
                    self._close_idle()
        finally:
            for places in taken:
                places.give_back()

    def close(self) -> None:
        """Close what is idle. What is in use is closed by who uses it: a socket of ZeroMQ's bears
        one thread at a time."""
        self.closing.is_done = True
        self._calls.wake()
        self._watches.wake()
        self._close_idle()

    def _close_idle(self) -> None:
        while (channel := self._popped()) is not None:
            channel.close()

    def _popped(self) -> T | None:
        try:
            return self._idle.pop()
        except IndexError:  # also if another thread was faster
            return None


class _Places:
    """So many at once, of those who come first."""

    def __init__(self, free: int) -> None:
        self._free = free
        # With a lock that a thread may take twice: the garbage collector, and signals, may have it
        # make a call amid a call.
        self._changed = Condition()

    def take(self, timeout_s: float, closing: Closing) -> float | None:
        """Take one once there is one, or the client is closed, and tell how long that took; None
        if it would take longer than it may."""
        with self._changed:
            start_s, waited_s = time.monotonic(), 0.0
            while self._free <= 0 and not closing.is_done:
                if waited_s >= timeout_s:
                    return None
                self._changed.wait(timeout_s - waited_s)
                waited_s = time.monotonic() - start_s
            self._free -= 1
            return waited_s

    def give_back(self) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify()

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


def closed_before() -> Unreachable:
    """The error of a call that waited, for a place or to ask again, when its client was closed."""
    return Unreachable("the client was closed before anything was sent, or sent again")


def no_place(timeout_s: float, calls_max: int, watches_max: int) -> Overloaded:
    """The error of a call that waited in vain for others of its client to end."""
    return Overloaded(
        f"this client has as many calls on their way as it may, {calls_max}, or {watches_max} "
        f"watches, and none ended within {timeout_s:.3g} s; nothing was sent: make another client"
    )
