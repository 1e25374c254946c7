"""What is true: for every write, all that its author had seen.

Sets of writes are integers, a bit for each write in the order of their making. The oracle
never looks at a replica's own vectors; it follows commits and answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Final, NamedTuple

from kvnode.core.batch import Batch, Change, Write, reduced
from kvnode.core.limits import RESERVED_PREFIX
from kvnode.core.members import MEMBER_PREFIX, member_key
from kvnode.core.messages import Commit
from kvnode.core.requests import (
    Condition,
    Delete,
    Get,
    Operation,
    Put,
    Scan,
    Shows,
    Touch,
    WriteAll,
)
from kvnode.core.results import Absent, Conflict, Entry, Events, Known, Page, Result, Written
from kvnode.core.vector import Dot, Missing, Vector, name_of
from kvnode.core.versions import Version, Versions, ranked
from tests.simulation.moves import Moves, moved
from tests.simulation.world import Violation

#: What the keys start with that are only put, each time with another value.
PUT_ONLY: Final = b"p"

#: How long a jump of a clock lasts until it is believed, and what is no jump.
CLOCK_HELD_US: Final = 2_000_000
_CLOCK_STEP_US: Final = 1_000_000

#: A set of writes.
Seen = int


class ExpiryBounds(NamedTuple):
    """What a node's expiry clock may say: it never goes back, while the process lives."""

    low_us: int
    #: What an earlier process removed stays away, and what a peer had removed whose snapshot came.
    high_us: int

    def visible(self, versions: list[Version]) -> list[Version] | None:
        """Those that are shown; None if that can't be told."""
        ends = [it.expires_us for it in versions if it.expires_us is not None]
        if any(self.low_us < end <= self.high_us for end in ends):
            return None
        return [it for it in versions if it.expires_us is None or it.expires_us > self.low_us]


class Believed:
    """What a node should take for the time: what its clock says, but for a jump of more than a
    second, which counts once it has lasted for `CLOCK_HELD_US`."""

    def __init__(self) -> None:
        #: How wrong the clock is, as it is believed and as it was last, and since when.
        self._wrong_us: tuple[int, int] | None = None
        self._since_us = 0

    @property
    def is_in_doubt(self) -> bool:
        """Whether the clock says something else."""
        believed_us, latest_us = self._wrong_us or (0, 0)
        return believed_us != latest_us

    def at(self, wall_us: int, now_us: int) -> int:
        """In a turn at this time, when the clock says that."""
        wrong_us = wall_us - now_us
        believed_us, latest_us = self._wrong_us or (wrong_us, wrong_us)
        if abs(wrong_us - latest_us) > _CLOCK_STEP_US:
            self._since_us = now_us
        has_lasted = now_us - self._since_us >= CLOCK_HELD_US
        if has_lasted or abs(wrong_us - believed_us) <= _CLOCK_STEP_US:
            believed_us = wrong_us
        self._wrong_us = believed_us, wrong_us
        return now_us + believed_us


def is_watched(key: bytes, prefix: bytes) -> bool:
    """Whether a watcher is told of this key."""
    return key.startswith(prefix) and not key.startswith(RESERVED_PREFIX)


@dataclass(frozen=True, slots=True)
class Made:
    """One write as it was made."""

    bit: Seen
    dot: Dot
    stamp_us: int
    changes: Write
    past: Seen
    #: The batch that it came in: two writes under one dot differ in that at least.
    encoded: bytes


