"""Where the hosts of addresses are: those that go by names are looked up in threads.

ZeroMQ would look a name up in the I/O thread that all sockets of a context share, and stand still
until a name server has answered: for ten seconds and more where one is cut off from it. So ZeroMQ
gets numbers only.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Final

#: What a lookup found is for whoever connects next, but not for one who comes later: the host may
#: have moved meanwhile. A resolver takes up to 30 s: 5 s for each of 3 servers, twice.
KEPT_S: Final = 30.0

#: How many numbers of a host are tried. Each is given a second or more.
NUMBERS_MAX: Final = 16

#: How long a fork waits for lookups that are under way. The C library's locks around its resolver
#: stay locked in a child if a thread of its parent held one, and no lookup of the child would ever
#: end. Such a lock is held while files are read, and never while a name server is waited for: a
#: lookup that takes longer than this waits for one.
FORK_WAITS_S: Final = 0.2


class Lookup:
    """One question to the machine's resolver, which a thread waits for."""

    def __init__(self, host: str) -> None:
        self.host = host
        #: Where the host is, IPv4 first, in the form that addresses have.
        self.numbers: tuple[str, ...] = ()
        #: Why nobody knows; None if somebody does.
        self.trouble: str | None = None
        self._found_s: float | None = None
        self._is_done = Event()
        self._callbacks: list[Callable[[], object]] = []

    @property
    def is_done(self) -> bool:
        """Whether there is an answer."""
        return self._is_done.is_set()

    @property
    def is_stale(self) -> bool:
        """Whether it was answered too long ago to connect to what was found."""
        return self._found_s is not None and time.monotonic() - self._found_s > KEPT_S

    def wait(self, timeout_s: float) -> None:
        """Until there is an answer, so long at most."""
        self._is_done.wait(timeout_s)

    def when_done(self, callback: Callable[[], object]) -> None:
        """Have this called, by any thread, when there is an answer; perhaps twice."""
        self._callbacks.append(callback)
        if self.is_done:
            callback()

    def start(self) -> None:
        """Ask, in a thread that nobody waits for: the process may end before it does."""
        try:
            Thread(target=self._ask, name=f"lookup of {self.host}", daemon=True).start()
        except RuntimeError as error:  # the machine has no room for one more
            self.trouble = str(error)
            self._end()

    def _ask(self) -> None:
        with _starting:
            _under_way.add(self)
        try:
            found = socket.getaddrinfo(self.host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            self.trouble = error.strerror or str(error)
        except UnicodeError as error:  # what can't be a name in any DNS
            self.trouble = str(error)
        else:
            found.sort(key=lambda it: it[0] != socket.AF_INET)
            numbers = (_number(family, str(place[0])) for family, _, _, _, place in found)
            self.numbers = tuple(dict.fromkeys(numbers))[:NUMBERS_MAX]
        self._end()

    def _end(self) -> None:
        _under_way.discard(self)
        self._found_s = time.monotonic()
        self._is_done.set()
        for callback in self._callbacks:
            callback()


def _number(family: int, number: str) -> str:
    return f"[{number}]" if family == socket.AF_INET6 else number


#: Those that were not taken yet, by host: one for each name that clients of this process have.
_lookups: dict[str, Lookup] = {}

#: Those that the machine's resolver has, and what is held by who begins one, and by who forks.
_under_way: set[Lookup] = set()
_starting = Lock()


def looked_up(host: str) -> Lookup:
    """The lookup of a host that is under way, or else a new one. It stays there for others until
    one of those who wait for it takes its answer."""
    known = _lookups.get(host)
    if known is None or known.is_stale:
        known = _lookups[host] = Lookup(host)
        known.start()
    return known


def taken(lookup: Lookup) -> Lookup:
    """A lookup that has its answer: whoever comes from now on asks again."""
    with suppress(KeyError):
        if _lookups[lookup.host] is lookup:
            del _lookups[lookup.host]
    return lookup


def _before_fork() -> None:
    _starting.acquire()
    until_s = time.monotonic() + FORK_WAITS_S
    for lookup in tuple(_under_way):
        lookup.wait(until_s - time.monotonic())


def _after_fork_in_child() -> None:
    """The threads that ask are the parent's."""
    _lookups.clear()
    _under_way.clear()
    _starting.release()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_starting.release,
    after_in_child=_after_fork_in_child,
)
