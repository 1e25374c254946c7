"""RocksDB: the price of a small synced batch decides how fast durable writes are.

One WriteBatch over the column families is one commit; with sync it is one fsync of the
write-ahead log.
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Final
from weakref import WeakSet

from rocksdict import AccessType, Cache, Checkpoint, Rdict, RdictIter, WriteBatch, WriteOptions

from kvnode.core.batch import Batch
from kvnode.core.limits import KEY_BYTES_MAX
from kvnode.core.messages import Commit, Due, OriginState, Saved
from kvnode.core.once import Span
from kvnode.core.overlay import Record as TableRecord
from kvnode.core.overlay import TableView
from kvnode.core.results import WriteResults
from kvnode.core.succession import NO_ENDS, Ends
from kvnode.core.truncation import Logged
from kvnode.core.vector import Dot, Vector
from kvnode.core.versions import Versions
from kvnode.errors import StorageError
from kvnode.storage import layout, once
from kvnode.storage.collecting import collect
from kvnode.storage.families import (
    iterator,
    keys_backwards,
    last_key,
    read,
    records_after,
    records_backwards,
    records_of,
    scan,
    told,
)
from kvnode.storage.store import Records, View
from kvnode.storage.tuning import (
    CACHE_BYTES,
    INFO_LOGS_KEPT,
    WRITE_AHEAD_BYTES_MAX,
    family_options,
    store_options,
)

#: Tables in memory that are being flushed, or wait for it.
_UNFLUSHED: Final = "rocksdb.num-immutable-mem-table"

_AFTER_ALL_KEYS: Final = b"\xff" * (KEY_BYTES_MAX + 1)

#: So many batches at most came since the last flush, and can lie in write-ahead logs: those that
#: these hold, and as many again that came meanwhile, if each was the smallest there is.
_UNFLUSHED_BATCHES_MAX: Final = 2 * WRITE_AHEAD_BYTES_MAX // 512

#: Table files that are kept open at least: with fewer, each read would open one anew.
_FILES_OPEN_MIN: Final = 64

LOGGER: Final = logging.getLogger("kvnode.storage")


class RocksStore:
    """A `Store` in a directory."""

    def __init__(
        self,
        directory: Path,
        *,
        read_only: bool = False,
        first_position: int = 0,
        create: bool = True,
        expect_in_place: Callable[[], None] = lambda: None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        """If it is new, it counts requests with ids from `first_position` on."""
        self.expect_in_place = expect_in_place
        cache = Cache(cache_bytes)
        families = family_options(cache)
        access = AccessType.read_only() if read_only else AccessType.read_write()
        try:
            how = store_options(cache)
            how.create_if_missing(create)
            how.set_max_open_files(_files_open_max())
            self._db = Rdict(str(directory), how, column_families=families, access_type=access)
        except Exception as error:
            _remove_info_logs(directory)
            message = told(f"can't open the store in {directory}: {error}")
            raise StorageError(message) from error
        self._handles = {name: self._db.get_column_family_handle(name) for name in families}
        self._families = {name: self._db.get_column_family(name) for name in families}
        self._log, self._index, self._meta = (
            self._families[name] for name in ("log", "index", "meta")
        )
        self._synced = WriteOptions()
        self._synced.sync = True
        self._unsynced = WriteOptions()
        #: Nothing is due before it. What was swept is still in the way of a scan from the start.
        self._due_start = b""
        self._views: WeakSet[RocksView | RocksTableView] = WeakSet()
        try:
            self._position = layout.next_position(last_key(self._log))
            #: The log has nothing before it.
            self._log_start = layout.log_start(0)
            self._state = layout.decode_state(read(self._meta, layout.STATE))
            self._point(layout.decode_live(read(self._meta, layout.LIVE)))
            self._once = self._opened_once(self._families["once"])
            self._expect_no_hole()
            if not read_only and last_key(self._staged) is not None:
                self.clear_staged()
            if not read_only and self._once.is_new:
                self._write(self._once.begin(first_position), sync=False)
        except StorageError:
            self.close()
            raise

    @property
    def log_bytes(self) -> int:
        """See `Store.log_bytes`."""
        return self._state.log_bytes

    @property
    def log_end(self) -> int:
        """See `Store.log_end`."""
        return self._position

    def load(self) -> Saved:
        """See `Store.load`."""
        saved = layout.decode_saved(scan(self._meta))
        if not saved.origins and (self._position or last_key(self._table) is not None):
            raise StorageError("the store has data, but no record of what it has delivered")
        return saved

    def versions(self, key: bytes) -> Versions:
        """See `Store.versions`."""
        return layout.decode_table_record(read(self._table, key))

    def page(self, prefix: bytes, after: bytes, records_max: int) -> dict[bytes, Versions]:
        """See `Store.page`."""
        return _page(self._table, prefix, after, records_max)

    def origin_state(self, origin: str) -> OriginState:
        """See `Store.origin_state`."""
        return layout.decode_origin(origin, read(self._meta, layout.origin_key(origin)))

    @property
    def remembered_span(self) -> Span:
        """See `Store.remembered_span`."""
        return self._once.span

    def remembered(self, id_: bytes) -> WriteResults | None:
        """See `Store.remembered`."""
        return self._once.results(id_)

    def commit(self, commit: Commit, *, sync: bool) -> None:
        """See `Store.commit`."""
        moved = [self._log_key(Dot(was.origin, was.last)) for was, _ in commit.moved]
        puts = layout.encode_commit(commit, self._live, self._position, self.log_bytes, moved)
        span = self._once.after(commit)
        self._write([*puts, *self._once.puts(commit, span)] if commit.done else puts, sync=sync)
        self._once.span = span
        if commit.due:
            self._due_start = min(self._due_start, layout.due_key(*min(commit.due)))
        log_bytes = layout.log_bytes_after(commit, self.log_bytes)
        self._state = layout.state_after(commit, log_bytes)
        self._position += len(commit.batches)

    def sync(self) -> None:
        """See `Store.sync`."""
        try:
            self._db.flush_wal(sync=True)
        except Exception as error:
            raise StorageError(told(f"can't sync: {error}")) from error

    def since(
        self, lacking: Mapping[str, int], bytes_max: int, ends: Ends = NO_ENDS
    ) -> list[bytes]:
        """See `Store.since`."""
        try:
            return collect(lacking, ends, bytes_max, self._positions, self._batch_at)
        except Exception as error:
            raise StorageError(told(f"can't read the log: {error}")) from error

    def batches(
        self, lacking: Mapping[str, int], bytes_max: int, ends: Ends = NO_ENDS
    ) -> list[Batch]:
        """See `Store.batches`."""
        return layout.decoded(self.since(lacking, bytes_max, ends))

    def log_head(self, batches_max: int, bytes_max: int) -> list[Logged]:
        """See `Store.log_head`."""
        # From where it was, since the dropped are still in the way of a scan from zero.
        log = islice(scan(self._log, self._log_start), batches_max)
        head = layout.first_records(log, bytes_max)
        if head:
            self._log_start = head[0][0]
        return [layout.logged(key, len(encoded)) for key, encoded in head]

    def drop_log(self, dropped: Sequence[Logged], floor: Vector) -> None:
        """See `Store.drop_log`."""
        log_bytes = self.log_bytes - sum(batch.size_bytes for batch in dropped)
        state = self._state._replace(log_bytes=log_bytes)
        self._write(layout.encode_truncation(dropped, floor, state), sync=False)
        self._state = state

    def due(self, now_us: int, keys_max: int) -> list[Due]:
        """See `Store.due`."""
        records = scan(self._families[layout.DUES[self._live]], self._due_start)
        first = next(records, None)
        self._due_start = layout.due_key(now_us, b"") if first is None else first[0]
        return layout.due_in(chain([first] if first else [], records), now_us, keys_max)

    def sweep(self, due: Sequence[Due], left: Mapping[bytes, Versions]) -> None:
        """See `Store.sweep`."""
        self._write(layout.encode_sweep(due, left, self._live), sync=False)
        self._due_start = layout.due_key(*due[-1])

    def view(self) -> View:
        """See `Store.view`."""
        view = RocksView(self._meta, self._table, self._state)
        self._views.add(view)
        return view

    def table_view(self) -> TableView:
        """See `Store.table_view`."""
        view = RocksTableView(self._table)
        self._views.add(view)
        return view

    def clear_staged(self) -> None:
        """See `Store.clear_staged`."""
        self._write([], sync=False, clear=1 - self._live)

    def stage(self, table: Mapping[bytes, Versions], settled: Sequence[Due] = ()) -> None:
        """See `Store.stage`."""
        self._write(layout.encode_staged(table, settled, 1 - self._live), sync=False)

    def staged_versions(self, key: bytes) -> Versions:
        """See `Store.staged_versions`."""
        return layout.decode_table_record(read(self._staged, key))

    def staged_page(self, after: bytes, records_max: int) -> dict[bytes, Versions]:
        """See `Store.staged_page`."""
        return _page(self._staged, b"", after, records_max)

    def switch(self, saved: Saved) -> None:
        """See `Store.switch`."""
        puts = layout.encode_switch(saved, 1 - self._live, self.log_bytes)
        self._write(puts, sync=True, clear=self._live)
        self._point(1 - self._live)
        self._state = layout.state_of(saved, self.log_bytes)

    # --- what only files can do

    def begin_flush(self) -> None:
        """Have what only memory and the write-ahead log hold written to table files, by
        RocksDB's own threads: a checkpoint would wait for that."""
        try:
            for family in self._families.values():
                family.flush(False)
        except Exception as error:
            raise StorageError(told(f"can't flush: {error}")) from error

    @property
    def is_flushed(self) -> bool:
        """Whether what `begin_flush` began is done."""
        try:
            waiting = [family.property_value(_UNFLUSHED) for family in self._families.values()]
        except Exception as error:
            raise StorageError(told(f"can't flush: {error}")) from error
        return all(count == "0" for count in waiting)

    def checkpoint(self, directory: Path) -> None:
        """Make a store of what is committed in a directory that is not there yet; table
        files are shared, since they never change."""
        try:
            Checkpoint(self._db).create_checkpoint(str(directory))
        except Exception as error:
            raise StorageError(told(f"can't make a checkpoint: {error}")) from error

    def close(self) -> None:
        """See `Store.close`."""
        # Views, handles and column families hold the database, and its lock, as long as
        # they live.
        for view in self._views:
            view.close()
        self._handles.clear()
        for family in (*self._families.values(), self._db):
            try:
                family.close()
            except Exception as error:  # after a failed write, closing tells of it once more
                LOGGER.debug("closing the store: %s", error)

    def _opened_once(self, family: Rdict) -> once.Once:
        first = next(records_after(iterator(family), once.POSITION, once.POSITION), None)
        return once.Once(partial(read, family), first and first[0], last_key(family))

    def _expect_no_hole(self) -> None:
        """Of several write-ahead logs RocksDB takes the end of an older one to be torn as
        readily as that of the last; it goes on with the next, and says nothing of what is between.
        Such a store has delivered what it does not have, and would never ask for it again."""
        expected = self._position
        records = iterator(self._log)
        for key in islice(keys_backwards(records), _UNFLUSHED_BATCHES_MAX):
            expected -= 1
            if (position := layout.log_position(key)) != expected:
                raise StorageError(
                    f"the store lacks log positions {position + 1} to {expected}: the disk lost "
                    f"what was in an older write-ahead log; move the directory away, keep it, and "
                    f"restore a backup, or start with an empty one that the peers fill"
                )

    def _point(self, live: int) -> None:
        """This table is the node's, the other one stands aside."""
        self._live = live
        self._table = self._families[layout.TABLES[live]]
        self._staged = self._families[layout.TABLES[1 - live]]
        self._due_start = b""

    def _write(self, puts: layout.Puts, *, sync: bool, clear: int | None = None) -> None:
        """One atomic batch, which first clears one of the tables, if told."""
        batch = WriteBatch(raw_mode=True)
        if clear is not None:
            for family in (layout.TABLES[clear], layout.DUES[clear]):
                batch.delete_range(b"", _AFTER_ALL_KEYS, self._handles[family])
        for family, key, value in puts:
            if value is None:
                batch.delete(key, self._handles[family])
            else:
                batch.put(key, value, self._handles[family])
        try:
            self._db.write(batch, self._synced if sync else self._unsynced)
        except Exception as error:
            raise StorageError(told(f"can't commit: {error}")) from error

    def _positions(self, origin: str, seq: int) -> Iterator[bytes]:
        prefix = layout.index_prefix(origin)
        for key, position in scan(self._index, layout.index_key(origin, seq)):
            if not key.startswith(prefix):
                return
            yield position

    def _log_key(self, last: Dot) -> bytes:
        """Where the batch stands that ends there."""
        key = read(self._index, layout.index_key(*last))
        if key is None:
            raise StorageError(f"the log has no batch that ends at {last.origin}:{last.seq}")
        return key

    def _batch_at(self, position: bytes) -> bytes:
        batch: bytes = self._log[position]  # type: ignore[assignment]
        return batch


