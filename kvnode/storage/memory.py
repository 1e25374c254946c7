"""The in-memory twin: a disk for tests, which loses exactly what was not synced.

It keeps the same bytes under the same keys as RocksDB would, so codec and recovery are
the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from weakref import WeakSet

from kvnode.core.batch import Batch
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
from kvnode.storage.store import Record, Records, View


class MemoryDisk:
    """What survives: the writes of synced commits, and of the others until a crash."""

    def __init__(self) -> None:
        self.families: dict[str, dict[bytes, bytes]] = {name: {} for name in layout.FAMILIES}
        self._unsynced: list[layout.Undo] = []
        #: What a failed commit left; who opens the disk next finds it.
        self._left: layout.Puts = []
        #: Set by tests: the next commit raises; whether its batch is there all the same.
        self.fail_next_commit: bool | None = None
        #: Set by tests: committing and opening for writing raise, as on a full disk.
        self.full = False
        #: Set by tests: what is written to it is found by nobody, as on files that were moved.
        self.moved = False

    @property
    def table(self) -> dict[bytes, bytes]:
        """The table that is the node's."""
        return self.families[
            layout.TABLES[layout.decode_live(self.families["meta"].get(layout.LIVE))]
        ]

    def scan(self, family: str) -> Iterator[Record]:
        """See `soundness.Readable`."""
        return iter(sorted(self.families[family].items()))

    def get(self, family: str, key: bytes) -> bytes | None:
        """See `soundness.Readable`."""
        return self.families[family].get(key)

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

    def leave(self, puts: layout.Puts) -> None:
        """The write failed, but it is there when the disk is opened the next time. As after a
        failed fsync, it is not synced."""
        self._left = puts

    def recover(self) -> None:
        """What was left is found."""
        if self._left:
            self.write(self._left, sync=False)
            self._left = []

    def sync(self) -> None:
        """A crash loses nothing of what was written before this."""
        self._unsynced.clear()

    @property
    def unsynced(self) -> int:
        """How many batches a crash may lose."""
        return len(self._unsynced)

    def crash(self, kept: int = 0) -> None:
        """Lose what was not synced, but for so many of the first: the operating system writes
        what is appended in its order."""
        self._left = []
        while len(self._unsynced) > kept:
            for name, key, value in reversed(self._unsynced.pop()):
                if value is None:
                    self.families[name].pop(key, None)
                else:
                    self.families[name][key] = value
        self._unsynced.clear()  # what survived is there for good


class MemoryView:
    """A `View` of a `MemoryDisk`."""

    def __init__(self, disk: MemoryDisk) -> None:
        self._meta = dict(disk.families["meta"])
        self._table = dict(disk.table)
        self._is_open = True
        self.clock_us, self.digest, *_ = layout.decode_state(self._meta.get(layout.STATE))

    def origins(self, after: bytes, bytes_max: int) -> Records:
        """See `View.origins`."""
        self._check_open()
        prefix = layout.ORIGIN
        found = layout.first_records(_records_after(self._meta, prefix, prefix + after), bytes_max)
        return [(key.removeprefix(prefix), record) for key, record in found]

    def table(self, after: bytes, bytes_max: int) -> Records:
        """See `View.table`."""
        self._check_open()
        return layout.first_records(_records_after(self._table, b"", after), bytes_max)

    def close(self) -> None:
        """See `View.close`."""
        self._is_open = False

    def _check_open(self) -> None:
        if not self._is_open:
            raise StorageError("the view is closed")


class MemoryTableView:
    """A `TableView` of a `MemoryDisk`."""

    def __init__(self, table: Mapping[bytes, bytes]) -> None:
        self._records: dict[bytes, bytes] | None = dict(table)

    def records(self, start: bytes, end: bytes | None, *, reverse: bool) -> Iterator[TableRecord]:
        """See `TableView.records`."""
        if self._records is None:
            raise StorageError("the view is closed")
        for key in sorted(self._records, reverse=reverse):
            if start <= key and (end is None or key < end):
                yield key, layout.decode_table_record(self._records[key])

    def close(self) -> None:
        """See `TableView.close`."""
        self._records = None


