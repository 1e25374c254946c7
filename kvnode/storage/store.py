"""What the rest of kvnode knows of storage. RocksDB and an in-memory twin provide it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from kvnode.core.batch import Batch
from kvnode.core.messages import Commit, Due, OriginState, Saved
from kvnode.core.once import Span
from kvnode.core.overlay import TableView
from kvnode.core.results import WriteResults
from kvnode.core.succession import NO_ENDS, Ends
from kvnode.core.truncation import Logged
from kvnode.core.vector import Vector
from kvnode.core.versions import Versions

#: A key and what is encoded there; several in the order of their keys.
Record = tuple[bytes, bytes]
Records = list[Record]


class View(Protocol):
    """The committed state at one moment, unmoved by what is committed later."""

    clock_us: int
    digest: int

    def origins(self, after: bytes, bytes_max: int) -> Records:
        """States of origins whose ids come after `after`, up to a size, at least one."""

    def table(self, after: bytes, bytes_max: int) -> Records:
        """Versions of keys after `after`, up to a size, at least one."""

    def close(self) -> None:
        """Let go of what the view holds on disk."""


class Store(Protocol):
    """An open store. Every method raises StorageError when the disk fails.

    One that is open for reading needs no room on the disk and shows all commits, synced or
    not; it refuses to commit and to sync with a StorageError too.
    """

    @property
    def log_bytes(self) -> int:
        """Bytes of the batches in the log."""

    @property
    def log_end(self) -> int:
        """The position of the next batch."""

    def load(self) -> Saved:
        """All that a replica needs beside the table."""

    def versions(self, key: bytes) -> Versions:
        """The versions of a key, the winner first; empty if it is not there."""

    def page(self, prefix: bytes, after: bytes, records_max: int) -> dict[bytes, Versions]:
        """The first keys after `after`, of those with the prefix, in their order; fewer if they
        are large, but one if there is any."""

    @property
    def remembered_span(self) -> Span:
        """Which requests with ids are remembered."""

    def remembered(self, id_: bytes) -> WriteResults | None:
        """What the writes of such a request brought; None if it is not remembered."""

    def origin_state(self, origin: str) -> OriginState:
        """What is kept of an origin that was delivered from."""

    def commit(self, commit: Commit, *, sync: bool) -> None:
        """Save a turn, all of it or nothing; with `sync`, so that it survives power loss.

        After an error nobody knows which: the store must be closed and opened again. Until
        then it shows what was there before.
        """

    def expect_in_place(self) -> None:
        """Raise StorageError if the files are not where they were opened: what is written then,
        nobody may find again."""

    def sync(self) -> None:
        """Make all earlier commits survive a power loss."""

    def since(
        self, lacking: Mapping[str, int], bytes_max: int, ends: Ends = NO_ENDS
    ) -> list[bytes]:
        """Batches from the log, in the order of their delivery here.

        `lacking` gives for each origin that is asked for the first seq wanted. Stops before
        the batch that would exceed `bytes_max`, but has at least one if there is any. To know
        what the origins end saves looking for what comes much later.
        """

    def batches(
        self, lacking: Mapping[str, int], bytes_max: int, ends: Ends = NO_ENDS
    ) -> list[Batch]:
        """What `since` gives, decoded."""

    def log_head(self, batches_max: int, bytes_max: int) -> list[Logged]:
        """The oldest batches of the log, at least one if there is any."""

    def drop_log(self, dropped: Sequence[Logged], floor: Vector) -> None:
        """Drop the oldest batches; the log reaches down to this floor then."""

    def due(self, now_us: int, keys_max: int) -> list[Due]:
        """Of the versions in the table the first so many that expire by now."""

    def sweep(self, due: Sequence[Due], left: Mapping[bytes, Versions]) -> None:
        """Remove what has expired: of these keys this is left, and all of these are not due any
        more. It needs no sync: what a power loss brings back is swept again."""

    def view(self) -> View:
        """What is committed now."""

    def table_view(self) -> TableView:
        """The committed table as it is now, for scans."""

    def clear_staged(self) -> None:
        """Forget what is staged."""

    def stage(self, table: Mapping[bytes, Versions], settled: Sequence[Due] = ()) -> None:
        """Set versions of keys in the table that stands aside; empty deletes the key. Versions
        that are replaced and would have expired are `settled`."""

    def staged_versions(self, key: bytes) -> Versions:
        """The versions of a key that are staged."""

    def staged_page(self, after: bytes, records_max: int) -> dict[bytes, Versions]:
        """The first staged keys after `after`; see `page`."""

    def switch(self, saved: Saved) -> None:
        """Make what is staged the table, and this the rest, in one synced commit."""

    def close(self) -> None:
        """Let go of the disk; its views can't be read any more. What was committed stays."""
