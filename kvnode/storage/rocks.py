"""RocksDB: the price of a small synced batch decides how fast durable writes are.

One WriteBatch over four column families is one commit; with sync it is one fsync of the
write-ahead log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from rocksdict import DBRecoveryMode, Options, Rdict, WriteBatch, WriteOptions

from kvnode.core.messages import Commit
from kvnode.core.replica import Saved
from kvnode.core.versions import Versions
from kvnode.errors import StorageError
from kvnode.storage import layout

#: RocksDB's own log files, for a person who looks into a failure.
_INFO_LOGS_KEPT: Final = 2

LOGGER: Final = logging.getLogger("kvnode.storage")


class RocksStore:
    """A `Store` in a directory."""

    def __init__(self, directory: Path) -> None:
        families = {name: Options(raw_mode=True) for name in layout.FAMILIES}
        try:
            self._db = Rdict(str(directory), _options(), column_families=families)
        except Exception as error:
            raise StorageError(f"can't open the store in {directory}: {error}") from error
        self._handles = {name: self._db.get_column_family_handle(name) for name in families}
        self._table, self._log, self._index, self._meta = (
            self._db.get_column_family(name) for name in layout.FAMILIES
        )
        self._synced = WriteOptions()
        self._synced.sync = True
        self._unsynced = WriteOptions()
        try:
            self._position = layout.next_position(_last_key(self._log))
        except StorageError:
            self.close()
            raise

    def load(self) -> Saved:
        """See `Store.load`."""
        saved = layout.decode_saved(_scan(self._meta))
        if not saved.origins and (self._position or _last_key(self._table) is not None):
            raise StorageError("the store has data, but no record of what it has delivered")
        return saved

    def versions(self, key: bytes) -> Versions:
        """See `Store.versions`."""
        try:
            return layout.decode_table_record(self._table.get(key))
        except Exception as error:
            raise StorageError(f"can't read the table: {error}") from error

    def commit(self, commit: Commit, *, sync: bool) -> None:
        """See `Store.commit`."""
        batch = WriteBatch(raw_mode=True)
        for family, key, value in layout.encode_commit(commit, self._position):
            if value is None:
                batch.delete(key, self._handles[family])
            else:
                batch.put(key, value, self._handles[family])
        try:
            self._db.write(batch, self._synced if sync else self._unsynced)
        except Exception as error:
            raise StorageError(f"can't commit: {error}") from error
        self._position += len(commit.batches)

    def sync(self) -> None:
        """See `Store.sync`."""
        try:
            self._db.flush_wal(sync=True)
        except Exception as error:
            raise StorageError(f"can't sync: {error}") from error

    def since(self, lacking: Mapping[str, int], bytes_max: int) -> list[bytes]:
        """See `Store.since`."""
        try:
            return layout.collect(lacking, bytes_max, self._positions, self._batch_at)
        except Exception as error:
            raise StorageError(f"can't read the log: {error}") from error

    def close(self) -> None:
        """See `Store.close`."""
        # Handles and column families hold the database, and its lock, as long as they live.
        self._handles.clear()
        for family in (self._table, self._log, self._index, self._meta, self._db):
            try:
                family.close()
            except Exception as error:  # after a failed write, closing tells of it once more
                LOGGER.debug("closing the store: %s", error)

    def _positions(self, origin: str, seq: int) -> Iterator[bytes]:
        prefix = layout.index_prefix(origin)
        for key, position in _scan(self._index, layout.index_key(origin, seq)):
            if not key.startswith(prefix):
                return
            yield position

    def _batch_at(self, position: bytes) -> bytes:
        batch: bytes = self._log[position]  # type: ignore[assignment]
        return batch


def _scan(family: Rdict, first: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """All records from a key on. A damaged block ends RocksDB's iterators without a word:
    only their status tells it from the end."""
    try:
        records = family.iter()
        records.seek(first)
        while records.valid():
            yield records.key(), records.value()
            records.next()
        records.status()
    except Exception as error:
        raise StorageError(f"can't read the store: {error}") from error


def _last_key(family: Rdict) -> bytes | None:
    try:
        records = family.iter()
        records.seek_to_last()
        if not records.valid():
            records.status()
            return None
        last: bytes = records.key()
        return last
    except Exception as error:
        raise StorageError(f"can't read the store: {error}") from error


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_keep_log_file_num(_INFO_LOGS_KEPT)
    # A torn end is what a crash leaves. Damage before it is refused: the default would drop
    # all commits behind it, acknowledged ones too, and say nothing.
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    return options
