"""Clients: sessions that put and get hot keys, move between nodes, and note what they saw.

A session is one client with its token; it may move, also to a node that is behind. A client
that drops its token is a new session. Keys are put only and values are unique, as the judge
wants it: nothing is tried again with the same value.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from types import TracebackType
from typing import Final, Self

from kvnode.cli.cluster import PATIENCE_S, NotSeen
from kvnode.client.sync import Client
from kvnode.errors import DefiniteError, IndefiniteError
from tests.judge import Operation, get, put
from tests.nemesis.cluster import PEOPLE, NamespacedCluster
from tests.nemesis.network import Network

HOT_KEYS: Final = tuple(f"hot{n}" for n in range(6))

#: Short: who waits long for a node that is cut off does little else.
_TIMEOUT_S: Final = 1.0

#: How long a session waits for its past; with 0 a node that is behind answers at once.
_WAITS_S: Final = (0.0, 0.3, 1.0)

_DROP_TOKEN: Final = 0.01
_MOVE: Final = 0.15

#: How often a client announces, replies and looks around.
_HABITS: Final = (10, 45, 45)
_HOT_LOOKED_AT: Final = 3
_CANARIES_LOOKED_AT: Final = 3


class Load:
    """Some clients at work, each in a thread; a context manager that ends them."""

    def __init__(
        self,
        cluster: NamespacedCluster,
        network: Network,
        seed: int,
        *,
        clients: int,
        acts_per_s: float,
    ) -> None:
        self.cluster = cluster
        self.network = network
        #: What the clients gave up, by error: for people, to see what the faults did.
        self.troubles: Counter[str] = Counter()
        #: Acknowledged canaries.
        self.canaries: dict[str, str] = {}
        #: Set when the clients shall end, or one of them came to grief.
        self.stopping = threading.Event()
        self.error: BaseException | None = None
        pause_s = clients / acts_per_s
        self._workers = [_Worker(self, n, Random(f"{seed}/{n}"), pause_s) for n in range(clients)]
        self._moves = threading.Condition()
        self._avoided: set[str] = set()

    def __enter__(self) -> Self:
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stopping.set()
        for worker in self._workers:
            worker.join()

    def last(self, duration_s: float) -> None:
        """Let them work for so long. Raises what ended one of them."""
        if self.stopping.wait(duration_s) and self.error is not None:
            raise self.error

    def history(self) -> list[Operation]:
        """What they saw so far, in each session's order."""
        return [operation for worker in self._workers for operation in tuple(worker.seen)]

    @contextmanager
    def away_from(self, name: str) -> Iterator[None]:
        """Nobody talks to this node meanwhile: what it acknowledged is all that it will."""
        with self._moves:
            self._avoided.add(name)
            gone = self._moves.wait_for(
                lambda: all(worker.at != name for worker in self._workers), PATIENCE_S
            )
        try:
            if not gone:
                raise NotSeen(f"clients did not leave {name}")
            yield
        finally:
            with self._moves:
                self._avoided.discard(name)

    def go(self, worker: _Worker, names: Sequence[str]) -> str:
        """Where a client may go next."""
        with self._moves:
            open_ones = [name for name in names if name not in self._avoided]
            worker.at = worker.random.choice(open_ones)
            return worker.at

    def leave(self, worker: _Worker) -> None:
        """It is at no node now."""
        with self._moves:
            worker.at = None
            self._moves.notify_all()

    def must_leave(self, worker: _Worker) -> bool:
        """Whether its node is to be left alone."""
        return worker.at in self._avoided


class _Worker(threading.Thread):
    """One client after another."""

    def __init__(self, load: Load, number: int, random: Random, pause_s: float) -> None:
        super().__init__(name=f"client-{number}")
        self.random = random
        self.seen: list[Operation] = []
        #: The node that it talks to.
        self.at: str | None = None
        self._load = load
        self._pause_s = pause_s
        self._sessions = 0
        self._written = 0

    def run(self) -> None:
        try:
            with self._load.network.entered(PEOPLE):
                while not self._load.stopping.is_set():
                    self._session()
        except BaseException as error:  # the main thread raises it: see Load.last
            self._load.error = error
            self._load.stopping.set()

    def _session(self) -> None:
        """From no token until it is dropped; it moves, and takes the token along."""
        self._sessions += 1
        session = f"{self.name}.{self._sessions}"
        token: bytes | None = None
        while not self._load.stopping.is_set():
            address = self._load.cluster[self._load.go(self, tuple(self._load.cluster.nodes))]
            try:
                wait_s = self.random.choice(_WAITS_S)
                with Client(
                    address.listen, timeout_s=_TIMEOUT_S, wait_s=wait_s, token=token
                ) as client:
                    self._visit(client, session)
                    token = client.token
            finally:
                self._load.leave(self)
            if self.random.random() < _DROP_TOKEN / _MOVE:
                return

    def _visit(self, client: Client, session: str) -> None:
        """Acts at one node, until the client moves on, or the node gives it cause to."""
        while not self._load.stopping.is_set() and not self._load.must_leave(self):
            try:
                self._act(client, session)
            except (DefiniteError, IndefiniteError) as error:
                self._load.troubles[type(error).__name__] += 1
                return
            finally:
                self._load.stopping.wait(self.random.expovariate(1 / self._pause_s))
            if self.random.random() < _MOVE:
                return

    def _act(self, client: Client, session: str) -> None:
        """Something that shows, soon and to others, whether causes come before effects."""
        act = self.random.choices((self._announce, self._reply, self._look_around), _HABITS)[0]
        act(client, session)

    def _announce(self, client: Client, session: str) -> None:
        """Write a canary, and then what leads others to it."""
        key = f"canary-{session}-{self._written}"
        self._load.canaries[key] = self._put(client, session, key)
        self._put(client, session, self.random.choice(HOT_KEYS))

    def _reply(self, client: Client, session: str) -> None:
        """Write what depends on what was just read, perhaps from another node."""
        self._get(client, session, self.random.choice(HOT_KEYS))
        self._put(client, session, self.random.choice(HOT_KEYS))

    def _look_around(self, client: Client, session: str) -> None:
        """Read an effect, then what may be its causes: other hot keys, the newest canaries."""
        first, *others = self.random.sample(HOT_KEYS, _HOT_LOOKED_AT)
        self._get(client, session, first)
        for key in (*tuple(self._load.canaries)[-_CANARIES_LOOKED_AT:], *others):
            self._get(client, session, key)

    def _get(self, client: Client, session: str, key: str) -> None:
        self.seen.append(get(session, key, client.get(key)))

    def _put(self, client: Client, session: str, key: str) -> str:
        """Its value. What surely was not written is not noted: who reads it convicts us."""
        self._written += 1
        value = f"{session}-{self._written}"
        try:
            client.put(key, value)
        except IndefiniteError:
            self.seen.append(put(session, key, value, ok=False))
            raise
        self.seen.append(put(session, key, value))
        return value
