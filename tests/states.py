"""States: what a node holds that delivered a history's log, as its snapshot would say."""

from __future__ import annotations

from collections.abc import Iterable

from kvnode.core.messages import Commit, OriginState, Saved, Snapshot
from kvnode.core.succession import Cut
from kvnode.core.versions import DIGEST_MODULUS, Version, Versions, fingerprint, merged
from kvnode.storage.memory import MemoryDisk, MemoryStore
from tests.histories import Made, Process

Table = dict[bytes, Versions]


class State:
    """Grows with each batch that is delivered."""

    def __init__(self) -> None:
        self.table: Table = {}
        self.origins: dict[str, OriginState] = {}
        self.cut = Cut.restored({}, {})
        self.clock_us = 0

    @property
    def digest(self) -> int:
        """The sum over the table, made anew."""
        return digest_of(self.table)

    @property
    def entries(self) -> dict[str, int]:
        """The vector, spelled out."""
        return self.cut.entries

    def deliver(self, made: Made) -> None:
        """One more batch."""
        batch, row, _ = made
        for seq, write in enumerate(batch.writes, batch.first):
            for key, value, _ in write:
                own = Version(batch.stamp_us, batch.origin, seq, value or b"")
                present = self.table.get(key, ())
                after = merged(present, self.cut.succession, row, own, deleted=value is None)
                self.table[key] = after
                if not after:
                    del self.table[key]
        ends = made.ends if batch.first == 1 else self.origins[batch.origin].ends
        self.origins[batch.origin] = OriginState(batch.last, batch.stamp_us, row, ends)
        self.cut.advance(batch.origin, batch.last, made.ends)
        self.clock_us = max(self.clock_us, batch.stamp_us)

    def saved(self) -> Saved:
        """As a node keeps it, whose log has all."""
        return Saved(dict(self.origins), self.clock_us, self.digest)

    def snapshot(self) -> Snapshot:
        """As a peer fetches it."""
        return Snapshot(dict(self.origins), self.clock_us, self.digest)

    def store(self) -> MemoryStore:
        """It on a disk, without the log."""
        store = MemoryStore(MemoryDisk())
        store.commit(Commit(self.table, (), self.origins, self.clock_us, self.digest), sync=True)
        return store


def state_of(*logs: Iterable[Made]) -> State:
    """What a node holds that delivered one log, then what it lacked of the next."""
    state = State()
    for log in logs:
        for made in log:
            if made.batch.last > state.entries.get(made.batch.origin, 0):
                state.deliver(made)
    return state


def union_of(one: Process, other: Process) -> State:
    """What either becomes when it has delivered all that the other has."""
    return state_of(one.log, other.log)


def digest_of(table: Table) -> int:
    """The digest of this table."""
    prints = (fingerprint(key, version) for key in table for version in table[key])
    return sum(prints) % DIGEST_MODULUS
