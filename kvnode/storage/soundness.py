"""What a sound store looks like, and what is wrong with one that is not.

All of it is read, once and in order; what is remembered is what a node remembers too, an entry
for each origin. Nothing is believed that the bytes do not show.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from kvnode.codec.batches import decode_batch
from kvnode.codec.once import checked_done
from kvnode.codec.packing import integer, key_bytes, told, vector
from kvnode.codec.records import checked_origin_state, checked_own_past, checked_versions
from kvnode.core.clock import STAMP_US_MAX
from kvnode.core.messages import OriginState, OwnPast
from kvnode.core.renaming import renamed
from kvnode.core.results import Written
from kvnode.core.succession import Cut
from kvnode.core.vector import Vector, is_origin, name_of
from kvnode.core.versions import DIGEST_MODULUS, Versions, fingerprint, ranked
from kvnode.errors import MalformedError, StorageError
from kvnode.storage import layout, once
from kvnode.storage.reading import Reading
from kvnode.storage.store import Record

#: Problems that are told; all are counted. One cause can make one for each record.
PROBLEMS_TOLD: Final = 100


class Readable(Protocol):
    """The families of a store."""

    def scan(self, family: str) -> Iterator[Record]:
        """All records in the order of their keys. Raises StorageError."""

    def get(self, family: str, key: bytes) -> bytes | None:
        """One record. Raises StorageError."""


@dataclass
class Findings:
    """What there is, in numbers, and what is wrong with it."""

    #: What is delivered, in normal form.
    vector: Vector = field(default_factory=dict)
    digest: int = 0
    origins: int = 0
    batches: int = 0
    writes: int = 0
    log_bytes: int = 0
    keys: int = 0
    versions: int = 0
    #: Keys of a snapshot that was coming; the next start forgets them.
    staged: int = 0
    #: Requests with ids that are remembered.
    remembered: int = 0
    #: The first ones.
    problems: list[str] = field(default_factory=list)
    problems_count: int = 0

    def add(self, problem: str) -> None:
        """One more problem."""
        self.problems_count += 1
        if len(self.problems) < PROBLEMS_TOLD:
            self.problems.append(problem)


def examined(store: Readable) -> Findings:
    """Everything that can be said of a store without its node."""
    examination = _Examination(store)
    try:
        examination.meta()
    except (StorageError, MalformedError) as error:
        examination.findings.add(str(error))  # the rest would be judged by what is not known
        return examination.findings
    for part in (
        examination.vectors,
        examination.log,
        examination.index,
        examination.table,
        examination.due,
        examination.staged,
        examination.once,
    ):
        try:
            part()
        except StorageError as error:
            examination.findings.add(str(error))
    return examination.findings


class _Examination:
    """The parts of an examination; `meta` comes first, the others judge by it."""

    def __init__(self, store: Readable) -> None:
        self.findings = Findings()
        self._store = store
        self._add = self.findings.add
        self._state = layout.State()
        self._origins: dict[str, OriginState] = {}
        self._floor: Vector = {}
        self._own = OwnPast()
        self._live = 0
        self._cut = Cut.restored({}, {})

    # --- what the node knows of itself

    def meta(self) -> None:
        """Read what all else is judged by."""
        records = dict(self._store.scan("meta"))
        state = records.pop(layout.STATE, None)
        self._state = layout.decode_state(state)
        integer(self._state.clock_us, 0, STAMP_US_MAX, "the clock")
        self._live = layout.decode_live(records.pop(layout.LIVE, None))
        if (floor := records.pop(layout.FLOOR, None)) is not None:
            self._floor = vector(layout.decode_floor(floor), "the floor")
        if (own := records.pop(layout.OWN, None)) is not None:
            self._own = checked_own_past(own)
        for key, record in records.items():
            self._take_origin(key, record)
        if state is None and (records or self._has_data()):
            raise StorageError("the store has data, but no record of its state")
        delivered = {origin: state.delivered for origin, state in self._origins.items()}
        ends = {origin: state.ends for origin, state in self._origins.items()}
        self._cut = Cut.restored(delivered, ends)
        if circular := sorted(o for o in ends if ends[o] and o not in self._cut.succession.ends):
            self._add(f"{circular[0]} ends what ends it")
        self.findings.origins = len(self._origins)
        self.findings.vector = dict(self._cut.heads)

    def _take_origin(self, key: bytes, record: bytes) -> None:
        origin = key.removeprefix(layout.ORIGIN).decode(errors="replace")
        if not key.startswith(layout.ORIGIN) or not is_origin(origin):
            self._add(f"meta has a record {told(key)}, which is none of kvnode's")
            return
        try:
            self._origins[origin] = checked_origin_state(record)
        except MalformedError as error:
            self._add(f"the state of {origin} can't be read: {error}")

    def _has_data(self) -> bool:
        families = (layout.TABLES[self._live], "log", "index")
        return any(True for family in families for _ in self._store.scan(family))

    def vectors(self) -> None:
        """Rows, ends, the floor and what is confirmed lie within what is delivered."""
        for origin, state in self._origins.items():
            if self._cut.succession.normal(state.row) != state.row:
                self._add(f"the row of {origin} is not in normal form")
            for what, entries in (("row", state.row), ("ends", state.ends)):
                self._expect_delivered(f"the {what} of {origin}", entries)
            if any(name_of(ended) != name_of(origin) or ended == origin for ended in state.ends):
                self._add(f"the ends of {origin} name other than its name's other incarnations")
            if state.stamp_us > self._state.clock_us:
                self._add(f"the clock is behind the last stamp of {origin}")
        self._expect_delivered("the floor", self._floor)
        if self._own.origin:
            self._expect_delivered("what is confirmed", {self._own.origin: self._own.seq})

    def _expect_delivered(self, what: str, entries: Vector) -> None:
        for origin, seq in entries.items():
            if seq > self._cut.entries.get(origin, 0):
                self._add(f"{what} names {origin}:{seq}, which is not delivered")

    # --- the log and its index

    def log(self) -> None:
        """Batch after batch, as a node that starts at the floor would take them in."""
        floor = self._cut.succession.expanded(self._floor)
        reading = Reading(self._origins, floor, self._cut, self._add)
        position: int | None = None
        for key, encoded in self._store.scan("log"):
            self.findings.batches += 1
            self.findings.log_bytes += len(encoded)
            position = self._expect_position(key, position)
            try:
                batch = decode_batch(encoded)
            except MalformedError as error:
                self._add(f"log position {position}: {error}")
                continue
            self.findings.writes += len(batch.writes)
            if key != layout.log_key(position, batch.origin, batch.last):
                holds = f"{batch.origin}:{batch.first}-{batch.last}"
                self._add(f"log position {position} holds {holds}, which its key does not say")
            if batch.stamp_us > self._state.clock_us:
                self._add(f"the clock is behind the stamp of {batch.origin}:{batch.first}")
            self._expect_index(key, position)
            reading.take(batch)
        reading.end()
        if self.findings.log_bytes != self._state.log_bytes:
            counted, said = self.findings.log_bytes, self._state.log_bytes
            self._add(f"the log has {counted} bytes, but {said} are recorded")

    def _expect_position(self, key: bytes, before: int | None) -> int:
        """The position in a log key, which should be the next one."""
        position = layout.log_position(key.ljust(len(layout.log_start(0)), b"\0"))
        if before is not None and position != before + 1:
            self._add(f"the log goes on at position {position} after {before}")
        return position

    def _expect_index(self, key: bytes, position: int) -> None:
        found = self._store.get("index", layout.indexed(key))
        if found is None:
            self._add(f"log position {position} is not in the index")
        elif found != key:
            self._add(f"the index has {told(found)} for log position {position}")

    def index(self) -> None:
        """Each entry finds the batch that it names; that each batch has one, the log tells."""
        for key, found in self._store.scan("index"):
            if layout.indexed(found) != key:
                self._add(f"the index has {told(found)} for {told(key)}")
            elif self._store.get("log", found) is None:
                self._add(f"the index has {told(key)}, which is not in the log")

    # --- the table

    def table(self) -> None:
        """Every version is one that was delivered, and together they have the digest."""
        for key, record in self._store.scan(layout.TABLES[self._live]):
            self.findings.keys += 1
            try:
                key_bytes(key)
                versions = checked_versions(record)
            except MalformedError as error:
                self._add(f"key {told(key)}: {error}")
                continue
            self.findings.versions += len(versions)
            self._take_versions(key, versions)
            self._expect_due(key, versions)
        if self.findings.digest != self._state.digest:
            made, said = self.findings.digest, self._state.digest
            self._add(f"the table has the digest {made:032x}, but {said:032x} is recorded")

    def _take_versions(self, key: bytes, versions: Versions) -> None:
        if versions != ranked(versions):
            self._add(f"key {told(key)}: its winner does not come first")
        if len({version.origin for version in versions}) < len(versions):
            self._add(f"key {told(key)}: two versions by one origin")
        for version in versions:
            if version.seq > self._cut.entries.get(version.origin, 0):
                dot = f"{version.origin}:{version.seq}"
                self._add(f"key {told(key)}: a version by {dot}, which is not delivered")
            if version.stamp_us > self._state.clock_us:
                self._add(f"key {told(key)}: a version with a stamp beyond the clock")
            self.findings.digest += fingerprint(key, version)
        self.findings.digest %= DIGEST_MODULUS

    def _expect_due(self, key: bytes, versions: Versions) -> None:
        """What is not in the list of what is due would be hidden in time, but never removed."""
        for version in versions:
            if version.expires_us is not None:
                due = layout.due_key(version.expires_us, key)
                if self._store.get(layout.DUES[self._live], due) is None:
                    self._add(f"key {told(key)}: it is not listed that a version expires")

    def due(self) -> None:
        """The list has nothing that does not expire."""
        family, table = layout.DUES[self._live], layout.TABLES[self._live]
        for record, _ in self._store.scan(family):
            try:
                expires_us, key = layout.due(record)
                held = layout.decode_table_record(self._store.get(table, key))
            except (ValueError, TypeError, struct.error) as error:
                self._add(f"{told(record)} stands in the list of what expires: {error!r}")
                continue
            if all(version.expires_us != expires_us for version in held):
                self._add(f"key {told(key)}: a version is listed to expire that is not there")

    def staged(self) -> None:
        """What a snapshot left that did not come to its end is no problem."""
        for family in (layout.DUES[1 - self._live], layout.TABLES[1 - self._live]):
            staged = sum(1 for _ in self._store.scan(family))
        self.findings.staged = staged

    # --- requests that were done once

    def once(self) -> None:
        """Each that is remembered has one position, and what it wrote is delivered."""
        positions: list[int] = []
        for key, record in self._store.scan("once"):
            if key.startswith(once.ID):
                self.findings.remembered += 1
                self._take_done(key, record)
            elif (position := once.position_of(key)) >= 0:
                positions.append(position)
                if self._store.get("once", once.ID + record) is None:
                    self._add(f"the request at position {position} is not remembered")
            elif key != once.FIRST:
                self._add(f"once has a record {told(key)}, which is none of kvnode's")
        if len(positions) != self.findings.remembered:
            counted, said = len(positions), self.findings.remembered
            self._add(f"{said} requests are remembered, but {counted} have a position")
        if positions and positions[-1] - positions[0] + 1 != len(positions):
            self._add("the positions of requests have a gap")

    def _take_done(self, key: bytes, record: bytes) -> None:
        try:
            results = checked_done(record)
        except MalformedError as error:
            self._add(f"request {told(key)}: {error}")
            return
        for result in results:
            if type(result) is Written and not renamed(result.dot, self._versions_of):
                self._expect_delivered(f"the request {told(key)}", dict([result.dot]))

    def _versions_of(self, key: bytes) -> Versions:
        """Of a record that tells of a move; what is wrong with it is told elsewhere."""
        record = self._store.get(layout.TABLES[self._live], key)
        try:
            return () if record is None else checked_versions(record)
        except MalformedError:
            return ()