class Oracle:
    """Every write that any node ever tried to commit."""

    def __init__(self) -> None:
        self.made: list[Made] = []
        #: Several under one dot where a machine was reverted.
        self._by_dot: dict[Dot, list[Made]] = {}
        self._by_key: dict[bytes, list[Made]] = {}
        #: For each prefix that somebody watches the writes that change such a key.
        self.watched: dict[bytes, Seen] = {}
        #: Writes that clients were told of.
        self.acknowledged: Seen = 0
        #: Writes that a disk lost as it may: it was wiped, or not synced.
        self.excused: Seen = 0
        #: What each cut that a scan opened shows, by its number, and what may be over in it.
        self.cuts: dict[int, tuple[Seen, ExpiryBounds]] = {}
        #: The names of nodes whose disk went back, or has a copy: they may do again what
        #: they did once.
        self.forgetful: set[str] = set()
        #: The names of nodes whose machine was reverted: they may give a dot to two writes.
        self.reverted: set[str] = set()
        #: The writes under dots that stand for several, and where such went in mends.
        self.doubled: Seen = 0
        #: Those of sessions that have seen the one, where the other one is taken for it.
        self.mistaken: Seen = 0
        self.moves = Moves()
        #: The writes that put each value on such keys: no client asks for one twice, but with an
        #: id.
        self._putting: dict[bytes, Seen] = {}
        #: The latest state that was asked for its members, and these.
        self._members: tuple[Seen, set[str]] = 0, set()

    def commit(self, seen: Seen, own: Collection[Batch], commit: Commit) -> tuple[Seen, Seen]:
        """A node that has seen this commits, with these batches of its own; what it has seen then,
        first without its own.

        Checks causal delivery, that nothing is delivered twice, and what dots stand for.
        """
        past = None
        if commit.moved:
            seen, past = self._move(seen, commit)
            own = commit.batches
        others = seen
        for batch in commit.batches:
            if batch in own:
                seen = self._make(seen, batch, past)
            else:
                seen = self._deliver(seen, batch)
                others = seen
        return others, seen

    def found(self, batches: Iterable[Batch]) -> Seen:
        """What a disk's log holds."""
        seen = 0
        for batch in batches:
            for seq, changes in enumerate(batch.writes, batch.first):
                made = self._written(batch, seq, changes)
                assert made is not None
                seen |= made.bit
        return seen

    def known_of(self, batches: Iterable[Batch]) -> Seen:
        """Those of these that others may have, under dots that stand for several writes."""
        made = (self._written(it, it.first, it.writes[0]) for it in batches if self.doubled)
        return reduce(or_, (it.bit for it in made if it is not None), 0)

    def known(self, missing: Iterable[Missing]) -> Seen:
        """Those of these dots that were ever made."""
        seen = 0
        for origin, first, last in missing:
            for seq in range(first, last + 1):
                for made in self._by_dot.get(Dot(origin, seq), ()):
                    seen |= made.bit
        return seen

    def answer(
        self,
        seen: Seen,
        operations: Iterable[Operation],
        results: Iterable[Result],
        clock: ExpiryBounds,
        committed: Seen,
    ) -> Seen:
        """A node that has seen this answered so, in this order, and has committed that; what it has
        seen then."""
        repeated = False
        for operation, result in zip(operations, results, strict=True):
            made = self.at(result.dot, committed) if isinstance(result, Written) else None
            if isinstance(result, Written) and made is None:
                raise Violation("save, then send", f"{result.dot} is answered uncommitted")
            if isinstance(result, Known):
                repeated = result.repeated
            elif repeated:
                self._check_repeated(seen, operation, made)
            else:
                self._check_write(seen, operation, result, clock, made)
            if made is not None:
                self._check_written(operation, made)
                self.acknowledged |= made.bit
                seen |= made.bit
            elif isinstance(result, Events):
                self._check_events(seen, result)
            elif isinstance(operation, Scan) and isinstance(result, Page):
                self._check_page(seen, operation, result, clock)
            elif isinstance(result, Entry):
                self._check_read(seen, operation, result, clock)
        return seen

    def _check_repeated(self, seen: Seen, operation: Operation, made: Made | None) -> None:
        """What was done before is here."""
        if made is not None and not made.bit & seen:
            raise Violation("done once", f"{operation} is called done, and is not here")

    def _check_written(self, operation: Operation, made: Made) -> None:
        """The write with this dot is the one that was asked for."""
        match operation:
            case Put(key, value):
                asked: list[tuple[bytes, bytes | None]] = [(key, value)]
            case Delete(key):
                asked = [(key, None)]
            case WriteAll(_, changes):
                asked = [(change.key, change.value) for change in reduced(changes)]
            case _:
                return
        if [(change.key, change.value) for change in made.changes] != asked:
            raise Violation("done once", f"{operation} is answered with {made.dot}, another write")

    def check_done_once(self, seen: Seen) -> None:
        """Of the writes that are seen, none does again what another did."""
        for value, writes in self._putting.items():
            if (writes & seen).bit_count() > 1 and not self._may_forget(writes):
                raise Violation("done once", f"{value!r} is put by {self.dots(writes & seen)}")

    def put_again(self) -> set[str]:
        """The keys to which a node that forgot has put a value again: the judge takes each value
        for one write."""
        writes = [it for it in self._putting.values() if it.bit_count() > 1]
        doubled = reduce(or_, filter(self._may_forget, writes), 0)
        return {
            key.decode()
            for made in self.made
            if made.bit & doubled
            for key, *_ in made.changes
            if key.startswith(PUT_ONLY)
        }

    def mistaken_keys(self) -> set[str]:
        """The keys of which sessions may read what was before what they have read."""
        return {key.decode() for made in self._all_of(self.mistaken) for key, *_ in made.changes}

    def _may_forget(self, writes: Seen) -> bool:
        names = {name_of(made.dot.origin) for made in self.made if made.bit & writes}
        return bool(names & self.forgetful)

    def _note_puts(self, seen: Seen, made: Made) -> None:
        for key, value, _ in made.changes:
            if key.startswith(PUT_ONLY) and value is not None:
                before = self._putting.get(value, 0)
                self._putting[value] = before | made.bit
                if before & seen and not self._may_forget(before | made.bit):
                    raise Violation("done once", f"{made.dot} puts what was put before")

    def _check_write(
        self,
        seen: Seen,
        operation: Operation,
        result: Result,
        clock: ExpiryBounds,
        made: Made | None,
    ) -> None:
        """What a write depends on is as it must be."""
        if isinstance(operation, WriteAll) and isinstance(result, Written | Conflict):
            self._check_conditions(seen, operation, result, clock)
        if isinstance(operation, Touch) and isinstance(result, Written | Absent):
            self._check_touch(seen, operation, made, clock)
        if isinstance(operation, Put | WriteAll | Touch) and isinstance(result, Written):
            assert made is not None
            self._check_expiry(operation, result, made, clock)

    def _check_read(
        self, seen: Seen, operation: Operation, entry: Entry, clock: ExpiryBounds
    ) -> None:
        """What is shown of a key must be what this past makes of it, the winner first."""
        truth = clock.visible(self.versions(seen, operation.key))
        if truth is None:
            return
        if isinstance(operation, Get):
            truth = truth[:1]
        if list(entry.versions) != truth:
            raise Violation("reads", f"{operation} shows {entry.versions}, the truth is {truth}")

    def _check_events(self, seen: Seen, events: Events) -> None:
        """What is told is there, and is what was written."""
        for dot, stamp_us, *change in events.events:
            made = self.at(dot, seen)
            if made is None:
                raise Violation("save, then send", f"{dot} is told uncommitted")
            if (made.stamp_us, Change(*change) in made.changes) != (stamp_us, True):
                raise Violation("watches", f"{change} is told of {dot}, which is {made.changes}")

    def at(self, dot: Dot, seen: Seen) -> Made | None:
        """The write that has this dot where this is seen."""
        return next((it for it in self._by_dot.get(dot, ()) if it.bit & seen), None)

    def told_as(self, dot: Dot, stamp_us: int, events: Collection[Change]) -> Made:
        """The write that a watcher was told of so."""
        made = self._by_dot[dot]
        alike = [it for it in made if it.stamp_us == stamp_us and set(events) <= set(it.changes)]
        return (alike or made)[0]

    def lacking(self, had: Seen, has: Seen) -> Seen:
        """Those of these writes that are not there, under other dots either."""
        lacking = had & ~has
        return lacking & ~self.moves.found(lacking, has) if lacking else 0

    @property
    def doubled_or_moved(self) -> Seen:
        """What may be told twice: nobody knows what of it a watcher was told."""
        return self.moves.with_others(self.doubled | self.moves.moved)

    def has_others(self, writes: Seen, seen: Seen, *, but: str = "") -> Seen:
        """Those of these writes, but for those by that name, whose dots stand for others where this
        is seen."""
        found = 0
        for made in self._all_of(writes & self.doubled):
            here = self.at(made.dot, seen)
            is_other = here is not None and here is not made
            if is_other and name_of(made.dot.origin) != but:
                found |= made.bit
        return found

    def taken_for(self, lacking: Seen, seen: Seen) -> Seen:
        """Those of these writes that a node which has seen this takes others for: another one has
        the same dot here, and nothing that is here tells where the one went."""
        taken = self._all_of(self.has_others(lacking, seen))
        return reduce(or_, (it.bit for it in taken if not self.moves.is_told(it.bit, seen)), 0)

    def beside(self, writes: Seen) -> Seen:
        """All that stand, or stood, under the same dots as these."""
        return self.known(Missing(*it.dot, it.dot.seq) for it in self._all_of(writes))

    def covered(self, token: Vector, seen: Seen) -> Seen:
        """Those of the writes under doubled dots that a node has seen and a token names."""
        made = self._all_of(self.doubled & seen)
        return reduce(or_, (it.bit for it in made if it.dot.seq <= token.get(it.dot.origin, 0)), 0)

    def apart(self) -> Iterator[list[Made]]:
        """For each dot that was given to several writes these."""
        for dot in {made.dot: None for made in self._all_of(self.doubled)}:
            yield self._by_dot[dot]

    def mixed(self, seen: Seen, name: str) -> Seen:
        """Those of these writes by that name of which another one has the same dot, and is seen as
        well."""
        made = [it for it in self._all_of(self.doubled & seen) if name_of(it.dot.origin) == name]
        several = Counter(it.dot for it in made)
        return reduce(or_, (it.bit for it in made if several[it.dot] > 1), 0)

    def _all_of(self, writes: Seen) -> list[Made]:
        found = []
        while writes:
            found.append(self.made[writes.bit_length() - 1])
            writes &= ~found[-1].bit
        return found[::-1]

    def _check_page(self, seen: Seen, scan: Scan, page: Page, clock: ExpiryBounds) -> None:
        """A page shows all that the past at its scan's first page makes of its part of the range,
        in order, and nothing else; what is left of the range, if more is wanted, comes after it."""
        if scan.cut is not None:
            seen, clock = self.cuts[scan.cut]
        elif page.cut is not None:
            self.cuts[page.cut] = seen, clock
        start, end = scan.start or b"", scan.end
        if page.next is not None and scan.reverse:
            start = page.next
        elif page.next is not None:
            end = page.next
        truth = []
        for key in sorted(self._by_key, reverse=scan.reverse):
            if key < start or (end is not None and key >= end) or key.startswith(RESERVED_PREFIX):
                continue
            versions = clock.visible(self.versions(seen, key))
            if versions is None:
                return
            if versions:
                truth.append((key, tuple(versions[:1]), len(versions) - 1))
        if page.next is None:
            truth = truth[: scan.limit]
        found = page.records if isinstance(page.records, int) else list(page.records)
        expected: object = truth
        if scan.shows is Shows.KEYS:
            expected = [key for key, _, _ in truth]
        elif scan.shows is Shows.COUNT:
            expected = len(truth)
        if found != expected or len(truth) > scan.page:
            raise Violation("scans", f"{scan} shows {page}, the truth is {truth}")
        if page.next in ((scan.end,) if scan.reverse else (scan.start,)) and page.next is not None:
            raise Violation("scans", f"{scan} goes on where it was: {page}")

    def _check_touch(
        self, seen: Seen, touch: Touch, made: Made | None, clock: ExpiryBounds
    ) -> None:
        """It puts the winner's value again, if there is one."""
        truth = clock.visible(self.versions(seen, touch.key))
        if truth is None:
            return
        put = None
        if made is not None:
            ((_, put, _),) = made.changes
        if put != (truth[0].value if truth else None):
            raise Violation("expiry", f"{touch} gives {put!r}, the truth is {truth}")

    def _check_expiry(
        self, operation: Put | WriteAll | Touch, written: Written, made: Made, clock: ExpiryBounds
    ) -> None:
        """What is put expires when it was to, by the node's clock; a delete never."""
        ttl_us = None if operation.ttl_ms is None else operation.ttl_ms * 1000
        told = written.expires_us
        for _, value, expires_us in made.changes:
            if expires_us != (None if value is None else told):
                raise Violation("expiry", f"{written} expires at {expires_us}")
        if (told is None) != (ttl_us is None) or (
            told is not None and not clock.low_us <= told - (ttl_us or 0) <= clock.high_us
        ):
            raise Violation("expiry", f"{operation} gives {written} at {clock}")

    def _check_conditions(
        self, seen: Seen, write: WriteAll, result: Written | Conflict, clock: ExpiryBounds
    ) -> None:
        """A write is made just if all its conditions hold for this past; else what did not hold
        is told as it is."""
        broken = []
        for condition in write.conditions:
            truth = clock.visible(self.versions(seen, condition.key))
            if truth is None:
                return
            held = frozenset(Dot(it.origin, it.seq) for it in truth)
            if held != condition.dots:
                broken.append(Condition(condition.key, held))
        told = list(result.found) if isinstance(result, Conflict) else []
        if told != broken:
            raise Violation("conditions", f"{write} gives {result}, the truth is {broken}")

    def versions(self, seen: Seen, key: bytes) -> list[Version]:
        """What a node that has seen this must hold for a key, the winner first; also what has
        expired."""
        writes = [made for made in self._by_key.get(key, []) if made.bit & seen]
        covered = 0
        for made in writes:
            covered |= made.past
        versions = [
            Version(made.stamp_us, made.dot.origin, made.dot.seq, value, expires_us)
            for made in writes
            if not made.bit & covered
            for changed, value, expires_us in made.changes
            if changed == key and value is not None
        ]
        return list(ranked(versions))

    def state(self, seen: Seen) -> dict[bytes, Versions]:
        """The whole table of a node that has seen this; also what has expired."""
        state = {key: tuple(self.versions(seen, key)) for key in self._by_key}
        return {key: versions for key, versions in state.items() if versions}

    def members(self, seen: Seen) -> set[str]:
        """The names that have a member record in the state of a node that has seen this."""
        if seen != self._members[0]:
            keys = [key for key in self._by_key if key.startswith(MEMBER_PREFIX)]
            names = {it.dot.origin for key in keys for it in self._by_key[key]}
            records = {key for key in keys if self.versions(seen, key)}
            self._members = seen, {name_of(it) for it in names if member_key(it) in records}
        return self._members[1]

    def origins(self, seen: Seen) -> set[str]:
        """The incarnations that wrote these."""
        return {made.dot.origin for made in self._all_of(seen)}

    def dots(self, seen: Seen) -> list[str]:
        """For people."""
        return [f"{made.dot.origin}:{made.dot.seq}" for made in self.made if made.bit & seen]

    def _make(self, seen: Seen, batch: Batch, past: Seen | None) -> Seen:
        greatest = max((made.stamp_us for made in self.made if made.bit & seen), default=0)
        if batch.stamp_us <= greatest:
            raise Violation("stamps", f"{batch.origin}:{batch.first} is not later than its past")
        for seq, changes in enumerate(batch.writes, batch.first):
            dot = Dot(batch.origin, seq)
            again = self._written(batch, seq, changes) if dot in self._by_dot else None
            if again is None:
                after = seen if past is None else past
                again = self._add(dot, batch.stamp_us, changes, after, batch.encoded)
                self._note_puts(seen, again)
            elif name_of(batch.origin) not in self.reverted:
                raise Violation("unique dots", f"{dot} is written twice")
            seen |= again.bit
        return seen

    def _add(self, dot: Dot, stamp_us: int, changes: Write, past: Seen, encoded: bytes) -> Made:
        before = self._by_dot.setdefault(dot, [])
        if before and name_of(dot.origin) not in self.reverted:
            raise Violation("unique dots", f"{dot} stands for two writes: {changes}")
        made = Made(1 << len(self.made), dot, stamp_us, changes, past, encoded)
        self.made.append(made)
        before.append(made)
        if len(before) > 1:
            self.doubled |= reduce(or_, (it.bit for it in before))
        for key, *_ in changes:
            self._by_key.setdefault(key, []).append(made)
            for prefix in self.watched:
                if is_watched(key, prefix):
                    self.watched[prefix] |= made.bit
        return made

    def _move(self, seen: Seen, commit: Commit) -> tuple[Seen, Seen]:
        """A node that has seen this writes some of its own anew under other dots: these are the
        same, with the same past, but for what was moved of that. What it has seen then; and of that
        what comes before the record of it: that replaces no other one of which they know nothing.
        """
        went: dict[Seen, Seen] = {}
        past = 0
        for was, now in commit.moved:
            if (was.writes, was.stamp_us) != (now.writes, now.stamp_us):
                raise Violation("mending", f"{was.origin}:{was.first} became another write")
            for at, changes in enumerate(was.writes):
                made = self._written(was, was.first + at, changes)
                if made is None or not made.bit & seen:
                    raise Violation("mending", f"{was.origin}:{was.first + at} is moved, not here")
                past = moved(made.past, went)
                dot = Dot(now.origin, now.first + at)
                went[made.bit] = self._add(dot, made.stamp_us, changes, past, now.encoded).bit
                past |= went[made.bit]
        self.moves.mended(went, 1 << len(self.made))
        return moved(seen, went), past

    def _written(self, batch: Batch, seq: int, changes: Write) -> Made | None:
        """The write of this batch."""
        for made in self._by_dot.get(Dot(batch.origin, seq), ()):
            told = (made.changes, made.stamp_us, made.encoded)
            if told == (changes, batch.stamp_us, batch.encoded):
                return made
        return None

    def _deliver(self, seen: Seen, batch: Batch) -> Seen:
        for seq, changes in enumerate(batch.writes, batch.first):
            made = self._written(batch, seq, changes)
            if made is None:
                raise Violation("unique dots", f"{batch.origin}:{seq} was not written so")
            if made.bit & seen:
                raise Violation("no duplicates", f"{batch.origin}:{seq} is delivered twice")
            if made.past & ~seen:
                lacking = self.dots(made.past & ~seen)
                raise Violation("causal delivery", f"{batch.origin}:{seq} before {lacking}")
            seen |= made.bit
        return seen
