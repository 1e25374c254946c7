"""The in-memory twin: a disk for tests, which loses exactly what was not synced.

It keeps the same bytes under the same keys as RocksDB would, so codec and recovery are
the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kvnode.core.messages import Commit
from kvnode.core.replica import Saved
from kvnode.core.versions import Versions
from kvnode.errors import StorageError
from kvnode.storage import layout


class MemoryDisk:
    """What survives: the writes of synced commits, and of the others until a crash."""

    def __init__(self) -> None:
        self.families: dict[str, dict[bytes, bytes]] = {name: {} for name in layout.FAMILIES}
        self._unsynced: list[layout.Undo] = []
        #: Set by tests: the next commit raises; whether its batch is there all the same.
        self.fail_next_commit: bool | None = None
        #: Set by tests: opening and committing raise, as on a full disk.
        self.full = False

    def write(self, puts: layout.Puts, *, sync: bool) -> None:
        """Apply one atomic batch."""
        undo = [(name, key, self.families[name].get(key)) for name, key, _ in puts]
        for name, key, value in puts:
            if value is None:
                self.families[name].pop(key, None)
            else:
                self.families[name][key] = value
        self._unsynced.append(undo)
        if sync:
            self._unsynced.clear()

    def sync(self) -> None:
        """A crash loses nothing of what was written before this."""
        self._unsynced.clear()

    def crash(self) -> None:
        """Lose what was not synced, the latest first."""
        while self._unsynced:
            for name, key, value in reversed(self._unsynced.pop()):
                if value is None:
                    self.families[name].pop(key, None)
                else:
                    self.families[name][key] = value


class MemoryStore:
    """A `Store` on a `MemoryDisk`."""

    def __init__(self, disk: MemoryDisk) -> None:
        if disk.full:
            raise StorageError("no space left on the memory disk")
        self._disk = disk
        self._position = layout.next_position(max(disk.families["log"], default=None))

    def load(self) -> Saved:
        """See `Store.load`."""
        return layout.decode_saved(self._disk.families["meta"].items())

    def versions(self, key: bytes) -> Versions:
        """See `Store.versions`."""
        return layout.decode_table_record(self._disk.families["table"].get(key))

    def commit(self, commit: Commit, *, sync: bool) -> None:
        """See `Store.commit`."""
        puts = layout.encode_commit(commit, self._position)
        failing, self._disk.fail_next_commit = self._disk.fail_next_commit, None
        if self._disk.full:
            raise StorageError("no space left on the memory disk")
        if failing is not False:
            self._disk.write(puts, sync=sync)
        if failing is not None:
            raise StorageError("a commit failed because a test asked for it")
        self._position += len(commit.batches)

    def sync(self) -> None:
        """See `Store.sync`."""
        self._disk.sync()

    def since(self, lacking: Mapping[str, int], bytes_max: int) -> list[bytes]:
        """See `Store.since`."""
        log = self._disk.families["log"]
        return layout.collect(lacking, bytes_max, self._positions, log.__getitem__)

    def close(self) -> None:
        """See `Store.close`."""

    def _positions(self, origin: str, seq: int) -> Iterator[bytes]:
        index = self._disk.families["index"]
        keys = sorted(key for key in index if key.startswith(layout.index_prefix(origin)))
        start = layout.index_key(origin, seq)
        at = next((n for n, key in enumerate(keys) if key >= start), len(keys))
        yield from (index[key] for key in keys[at:])