def _remove_info_logs(directory: Path) -> None:
    """Those that RocksDB moved aside: it does so each time, but removes the old ones only when
    it opens the store. A disk that fails for a day would collect 86,400 of them."""
    with suppress(OSError):  # the disk may take no removal either
        for log in sorted(directory.glob("LOG.old.*"))[: 1 - INFO_LOGS_KEPT]:
            log.unlink()


class RocksView:
    """A `View`: RocksDB's iterators go on seeing what was there when they were made."""

    def __init__(self, meta: Rdict, table: Rdict, state: layout.State) -> None:
        self.clock_us, self.digest, *_ = state
        self._meta: RdictIter | None = iterator(meta)
        self._table: RdictIter | None = iterator(table)

    def origins(self, after: bytes, bytes_max: int) -> Records:
        """See `View.origins`."""
        prefix = layout.ORIGIN
        found = layout.first_records(
            records_after(_open(self._meta), prefix, prefix + after), bytes_max
        )
        return [(key.removeprefix(prefix), record) for key, record in found]

    def table(self, after: bytes, bytes_max: int) -> Records:
        """See `View.table`."""
        return layout.first_records(records_after(_open(self._table), b"", after), bytes_max)

    def close(self) -> None:
        """See `View.close`."""
        self._meta = self._table = None


class RocksTableView:
    """A `TableView`: an iterator, since what rocksdict calls a snapshot iterates over what is there
    now (0.3.29)."""

    def __init__(self, table: Rdict) -> None:
        self._records: RdictIter | None = iterator(table)

    def records(self, start: bytes, end: bytes | None, *, reverse: bool) -> Iterator[TableRecord]:
        """See `TableView.records`."""
        if reverse:
            for key, record in records_backwards(_open(self._records), end):
                if key < start:
                    return
                yield key, layout.decode_table_record(record)
        else:
            for key, record in records_of(_open(self._records), start):
                if end is not None and key >= end:
                    return
                yield key, layout.decode_table_record(record)

    def close(self) -> None:
        """See `TableView.close`."""
        self._records = None


def _open(records: RdictIter | None) -> RdictIter:
    if records is None:
        raise StorageError("the view is closed")
    return records


def _page(family: Rdict, prefix: bytes, after: bytes, records_max: int) -> dict[bytes, Versions]:
    return layout.page_of(records_after(iterator(family), prefix, after), records_max)


def _files_open_max() -> int:
    """What the store may keep open of what this process may: the rest is for connections."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return -1 if limit == resource.RLIM_INFINITY else max(_FILES_OPEN_MIN, limit // 4)
