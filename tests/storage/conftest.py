"""Both kinds of disk, under one handle, so that one suite runs against each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kvnode.storage.memory import MemoryDisk, MemoryStore
from kvnode.storage.rocks import RocksStore
from kvnode.storage.store import Store


class Disk:
    """A disk, and the store that is open on it."""

    def __init__(self, medium: MemoryDisk | Path) -> None:
        self.medium = medium
        self.is_open = False
        self.store = self._open()

    def reopen(self) -> Store:
        """Close the store and open it again."""
        self.close()
        self.store = self._open()
        return self.store

    def close(self) -> None:
        """Close the store, if it is open."""
        if self.is_open:
            self.is_open = False
            self.store.close()

    def _open(self) -> Store:
        is_memory = isinstance(self.medium, MemoryDisk)
        store = MemoryStore(self.medium) if is_memory else RocksStore(self.medium)
        self.is_open = True
        return store


@pytest.fixture(params=["memory", "rocks"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """An empty disk of either kind."""
    disk = Disk(MemoryDisk() if request.param == "memory" else tmp_path / "store")
    yield disk
    disk.close()
