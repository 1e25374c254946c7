"""Tables in the order of their keys, with changes laid over what is committed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from kvnode.core.versions import Versions

#: A key and its versions, the winner first; none where it was deleted.
Record = tuple[bytes, Versions]


class TableView(Protocol):
    """A table as it was at one moment, unmoved by what is committed later."""

    def records(self, start: bytes, end: bytes | None, *, reverse: bool) -> Iterator[Record]:
        """The keys from `start` to before `end` (None for all others) in their order, or in the
        reverse; one such iterator at a time."""

    def close(self) -> None:
        """Let go of what the view holds on disk."""


class Overlay:
    """A `TableView` with changes laid over it, as they are when this is made."""

    def __init__(self, view: TableView, changes: Mapping[bytes, Versions]) -> None:
        self._view = view
        self._changes = dict(changes)
        self._keys = sorted(self._changes)

    @property
    def size_bytes(self) -> int:
        """What the changes hold in memory."""
        return sum(size_bytes(key, versions) for key, versions in self._changes.items())

    def records(self, start: bytes, end: bytes | None, *, reverse: bool) -> Iterator[Record]:
        """See `TableView.records`; of keys that were deleted by a change, no versions."""
        records = self._view.records(start, end, reverse=reverse)
        changed = self._changed(start, end)
        if not changed:
            return records
        return self._merged(records, reversed(changed) if reverse else changed, reverse=reverse)

    def close(self) -> None:
        """See `TableView.close`."""
        self._view.close()

    def _changed(self, start: bytes, end: bytes | None) -> list[bytes]:
        last = len(self._keys) if end is None else bisect_left(self._keys, end)
        return self._keys[bisect_left(self._keys, start) : last]

    def _merged(
        self, records: Iterator[Record], changed: Iterable[bytes], *, reverse: bool
    ) -> Iterator[Record]:
        keys = iter(changed)
        key = next(keys, None)
        for record in records:
            while key is not None and (key > record[0] if reverse else key < record[0]):
                yield key, self._changes[key]
                key = next(keys, None)
            if key == record[0]:
                yield key, self._changes[key]
                key = next(keys, None)
            else:
                yield record
        while key is not None:
            yield key, self._changes[key]
            key = next(keys, None)


def size_bytes(key: bytes, versions: Versions) -> int:
    """What a record weighs: its key and all of its values."""
    if len(versions) == 1:  # as nearly all have, and this is asked of each that a scan reads
        return len(key) + len(versions[0].value)
    return len(key) + sum(len(version.value) for version in versions)
