"""A network of our own: namespaces on a bridge, which has a namespace too.

Nothing of it is seen outside: the addresses exist in these namespaces only, and no packet
leaves them. Names have this process's id, so that two test runs do not meet.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import zmq

from kvnode.client import line
from tests.nemesis.tools import run

#: Where `ip netns` keeps the names of namespaces.
_NAMES: Final = Path("/run/netns")

_CLONE_NEWNET: Final = 0x40000000
_BRIDGE: Final = "bridge"
#: Where clients are, if there is such a member.
_PEOPLE: Final = "people"
_libc: Final = ctypes.CDLL(None, use_errno=True)
_serials: Final = count(1)
_ended: Final[list[zmq.Context[zmq.Socket[bytes]]]] = []


class Network:
    """Members with an address each, all in each other's reach; a context manager."""

    def __init__(self, members: Iterable[str]) -> None:
        self._prefix = f"kvnode-{os.getpid()}-{next(_serials)}"
        self._addresses = {name: f"10.77.0.{n}" for n, name in enumerate(members, 1)}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            bridge = self._make(_BRIDGE, stack)
            run("ip", "-n", bridge, "link", "add", "name", "bridge", "type", "bridge")
            run("ip", "-n", bridge, "link", "set", "bridge", "up")
            for number, (name, address) in enumerate(self._addresses.items(), 1):
                self._make(name, stack)
                self._join(name, address, bridge, f"port{number}")
            people = _PEOPLE if _PEOPLE in self._addresses else name
            stack.enter_context(clients_in(self._namespace(people)))
            self._stack = stack.pop_all()  # from here on __exit__ removes them
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def address(self, member: str) -> str:
        """Its IP address."""
        return self._addresses[member]

    def inside(self, member: str) -> list[str]:
        """The command prefix that runs a program there. The program keeps the process id."""
        return ["ip", "netns", "exec", self._namespace(member)]

    def run(self, member: str, *command: str) -> str:
        """Run a program there to its end; what it printed."""
        return run(*self.inside(member), *command)

    def entered(self, member: str) -> AbstractContextManager[None]:
        """This thread is there for a while: see `entered`."""
        return entered(self._namespace(member))

    def _namespace(self, member: str) -> str:
        return f"{self._prefix}-{member}"

    def _make(self, member: str, stack: ExitStack) -> str:
        return stack.enter_context(namespace(self._namespace(member)))

    def _join(self, member: str, address: str, bridge: str, port: str) -> None:
        name = self._namespace(member)
        ends = ["eth0", "netns", name, "type", "veth", "peer", "name", port, "netns", bridge]
        run("ip", "link", "add", *ends)
        run("ip", "-n", bridge, "link", "set", port, "master", "bridge", "up")
        run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")


@contextmanager
def namespace(name: str) -> Iterator[str]:
    """A namespace of that name, with a loopback; its links and rules go with it."""
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        run("ip", "netns", "delete", name)


@contextmanager
def entered(name: str) -> Iterator[None]:
    """This thread is in a namespace for a while: its new sockets, and those of threads that it
    starts, belong there for good."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        theirs = os.open(_NAMES / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_namespace(theirs)
        finally:
            os.close(theirs)
        try:
            yield
        finally:
            _set_namespace(own)
    finally:
        os.close(own)


@contextmanager
def clients_in(name: str) -> Iterator[None]:
    """All clients of this process connect from a namespace meanwhile: the threads of their context
    do that for them."""
    contexts, process = line._contexts, os.getpid()
    before = contexts.pop(process, None)
    with entered(name):
        line.process_context().socket(zmq.PAIR).close()  # which starts these threads
    try:
        yield
    finally:
        _ended.append(contexts.pop(process))  # the garbage collector must not end it
        if before is not None:
            contexts[process] = before


def _set_namespace(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