class MemoryStore:
    """A `Store` on a `MemoryDisk`."""

    def __init__(
        self, disk: MemoryDisk, *, read_only: bool = False, first_position: int = 0
    ) -> None:
        """See `RocksStore`."""
        if disk.full and not read_only:
            raise StorageError("no space left on the memory disk")
        if not read_only and disk.moved:
            raise StorageError("the memory disk was moved")
        disk.recover()
        self._disk = disk
        self._views: WeakSet[MemoryView | MemoryTableView] = WeakSet()
        self._read_only = read_only
        self._position = layout.next_position(max(disk.families["log"], default=None))
        self._state = layout.decode_state(disk.families["meta"].get(layout.STATE))
        self._live = layout.decode_live(disk.families["meta"].get(layout.LIVE))
        positions = [key for key in disk.families["once"] if key.startswith(once.POSITION)]
        self._once = once.Once(
            self._once_record, min(positions, default=None), max(positions, default=None)
        )
        if self._staged and not read_only:
            self.clear_staged()
        if self._once.is_new and not read_only:
            self._write(self._once.begin(first_position), sync=False)

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
        return layout.decode_saved(self._disk.families["meta"].items())

    def versions(self, key: bytes) -> Versions:
        """See `Store.versions`."""
        return layout.decode_table_record(self._table.get(key))

    def page(self, prefix: bytes, after: bytes, records_max: int) -> dict[bytes, Versions]:
        """See `Store.page`."""
        return _page(self._table, prefix, after, records_max)

    def origin_state(self, origin: str) -> OriginState:
        """See `Store.origin_state`."""
        return layout.decode_origin(origin, self._disk.get("meta", layout.origin_key(origin)))

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
        log_bytes = layout.log_bytes_after(commit, self.log_bytes)
        self._state = layout.state_after(commit, log_bytes)
        self._position += len(commit.batches)

    def expect_in_place(self) -> None:
        """See `Store.expect_in_place`."""
        if self._disk.moved:
            raise StorageError("the memory disk was moved")

    def sync(self) -> None:
        """See `Store.sync`."""
        self._refuse_if_read_only()
        self._disk.sync()

    def since(
        self, lacking: Mapping[str, int], bytes_max: int, ends: Ends = NO_ENDS
    ) -> list[bytes]:
        """See `Store.since`."""
        log = self._disk.families["log"]
        return collect(lacking, ends, bytes_max, self._positions, log.__getitem__)

    def batches(
        self, lacking: Mapping[str, int], bytes_max: int, ends: Ends = NO_ENDS
    ) -> list[Batch]:
        """See `Store.batches`."""
        return layout.decoded(self.since(lacking, bytes_max, ends))

    def log_head(self, batches_max: int, bytes_max: int) -> list[Logged]:
        """See `Store.log_head`."""
        log = sorted(self._disk.families["log"].items())
        head = layout.first_records(iter(log[:batches_max]), bytes_max)
        return [layout.logged(key, len(encoded)) for key, encoded in head]

    def drop_log(self, dropped: Sequence[Logged], floor: Vector) -> None:
        """See `Store.drop_log`."""
        log_bytes = self.log_bytes - sum(batch.size_bytes for batch in dropped)
        state = self._state._replace(log_bytes=log_bytes)
        self._write(layout.encode_truncation(dropped, floor, state), sync=False)
        self._state = state

    def due(self, now_us: int, keys_max: int) -> list[Due]:
        """See `Store.due`."""
        return layout.due_in(self._disk.scan(layout.DUES[self._live]), now_us, keys_max)

    def sweep(self, due: Sequence[Due], left: Mapping[bytes, Versions]) -> None:
        """See `Store.sweep`."""
        self._write(layout.encode_sweep(due, left, self._live), sync=False)

    def view(self) -> View:
        """See `Store.view`."""
        view = MemoryView(self._disk)
        self._views.add(view)
        return view

    def table_view(self) -> TableView:
        """See `Store.table_view`."""
        view = MemoryTableView(self._table)
        self._views.add(view)
        return view

    def clear_staged(self) -> None:
        """See `Store.clear_staged`."""
        self._write(self._clearing(1 - self._live), sync=False)

    def stage(self, table: Mapping[bytes, Versions], settled: Sequence[Due] = ()) -> None:
        """See `Store.stage`."""
        self._write(layout.encode_staged(table, settled, 1 - self._live), sync=False)

    def staged_versions(self, key: bytes) -> Versions:
        """See `Store.staged_versions`."""
        return layout.decode_table_record(self._staged.get(key))

    def staged_page(self, after: bytes, records_max: int) -> dict[bytes, Versions]:
        """See `Store.staged_page`."""
        return _page(self._staged, b"", after, records_max)

    def switch(self, saved: Saved) -> None:
        """See `Store.switch`."""
        puts = layout.encode_switch(saved, 1 - self._live, self.log_bytes)
        self._write([*puts, *self._clearing(self._live)], sync=True)
        self._live = 1 - self._live
        self._state = layout.state_of(saved, self.log_bytes)

    def close(self) -> None:
        """See `Store.close`."""
        for view in self._views:
            view.close()

    @property
    def _table(self) -> dict[bytes, bytes]:
        return self._disk.families[layout.TABLES[self._live]]

    @property
    def _staged(self) -> dict[bytes, bytes]:
        return self._disk.families[layout.TABLES[1 - self._live]]

    def _clearing(self, table: int) -> layout.Puts:
        families = (layout.TABLES[table], layout.DUES[table])
        return [(name, key, None) for name in families for key in self._disk.families[name]]

    def _write(self, puts: layout.Puts, *, sync: bool) -> None:
        self._refuse_if_read_only()
        failing, self._disk.fail_next_commit = self._disk.fail_next_commit, None
        if failing:
            self._disk.leave(puts)
        if self._disk.full:
            raise StorageError("no space left on the memory disk")
        if failing is not None:
            raise StorageError("a commit failed because a test asked for it")
        self._disk.write(puts, sync=sync)

    def _refuse_if_read_only(self) -> None:
        if self._read_only:
            raise StorageError("the memory disk is open for reading only")

    def _once_record(self, key: bytes) -> bytes | None:
        return self._disk.families["once"].get(key)

    def _log_key(self, last: Dot) -> bytes:
        key = self._disk.get("index", layout.index_key(*last))
        if key is None:
            raise StorageError(f"the log has no batch that ends at {last.origin}:{last.seq}")
        return key

    def _positions(self, origin: str, seq: int) -> Iterator[bytes]:
        index = self._disk.families["index"]
        keys = sorted(key for key in index if key.startswith(layout.index_prefix(origin)))
        start = layout.index_key(origin, seq)
        at = next((n for n, key in enumerate(keys) if key >= start), len(keys))
        yield from (index[key] for key in keys[at:])


def _records_after(records: Mapping[bytes, bytes], prefix: bytes, after: bytes) -> Iterator[Record]:
    keys = sorted(key for key in records if key > after and key.startswith(prefix))
    return ((key, records[key]) for key in keys)


def _page(
    records: Mapping[bytes, bytes], prefix: bytes, after: bytes, records_max: int
) -> dict[bytes, Versions]:
    return layout.page_of(_records_after(records, prefix, after), records_max)
