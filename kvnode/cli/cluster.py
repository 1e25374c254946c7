"""A cluster of real daemons on this machine: own processes, free loopback ports, data in
one directory. The demo and the integration tests are played on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from kvnode.cli.ports import HeldPort
from kvnode.client.sync import Client
from kvnode.errors import KvnodeError

Seen = TypeVar("Seen")

#: How long to wait for what should take a moment, on a machine that may be busy.
PATIENCE_S: Final = 30.0

_LOOK_AGAIN_S: Final = 0.01

#: What a node logs once its sockets listen.
LISTENING: Final = b" listening at "


class NotSeen(KvnodeError):
    """Something that was waited for did not come about."""


def until(what: str, look: Callable[[], Seen | None], patience_s: float = PATIENCE_S) -> Seen:
    """Look again and again until it is true; raises NotSeen with what was seen last."""
    give_up = time.monotonic() + patience_s
    while not (seen := look()):
        if time.monotonic() > give_up:
            raise NotSeen(f"not within {patience_s:g} s: {what}; last seen: {seen!r}")
        time.sleep(_LOOK_AGAIN_S)
    return seen


class LocalNode:
    """One daemon that can be started, stopped and killed.

    It runs under the command `prefix` and listens at `addresses`, if they are given; else at
    held ports.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        flags: Sequence[str],
        *,
        prefix: Sequence[str] = (),
        addresses: tuple[str, str] | None = None,
    ) -> None:
        self.name = name
        self._ports = () if addresses else (HeldPort(), HeldPort())
        self.listen, self.gossip = addresses or [port.address for port in self._ports]
        self.data = directory / name
        self.log = directory / f"{name}.log"
        self.peers: list[str] = []
        #: Whether its first start founds a cluster: it is told of nobody then.
        self.founds = False
        self.process: subprocess.Popen[bytes] | None = None
        self._flags = flags
        #: How long the log was before the latest start.
        self._logged_before = 0
        self._prefix = prefix

    def start(self) -> None:
        """Start it, and wait until it listens, or ends: who connected to it sooner would be
        refused."""
        self.launch()
        self.wait_until_it_listens()

    def launch(self) -> None:
        """Start it."""
        assert self.process is None
        command = [*self._prefix, sys.executable, "-m", "kvnode.cli.kvnode", "serve"]
        command += ["--name", self.name]
        command += ["--data", str(self.data), "--listen", self.listen, "--gossip", self.gossip]
        for peer in [] if self.founds else self.peers:
            command += ["--join", peer]
        self.founds = False
        for port in self._ports:
            port.make_way()
        # A session of its own: Ctrl-C at the terminal reaches us, and we stop it in order.
        with self.log.open("ab") as log:
            self._logged_before = log.tell()
            self.process = subprocess.Popen(
                [*command, *self._flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                start_new_session=True,
            )

    def wait_until_it_listens(self) -> None:
        """See `start`. The log tells, which needs no connection: not all nodes can be reached from
        here."""

        def listens_or_has_ended() -> bool:
            assert self.process is not None
            with self.log.open("rb") as log:
                log.seek(self._logged_before)
                return LISTENING in log.read() or self.process.poll() is not None

        until(f"{self.name} listens", listens_or_has_ended)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise NotSeen(f"{self.name} did not stop on signal {number}") from None
        finally:
            self.process.wait()
            self.process = None

    def client(self, token: bytes | None = None) -> Client:
        """A client of this node, patient enough for a busy machine."""
        return Client(self.listen, timeout_s=PATIENCE_S, wait_s=PATIENCE_S, token=token)

    def status(self) -> dict[str, Any]:
        """What it says of itself."""
        with self.client() as client:
            return client.status()

    def check(self) -> None:
        """Raise NotSeen with its log if it was started and has ended by itself."""
        if self.process is not None and self.process.poll() is not None:
            raise NotSeen(f"{self.name} ended at its start:\n{self.log.read_text()}")

    def hears_all(self) -> bool:
        """Whether it has gossip from all its peers."""
        status = self.status()
        return not status["unheard"] and all(
            peer["lag_updates"] is not None for peer in status["peers"]
        )

    def knows(self, names: set[str]) -> bool:
        """Whether these are members, and no others."""
        with self.client() as client:
            return {it["name"] for it in client.members() if it["origin"] is not None} == names


class LocalCluster:
    """Nodes that are each other's peers; a context manager that leaves no process."""

    def __init__(self, names: Iterable[str], directory: Path, *flags: str) -> None:
        self.nodes = {name: LocalNode(name, directory, flags) for name in names}
        for node in self.nodes.values():
            node.peers = [other.listen for other in self.nodes.values() if other is not node]
        next(iter(self.nodes.values())).founds = True

    def __getitem__(self, name: str) -> LocalNode:
        return self.nodes[name]

    def __enter__(self) -> Self:
        try:
            for node in self.nodes.values():
                node.launch()
            for node in self.nodes.values():
                node.wait_until_it_listens()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        with ExitStack() as stack:
            for node in self.nodes.values():
                if node.process is not None:
                    stack.callback(node.stop)

    def wait_for_mesh(self) -> None:
        """Until every node hears every other, and has its member record."""

        def all_hear() -> bool:
            for node in self.nodes.values():
                node.check()
            return all(node.hears_all() and node.knows(names) for node in self.nodes.values())

        names = set(self.nodes)
        until("every node hears all its peers", all_hear)

    def statuses(self) -> dict[str, dict[str, Any]]:
        """What each node says of itself, by name."""
        return {name: node.status() for name, node in self.nodes.items()}

    def agree(self) -> dict[str, dict[str, Any]] | None:
        """The statuses, if all answer clients, and have equal vectors and digests."""
        statuses = self.statuses()
        said = [(status["vector"], status["digest"]) for status in statuses.values()]
        if any(status["joining"] for status in statuses.values()):
            return None
        return statuses if all(one == said[0] for one in said) else None
