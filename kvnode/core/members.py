"""Membership is data: each member has a record under a prefix that is kvnode's own.

A record is written, gossiped, logged and repaired like everything else. The first write
of an incarnation is its record, which replaces those of its predecessors. To forget a
member is to delete its records; a record made where that was not seen survives it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from kvnode.core.batch import Change, Write
from kvnode.core.limits import RESERVED_PREFIX
from kvnode.core.succession import Cut
from kvnode.core.vector import Dot, is_origin, name_of
from kvnode.core.versions import Version, Versions

MEMBER_PREFIX: Final = RESERVED_PREFIX + b"member/"

_RECORDS_PER_PAGE: Final = 1_000


def member_key(origin: str) -> bytes:
    """Where an incarnation keeps its record."""
    return MEMBER_PREFIX + origin.encode()


def all_records(
    page: Callable[[bytes, bytes, int], dict[bytes, Versions]],
) -> dict[bytes, Versions]:
    """Every member's records, read from a table page by page."""
    records: dict[bytes, Versions] = {}
    while found := page(MEMBER_PREFIX, max(records, default=b""), _RECORDS_PER_PAGE):
        records |= found
    return records


class Members:
    """The records that a node's table holds, as its turn sees them."""

    def __init__(self, records: Mapping[bytes, Versions]) -> None:
        self._by_name: dict[str, dict[bytes, Versions]] = {}
        #: Goes up with every change.
        self.changes = 0
        for key, versions in records.items():
            self.changed(key, versions)

    def changed(self, key: bytes, versions: Versions) -> None:
        """A record was written or deleted: these versions are left."""
        origin = key.removeprefix(MEMBER_PREFIX).decode(errors="replace")
        if not is_origin(origin):
            return  # no honest node makes such a key
        self.changes += 1
        name = name_of(origin)
        records = self._by_name.setdefault(name, {})
        if versions:
            records[key] = versions
        else:
            records.pop(key, None)
        if not records:
            del self._by_name[name]

    def names(self) -> set[str]:
        """Who is a member."""
        return set(self._by_name)

    def records(self, name: str) -> list[Version]:
        """A member's records, the latest first; several if they were made concurrently."""
        return sorted((held[0] for held in self._by_name.get(name, {}).values()), reverse=True)

    def renewal(self, origin: str, record: bytes) -> Write:
        """The record of this incarnation in place of all others of its name."""
        own = member_key(origin)
        others = sorted(key for key in self._by_name.get(name_of(origin), ()) if key != own)
        return (Change(own, record), *(Change(key, None) for key in others))

    def forgetting(self, name: str) -> Write:
        """What makes a name no member; empty if it is none."""
        return tuple(Change(key, None) for key in sorted(self._by_name.get(name, ())))

    def has_forgotten(self, name: str, record: Dot, cut: Cut) -> bool:
        """Whether a record that was here is gone, and its name has no other."""
        was_here = cut.entries.get(record.origin, 0) >= record.seq
        return was_here and name not in self._by_name
