"""What was committed before a commit failed, on a disk that can only be read meanwhile.

Nobody knows whether the failed commit is there, nor whether it would survive a power failure.
So until the store is open for writing, it is neither shown to clients nor handed to peers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kvnode.core.batch import Batch
from kvnode.core.messages import Commit, Due, OriginState, Saved
from kvnode.core.once import Span
from kvnode.core.overlay import Overlay, TableView
from kvnode.core.results import WriteResults
from kvnode.core.succession import NO_ENDS, Ends
from kvnode.core.truncation import Logged
from kvnode.core.vector import Vector, joined
from kvnode.core.versions import Versions
from kvnode.errors import StorageError
from kvnode.storage import layout
from kvnode.storage.store import Store, View


class Before(NamedTuple):
    """How it was before a commit, where the commit would change it."""

    saved: Saved
    table: Mapping[bytes, Versions]
    #: What the commit would add to the log, as encoded.
    hidden: frozenset[bytes]
    #: The requests with ids that it would remember, by their ids.
    forgotten: frozenset[bytes] = frozenset()


def before(store: Store, failed: Commit | None) -> Before:
    """Ask the store whose commit failed, which still shows it. Raises StorageError."""
    saved = store.load()
    if failed is None:
        return Before(saved, {}, frozenset())
    table = {key: store.versions(key) for key in failed.table}
    hidden = {
        batch.encoded
        for batch in failed.batches
        if batch.origin not in saved.origins or saved.origins[batch.origin].delivered < batch.last
    }
    forgotten = frozenset(id_ for id_ in failed.done if store.remembered(id_) is None)
    return Before(saved, table, frozenset(hidden), forgotten)


def expect_all(found: Saved, had: Vector) -> None:
    """Raise StorageError if a store that was opened again lacks what this node knows to be there:
    then it is an older one. A start takes that as it is."""
    for origin, seq in had.items():
        if origin not in found.origins or found.origins[origin].delivered < seq:
            raise StorageError(
                "the disk no longer has all that was committed. Put the right one back, and the "
                "node writes again; to go on with this one, start the node again"
            )


class FrozenStore:
    """A `Store` that is open for reading, as it was before."""

    def __init__(self, store: Store, was: Before) -> None:
        self._store = store
        self._was = was

    def load(self) -> Saved:
        """See `Store.load`. The disk must still have what was committed; but if it was dropping the
        start of its log that failed, that may be gone all the same."""
        found, was = self._store.load(), self._was.saved
        expect_all(found, {origin: state.delivered for origin, state in was.origins.items()})
        return was._replace(floor=joined(was.floor, found.floor))

    def versions(self, key: bytes) -> Versions:
        """See `Store.versions`."""
        was = self._was.table.get(key)
        return self._store.versions(key) if was is None else was

    def page(self, prefix: bytes, after: bytes, records_max: int) -> dict[bytes, Versions]:
        """See `Store.page`; what was there and is not any more is left out."""
        found = self._store.page(prefix, after, records_max)
        return {key: self._was.table.get(key, versions) for key, versions in found.items()}

    def origin_state(self, origin: str) -> OriginState:
        """See `Store.origin_state`."""
        return self._was.saved.origins[origin]

    @property
    def remembered_span(self) -> Span:
        """See `Store.remembered_span`. What is hidden counts: to know of more is no harm."""
        return self._store.remembered_span

    def remembered(self, id_: bytes) -> WriteResults | None:
        """See `Store.remembered`."""
        return None if id_ in self._was.forgotten else self._store.remembered(id_)

    def commit(self, commit: Commit, *, sync: bool) -> None:
        """See `Store.commit`."""
        self._store.commit(commit, sync=sync)

    def expect_in_place(self) -> None:
        """See `Store.expect_in_place`."""
        self._store.expect_in_place()

    def sync(self) -> None:
        """See `Store.sync`."""
        self._store.sync()

    def since(
        self, lacking: Mapping[str, int], bytes_max: int, ends: Ends = NO_ENDS
    ) -> list[bytes]:
        """See `Store.since`. What is hidden stands at the end of the log."""
        found = self._store.since(lacking, bytes_max, ends)
        return [batch for batch in found if batch not in self._was.hidden]

    @property
    def log_bytes(self) -> int:
        """See `Store.log_bytes`."""
        return self._store.log_bytes

    @property
    def log_end(self) -> int:
        """See `Store.log_end`."""
        return self._store.log_end

    def batches(
        self, lacking: Mapping[str, int], bytes_max: int, ends: Ends = NO_ENDS
    ) -> list[Batch]:
        """See `Store.batches`."""
        return layout.decoded(self.since(lacking, bytes_max, ends))

    def log_head(self, batches_max: int, bytes_max: int) -> list[Logged]:
        """See `Store.log_head`."""
        return self._store.log_head(batches_max, bytes_max)

    def drop_log(self, dropped: Sequence[Logged], floor: Vector) -> None:
        """See `Store.drop_log`."""
        self._store.drop_log(dropped, floor)

    def due(self, now_us: int, keys_max: int) -> list[Due]:
        """See `Store.due`."""
        return self._store.due(now_us, keys_max)

    def sweep(self, due: Sequence[Due], left: Mapping[bytes, Versions]) -> None:
        """See `Store.sweep`."""
        self._store.sweep(due, left)

    def view(self) -> View:
        """See `Store.view`. What is hidden could be seen in it."""
        raise StorageError("the disk takes no writes; there are no snapshots meanwhile")

    def table_view(self) -> TableView:
        """See `Store.table_view`."""
        return Overlay(self._store.table_view(), self._was.table)

    def clear_staged(self) -> None:
        """See `Store.clear_staged`."""
        self._store.clear_staged()

    def stage(self, table: Mapping[bytes, Versions], settled: Sequence[Due] = ()) -> None:
        """See `Store.stage`."""
        self._store.stage(table, settled)

    def staged_versions(self, key: bytes) -> Versions:
        """See `Store.staged_versions`."""
        return self._store.staged_versions(key)

    def staged_page(self, after: bytes, records_max: int) -> dict[bytes, Versions]:
        """See `Store.staged_page`."""
        return self._store.staged_page(after, records_max)

    def switch(self, saved: Saved) -> None:
        """See `Store.switch`."""
        self._store.switch(saved)

    def close(self) -> None:
        """See `Store.close`."""
        self._store.close()
