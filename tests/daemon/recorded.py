"""A node on a memory disk whose every act is noted, in order, in one list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvnode.codec.batches import decode_batch, encode_batch
from kvnode.core.batch import Batch, Change
from kvnode.core.clock import Now
from kvnode.core.limits import Limits
from kvnode.core.messages import Chunk, Claim, Commit, Inputs, Pull, Pulled, Report, Saved
from kvnode.core.overlay import TableView
from kvnode.core.replica import Identity, Replica
from kvnode.core.requests import Delete, Get, Operation, Put, Request
from kvnode.core.results import Failed, Reply
from kvnode.core.vector import Dot, new_origin
from kvnode.core.versions import Versions
from kvnode.daemon.node import Durability, Node
from kvnode.errors import StorageError
from kvnode.storage.memory import MemoryDisk, MemoryStore
from kvnode.storage.store import Store

HEARTBEAT_US = 500_000
SYNC_US = 1_000_000
LONG_US = 10**9

#: A peer's origin.
OTHER = new_origin("Y", 1, 1)


class Recorded:
    """The node, its disk, and what it did; also the outbox of its turns."""

    def __init__(self, durability: Durability = Durability.ALWAYS) -> None:
        self.durability = durability
        self.limits = Limits()
        self.disk = MemoryDisk()
        self.now_us = 1_000_000_000
        #: How wrong the machine's wall clock is.
        self.wrong_us = 0
        #: What the next open, read, sync, or read after a failed commit raises, set by tests.
        self.broken: dict[str, StorageError] = {}
        #: Set by tests: the store can't be opened at all.
        self.gone = False
        self.events: list[tuple[Any, ...]] = []
        self.replies: list[Reply] = []
        self.claims: list[Claim] = []
        #: Of each replica that which its first write opens, and those after it.
        self.origins: list[str] = []
        self._is_opened = False
        self._last_id = 0
        self.start()

    def start(self) -> None:
        """A new process on what the disk has."""
        self.node = Node(
            self.open_store,
            self._replica,
            durability=self.durability,
            sync_interval_us=SYNC_US,
            heartbeat_us=HEARTBEAT_US,
            random_number=lambda: 1,
        )

    def open_store(self, *, read_only: bool = False) -> Store:
        """What the disk has."""
        return RecordedStore(self, read_only=read_only)

    def crash(self) -> None:
        """The power fails, and comes back."""
        self.disk.crash()
        self.start()

    def turn(
        self,
        *requests: Request,
        batches: tuple[Batch, ...] = (),
        pulled: tuple[Pulled, ...] = (),
        claims: tuple[Claim, ...] = (),
        chunks: tuple[Chunk, ...] = (),
    ) -> list[tuple[Any, ...]]:
        """One turn; what happened in it."""
        before = len(self.events)
        inputs = Inputs(
            list(batches), list(claims), pulled=list(pulled), chunks=list(chunks),
            requests=list(requests),
        )  # fmt: skip
        self.node.turn(inputs, self.now, self)
        return self.events[before:]

    def request(
        self,
        *operations: Operation,
        token: Mapping[str, int] | None = None,
        wait_us: int | None = None,
    ) -> Request:
        """A request with the next id."""
        self._last_id += 1
        deadline_us = None if wait_us is None else self.now_us + wait_us
        return Request("client", self._last_id, token or {}, deadline_us, operations, 1)

    def put(self, key: str, value: str, **options: Any) -> Request:
        """A request to put."""
        return self.request(Put(key.encode(), value.encode()), **options)

    def delete(self, key: str, **options: Any) -> Request:
        """A request to delete."""
        return self.request(Delete(key.encode()), **options)

    def get(self, key: str, **options: Any) -> Request:
        """A request to get."""
        return self.request(Get(key.encode()), **options)

    def others_claim(self, delivered: Mapping[str, int], *, ahead_us: int = 0) -> Claim:
        """A heartbeat of the peer, by a clock that may be ahead."""
        return Claim("Y", 1, delivered, delivered, 0, {}, self.now_us + ahead_us)

    def value(self, key: str) -> str | None:
        """What a turn of its own reads."""
        self.turn(self.get(key))
        (entry,) = self.replies[-1].results
        versions: Versions = entry[0]
        return versions[0].value.decode() if versions else None

    def answers(self, *ids: int) -> list[Any]:
        """The one result in the one answer to each of these requests."""
        found = []
        for id_ in ids:
            (reply,) = (reply for reply in self.replies if reply.id == id_)
            (result,) = reply.results
            found.append(result)
        return found

    @property
    def now(self) -> Now:
        """The time, for a turn that a test makes itself."""
        return Now(self.now_us + self.wrong_us, self.now_us)

    # --- the outbox

    def publish(self, batch: Batch) -> None:
        """See `Outbox`."""
        self.events.append(("publish", batch.origin, batch.first, batch.last))

    def claim(self, claim: Claim) -> None:
        """See `Outbox`."""
        self.claims.append(claim)
        self.events.append(("claim", dict(claim.delivered)))

    def reply(self, reply: Reply, token: Mapping[str, int]) -> None:
        """See `Outbox`."""
        self.replies.append(reply)
        (result,) = reply.results[:1]
        code = result.code if isinstance(result, Failed) else type(result).__name__.lower()
        self.events.append(("reply", reply.id, code))

    def awaited(self, dot: Dot) -> None:
        """See `Outbox`."""
        self.events.append(("awaited", *dot))

    def report(self, report: Report) -> None:
        """See `Outbox`."""
        self.events.append(("report", report.origin, report.seq))

    def pull(self, pull: Pull) -> None:
        """See `Outbox`."""
        self.events.append(("pull", pull.name))

    def _new_origin(self) -> str:
        """That of the start, and others after that."""
        if self._is_opened:
            self.origins.append(new_origin("X", 1, len(self.origins)))
        self._is_opened = True
        return self.origins[-1]

    def _replica(self, saved: Saved, store: Store) -> Replica:
        self.origins.append(new_origin("X", 1, len(self.origins)))
        self._is_opened = False
        return Replica(
            Identity("X", 1),
            saved,
            store,
            encode_batch,
            lambda: 0.5,
            new_origin=self._new_origin,
            limits=self.limits,
            heartbeat_us=HEARTBEAT_US,
            commits_are_synced=self.durability is Durability.ALWAYS,
        )


class RecordedStore(MemoryStore):
    """Notes what is done to it, and fails as it is told."""

    def __init__(self, recorded: Recorded, *, read_only: bool) -> None:
        self._recorded = recorded
        self._failed = False
        recorded.events.append(("open to read" if read_only else "open",))
        if recorded.gone:
            raise StorageError("no such device")
        if not read_only:
            self._break("open")
        super().__init__(recorded.disk, read_only=read_only)

    def versions(self, key: bytes) -> Versions:
        """See `Store.versions`."""
        self._break("read after" if self._failed else "read")
        return super().versions(key)

    def table_view(self) -> TableView:
        """See `Store.table_view`."""
        self._break("scan")
        return super().table_view()

    def commit(self, commit: Commit, *, sync: bool) -> None:
        """See `Store.commit`."""
        outcome = "failed commit"
        try:
            super().commit(commit, sync=sync)
            outcome = "commit synced" if sync else "commit"
        finally:
            self._failed = outcome == "failed commit"
            self._recorded.events.append((outcome,))

    def sync(self) -> None:
        """See `Store.sync`."""
        self._break("sync")
        self._recorded.events.append(("sync",))
        super().sync()

    def close(self) -> None:
        """See `Store.close`."""
        self._recorded.events.append(("close",))

    def _break(self, what: str) -> None:
        if what in self._recorded.broken:
            raise self._recorded.broken.pop(what)


def with_a_write() -> Recorded:
    """A node that has made a write, with its events forgotten."""
    recorded = Recorded()
    recorded.turn(recorded.put("before", "v"))
    recorded.events.clear()
    return recorded


def others_write(seq: int, key: str = "k", value: str = "theirs") -> Batch:
    """A batch of the peer."""
    write = (Change(key.encode(), value.encode()),)
    return decode_batch(encode_batch(OTHER, seq, {}, 1_000_000_000 + seq, (write,)))


def published(node: Recorded) -> list[tuple[Any, ...]]:
    """Origin, first and last seq of each batch that was published."""
    return [event[1:] for event in node.events if event[0] == "publish"]


def failures(node: Recorded, *requests: Request) -> list[tuple[str, bool]]:
    """Code and `maybe` of each one's only answer."""
    results = node.answers(*(request.id for request in requests))
    assert all(isinstance(result, Failed) for result in results), results
    return [(result.code, result.maybe) for result in results]
