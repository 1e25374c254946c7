"""Both kinds of disk, under one handle, so that one suite runs against each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvnode.storage.memory import MemoryDisk, MemoryStore
from kvnode.storage.rocks import RocksStore
from kvnode.storage.store import Store
from tests.storage.sound import sound_directory


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

    def opened_for_reading(self) -> Store:
        """Another store on this disk, that only reads."""
        if isinstance(self.medium, MemoryDisk):
            return MemoryStore(self.medium, read_only=True)
        return RocksStore(self.medium, read_only=True)

    def close(self) -> None:
        """Close the store, if it is open."""
        if self.is_open:
            self.is_open = False
            self.store.close()

    def set_meta(self, key: bytes, record: bytes) -> None:
        """Write a record that no store of ours writes."""
        if isinstance(self.medium, MemoryDisk):
            self.medium.families["meta"][key] = record
        else:
            assert isinstance(self.store, RocksStore)
            self.store._meta[key] = record

    def keys(self, family: str) -> list[bytes]:
        """The keys that stand in a family."""
        if isinstance(self.medium, MemoryDisk):
            return sorted(self.medium.families[family])
        assert isinstance(self.store, RocksStore)
        return list(self.store._families[family].keys())

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


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound data directory that nobody touches."""
    return sound_directory(tmp_path_factory.mktemp("sound") / "X")


@pytest.fixture
def directory(model: Path, tmp_path: Path) -> Path:
    """One to be damaged."""
    shutil.copytree(model, tmp_path / "X")
    return tmp_path / "X"
