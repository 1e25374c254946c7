"""What the rest of kvnode knows of storage. RocksDB and an in-memory twin provide it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from kvnode.core.messages import Commit
from kvnode.core.replica import Saved
from kvnode.core.versions import Versions


class Store(Protocol):
    """An open store. Every method raises StorageError when the disk fails."""

    def load(self) -> Saved:
        """All that a replica needs beside the table."""

    def versions(self, key: bytes) -> Versions:
        """The versions of a key, the winner first; empty if it is not there."""

    def commit(self, commit: Commit, *, sync: bool) -> None:
        """Save a turn, all of it or nothing; with `sync`, so that it survives power loss.

        After an error nobody knows which: the store must be closed and opened again.
        """

    def sync(self) -> None:
        """Make all earlier commits survive a power loss."""

    def since(self, lacking: Mapping[str, int], bytes_max: int) -> list[bytes]:
        """Batches from the log, in the order of their delivery here.

        `lacking` gives for each origin that is asked for the first seq wanted. Ends before
        the batch that would exceed `bytes_max`, but has at least one if there is any.
        """

    def close(self) -> None:
        """Let go of the disk. What was committed stays."""
