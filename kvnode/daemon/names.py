"""What the loop knows of hosts that peers' addresses name, while others look them up."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final

from kvnode.daemon.logs import Complaints
from kvnode.transport.names import at, look_up, named_host

#: A host that was asked for is not asked for again before.
ASK_AGAIN_US: Final = 2_000_000

#: A host, and where it is or why nobody knows.
_Answer = tuple[str, str | OSError]


class Names:
    """What is known of hosts. Of each it asks once at a time."""

    def __init__(self, complaints: Complaints) -> None:
        #: Readable when an answer is there for `receive`.
        self.answered, self._waker = socket.socketpair()
        self.answered.setblocking(False)
        self._waker.setblocking(False)
        self._complaints = complaints
        #: By host: its numeric address, None as long as none is known.
        self._known: dict[str, str | None] = {}
        self._asked_us: dict[str, int] = {}
        self._asking: set[str] = set()
        self._answers: SimpleQueue[_Answer] = SimpleQueue()

    def reach(self, address: str) -> str | None:
        """The address with a number in place of its host's name; None as long as nobody has said
        where that is. What is no address comes back as it is."""
        host = named_host(address)
        if host is None:
            return address
        if host not in self._known:
            self._known[host] = None
            self._ask(host)
        number = self._known[host]
        return None if number is None else at(number, address)

    def ask_again(self, address: str, steady_us: int) -> None:
        """Nothing comes from there: the host may be elsewhere by now."""
        host = named_host(address)
        if host is None or host in self._asking:
            return
        if steady_us - self._asked_us.get(host, 0) >= ASK_AGAIN_US:
            self._asked_us[host] = steady_us
            self._ask(host)

    def receive(self) -> bool:
        """Take in what was answered; whether a host is elsewhere than it was."""
        with suppress(BlockingIOError):
            self.answered.recv(4096)
        has_moved = False
        with suppress(Empty):
            while True:
                host, answer = self._answers.get_nowait()
                self._asking.discard(host)
                if isinstance(answer, OSError):
                    self._complaints.add("unknown_hosts", f"{host}: {answer.strerror}")
                elif host in self._known and self._known[host] != answer:
                    self._known[host], has_moved = answer, True
        return has_moved

    def keep(self, addresses: Iterable[str]) -> None:
        """Forget all other hosts."""
        hosts = {named_host(address) for address in addresses}
        self._known = {host: number for host, number in self._known.items() if host in hosts}
        self._asked_us = {host: us for host, us in self._asked_us.items() if host in hosts}

    def close(self) -> None:
        """Nobody listens any more; a thread that still asks ends with the process."""
        self.answered.close()
        self._waker.close()

    def _ask(self, host: str) -> None:
        self._asking.add(host)
        look_up(host, partial(self._tell, host))

    def _tell(self, host: str, answer: str | OSError) -> None:
        """Called by whichever thread looked it up."""
        self._answers.put((host, answer))
        with suppress(OSError):  # closed, or full of bytes that wake up as well
            self._waker.send(b"\0")
