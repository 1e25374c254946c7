"""Where hosts are that addresses name, as the machine's resolver says.

ZeroMQ would ask it in the one thread that sends and receives all, which would stand still until a
name server has answered: for ten seconds and more where a node is cut off from it, just when the
node has to go on with those that it can reach. So the resolver is asked in threads beside the loop,
and ZeroMQ gets addresses with numbers only.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from kvnode.daemon.logs import Complaints
from kvnode.transport.addresses import named_host

#: A host at which somebody is silent is asked for again after so long.
ASK_AGAIN_US: Final = 2_000_000

#: One at which all is well is asked for again after so long: other nodes may be there, too, by now.
LOOK_AGAIN_US: Final = 30_000_000

#: Numbers of one host: the nodes of a large cluster that go by one name.
NUMBERS_MAX: Final = 128

#: A host, and where it is or why nobody knows.
_Answer = tuple[str, tuple[str, ...] | OSError]


class Names:
    """What is known of hosts. Of each it asks in a thread of its own, once at a time."""

    def __init__(self, complaints: Complaints) -> None:
        #: Readable when an answer is there for `receive`.
        self.answered, self._waker = socket.socketpair()
        self.answered.setblocking(False)
        self._waker.setblocking(False)
        self._complaints = complaints
        #: By host: its numbers, none as long as nobody knows them.
        self._known: dict[str, tuple[str, ...]] = {}
        #: Why it is not known, by host.
        self._troubles: dict[str, str] = {}
        self._asked_us: dict[str, int] = {}
        self._asking: set[str] = set()
        self._answers: SimpleQueue[_Answer] = SimpleQueue()

    def numbers(self, address: str) -> tuple[str, ...]:
        """The address with each number of its host in place of the host's name; none as long as
        nobody has said where that is. What has a number, or is no address, comes back as it is."""
        host = named_host(address)
        if host is None:
            return (address,)
        if host not in self._known:
            self._known[host] = ()
            self._ask(host)
        port = address.rpartition(":")[2]
        return tuple(f"tcp://{number}:{port}" for number in self._known[host])

    def trouble(self, address: str) -> str:
        """Why nobody knows where it is."""
        return self._troubles.get(named_host(address) or "", "it is being looked up")

    def ask_again(self, address: str, steady_us: int, every_us: int = ASK_AGAIN_US) -> None:
        """The host may be elsewhere by now."""
        host = named_host(address)
        if host is None or host in self._asking:
            return
        if steady_us - self._asked_us.get(host, 0) >= every_us:
            self._asked_us[host] = steady_us
            self._ask(host)

    def receive(self) -> bool:
        """Take in what was answered; whether a host has other numbers than it had."""
        with suppress(BlockingIOError):
            self.answered.recv(4096)
        has_moved = False
        with suppress(Empty):
            while True:
                host, answer = self._answers.get_nowait()
                self._asking.discard(host)
                if isinstance(answer, OSError):
                    self._troubles[host] = answer.strerror or "no reason given"
                    self._complaints.add("unknown_hosts", f"{host}: {answer.strerror}")
                elif host in self._known and self._known[host] != answer:
                    self._known[host], has_moved = answer, True
        return has_moved

    def keep(self, addresses: Iterable[str]) -> None:
        """Forget all other hosts."""
        hosts = {named_host(address) for address in addresses}
        self._known = {host: them for host, them in self._known.items() if host in hosts}
        self._troubles = {host: why for host, why in self._troubles.items() if host in hosts}
        self._asked_us = {host: us for host, us in self._asked_us.items() if host in hosts}

    def close(self) -> None:
        """Nobody listens any more; a thread that still asks ends with the process."""
        self.answered.close()
        self._waker.close()

    def _ask(self, host: str) -> None:
        self._asking.add(host)
        try:
            Thread(target=self._look_up, args=(host,), daemon=True).start()
        except RuntimeError as error:  # the machine has no room for one more
            self._tell(host, OSError(None, str(error)))

    def _look_up(self, host: str) -> None:
        try:
            self._tell(host, _numbers_of(host))
        except OSError as error:
            self._tell(host, error)
        except UnicodeError as error:  # what can't be a name in any DNS
            self._tell(host, OSError(None, str(error)))

    def _tell(self, host: str, answer: tuple[str, ...] | OSError) -> None:
        self._answers.put((host, answer))
        with suppress(OSError):  # closed, or full of bytes that wake up as well
            self._waker.send(b"\0")


def _numbers_of(host: str) -> tuple[str, ...]:
    """Where a host is, those of IPv4 first. Raises OSError, or UnicodeError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    places = sorted({(family != socket.AF_INET, str(place[0])) for family, *_, place in found})
    return tuple(f"[{place}]" if is_6 else place for is_6, place in places)[:NUMBERS_MAX]
