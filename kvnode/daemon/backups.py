"""Backups of a node that runs: asked for by a client, and made beside the loop's other work.

A checkpoint writes what is still in memory to disk first, 128 MiB at worst, which may take
seconds on a slow one. So RocksDB's own threads are told to do that, the loop goes on, and the
checkpoint itself is made when little is left to write.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from kvnode.daemon.logs import LOGGER
from kvnode.daemon.node import Node
from kvnode.errors import Refused, StorageError, Unavailable
from kvnode.storage.backups import Contents, expect_room, save, size_bytes
from kvnode.storage.rocks import RocksStore

#: How often to look whether memory is written, and when to give up.
LOOK_AGAIN_US: Final = 10_000
FLUSHED_WITHIN_US: Final = 60_000_000

Answer = Callable[[list[Any]], None]


class _Asked(NamedTuple):
    """A backup under way."""

    name: str
    answer: Answer
    store: RocksStore
    give_up_us: int


class Backups:
    """Makes one backup at a time."""

    def __init__(self, data: Path, node: Node, store: Callable[[], RocksStore]) -> None:
        self._data = data.resolve()
        self._node = node
        self._store = store
        self._asked: _Asked | None = None
        self._look_us = 0

    def ask(self, name: str, answer: Answer, steady_us: int) -> None:
        """Begin a backup, which is answered when it is made."""
        if self._asked is not None:
            message = "another backup is being made; nothing was done: try again soon"
            answer([("error", "overloaded", message, False)])
            return
        try:
            store = self._open_store()
            expect_room(self._data, name)
            store.begin_flush()
        except (Refused, Unavailable, StorageError) as error:
            answer([_failure(error)])
            return
        self._asked = _Asked(name, answer, store, steady_us + FLUSHED_WITHIN_US)
        self._look_us = steady_us

    def go_on(self, steady_us: int) -> None:
        """Finish what can be finished now."""
        if self._asked is None or steady_us < self._look_us:
            return
        self._look_us = steady_us + LOOK_AGAIN_US
        try:
            if self._is_ready(self._asked, steady_us):
                self._finish(self._asked.answer, ("ok", self._make(self._asked.name)))
        except (Refused, Unavailable, StorageError) as error:
            self._finish(self._asked.answer, _failure(error))

    def wake_us(self) -> int | None:
        """When to go on, by the steady clock."""
        return None if self._asked is None else self._look_us

    def close(self) -> None:
        """Answer who waits; the node is shutting down."""
        if self._asked is not None:
            error = StorageError("the node is shutting down; no backup was made")
            self._finish(self._asked.answer, _failure(error))

    def _open_store(self) -> RocksStore:
        if not self._node.health.writable:
            raise StorageError(self._node.trouble())
        if self._node.replica.is_joining or self._node.is_folding:
            raise Unavailable(
                "this node is joining: what it has is not whole; try later, or another"
            )
        store = self._store()
        store.expect_in_place()
        return store

    def _is_ready(self, asked: _Asked, steady_us: int) -> bool:
        if self._open_store() is not asked.store:
            raise StorageError("the disk failed meanwhile; no backup was made")
        if asked.store.is_flushed:
            return True
        if steady_us >= asked.give_up_us:
            raise StorageError("the disk took too long to write; no backup was made")
        return False

    def _make(self, name: str) -> dict[str, Any]:
        contents = Contents(self._node.vector, self._node.replica.state.digest)
        path = save(self._data, name, self._open_store().checkpoint, contents)
        LOGGER.info("made the backup %s", path)
        return {
            "path": str(path),
            "name": self._node.replica.identity.name,
            "vector": dict(contents.vector),
            "digest": f"{contents.digest:032x}",
            "bytes": size_bytes(path),
        }

    def _finish(self, answer: Answer, result: tuple[Any, ...]) -> None:
        self._asked = None
        answer([result])


def _failure(error: Refused | Unavailable | StorageError) -> tuple[Any, ...]:
    code = "refused" if isinstance(error, Refused) else "unavailable"
    return ("error", "joining" if isinstance(error, Unavailable) else code, str(error), False)
