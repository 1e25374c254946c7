"""Watches: requests for the writes beyond a vector, in the order of their delivery here.

A watch is answered at once if the log has something for it; else as soon as something comes, or
with nothing at its deadline. Nobody's place is kept here: the token of the request says where the
watcher is, and that of the answer where it goes on, at this node or at any other. So a watcher that
does not ask costs nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from kvnode.core.batch import Batch, Write
from kvnode.core.heap import RemovableHeap
from kvnode.core.limits import KIB, RESERVED_PREFIX, Limits
from kvnode.core.requests import Mark, Request, Watch
from kvnode.core.results import Compacted, Event, Events
from kvnode.core.succession import Cut, Ends
from kvnode.core.vector import Dot, Vector

#: What looking one watch up weighs beside what it reads: its vectors are compared, entry by entry.
_LOOK_UP_BYTES: Final = 8 * KIB


class Log(Protocol):
    """What is committed, batch after batch; the storage is one."""

    def batches(self, lacking: Mapping[str, int], bytes_max: int, ends: Ends) -> list[Batch]:
        """Those from these seqs on, in the order of their delivery: as many as fit, at least one
        if there is any. `ends` says which of the origins come after which."""


class Answered(NamedTuple):
    """A watch and its answer."""

    request: Request
    result: Events | Compacted
    #: Where the watcher is then; None if it has seen all that is here.
    position: Vector | None = None


class Page(NamedTuple):
    """What one answer holds of some batches."""

    events: tuple[Event, ...]
    size_bytes: int
    #: The first write that did not fit; None if all did.
    rest: Dot | None


def page_of(batches: Iterable[Batch], position: Vector, prefix: bytes, limits: Limits) -> Page:
    """Of these batches what lies beyond a position and has the prefix. The position spells out
    what it has of their origins.

    The changes of one write stand in one answer: they become visible together.
    """
    events: list[Event] = []
    size_bytes = 0
    for batch in batches:
        seen = position.get(batch.origin, 0)
        for seq, write in enumerate(batch.writes, batch.first):
            if seq <= seen:
                continue
            found = _events(write, Dot(batch.origin, seq), batch.stamp_us, prefix)
            found_bytes = sum(len(it.key) + len(it.value or b"") for it in found)
            is_full = (
                len(events) + len(found) > limits.watch_answer_events
                or size_bytes + found_bytes > limits.watch_answer_bytes
            )
            if events and is_full:
                return Page(tuple(events), size_bytes, Dot(batch.origin, seq))
            events += found
            size_bytes += found_bytes
    return Page(tuple(events), size_bytes, None)


def _events(write: Write, dot: Dot, stamp_us: int, prefix: bytes) -> list[Event]:
    return [
        Event(dot, stamp_us, *change)
        for change in write
        if change.key.startswith(prefix) and not change.key.startswith(RESERVED_PREFIX)
    ]


def advanced(position: Vector, batches: Iterable[Batch], rest: Dot | None) -> dict[str, int]:
    """The position after these batches, or before the first write that is left."""
    entries = dict(position)
    for batch in batches:
        if rest is not None and rest.origin == batch.origin and rest.seq <= batch.last:
            if rest.seq > 1:
                entries[batch.origin] = max(rest.seq - 1, entries.get(batch.origin, 0))
            break
        entries[batch.origin] = max(batch.last, entries.get(batch.origin, 0))
    return entries


class _Brought:
    """What a turn has brought, by key."""

    def __init__(self, delivered: Iterable[Batch]) -> None:
        self._events = [
            event
            for batch in delivered
            for seq, write in enumerate(batch.writes, batch.first)
            for event in _events(write, Dot(batch.origin, seq), batch.stamp_us, b"")
        ]
        keys = [(event.key, at) for at, event in enumerate(self._events)]
        keys.sort()
        self._keys = [key for key, _ in keys]
        self._places = [at for _, at in keys]

    def has(self, prefix: bytes) -> bool:
        """Whether some key has it."""
        at = bisect_left(self._keys, prefix)
        return at < len(self._keys) and self._keys[at].startswith(prefix)

    def page(self, prefix: bytes, limits: Limits) -> Events | None:
        """All with the prefix, in order; None if one answer does not hold them."""
        first = last = bisect_left(self._keys, prefix)
        size_bytes = 0
        while last < len(self._keys) and self._keys[last].startswith(prefix):
            event = self._events[self._places[last]]
            size_bytes += len(event.key) + len(event.value or b"")
            last += 1
            if last - first > limits.watch_answer_events or size_bytes > limits.watch_answer_bytes:
                return None
        return Events(tuple(self._events[at] for at in sorted(self._places[first:last])))


class Watches:
    """The watches that have no answer yet."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.size_bytes = 0
        #: Those that may lack something of the log, in the order of their arrival.
        self._behind: deque[Request] = deque()
        #: Those that have seen all that was here before this turn, by their arrival.
        self._parked: dict[int, Request] = {}
        self._by_prefix: dict[bytes, dict[int, None]] = {}
        self._deadlines: RemovableHeap[int] = RemovableHeap()
        self._marks: dict[Mark, int] = {}
        #: Of those behind, the ones that are not to be parked.
        self._cancelled: set[Mark] = set()
        self._arrivals = 0
        #: What was here before this turn, and the first arrival that was not.
        self._seen: Vector = {}
        self._first_new = 0

    def __len__(self) -> int:
        return len(self._behind) + len(self._parked)

    def begin(self, cut: Cut) -> None:
        """A turn begins: all that is delivered is committed."""
        self._first_new = self._arrivals + 1
        if self._parked:
            self._seen = dict(cut.heads)

    def add(self, request: Request) -> bool:
        """Take in a watch whose past is here; False if there is no room for it."""
        is_full = len(self) >= self._limits.watches_max
        if is_full or self.size_bytes + request.size_bytes > self._limits.watches_bytes_max:
            return False
        self.size_bytes += request.size_bytes
        self._behind.append(request)
        return True

    def cancel(self, mark: Mark) -> None:
        """Nobody waits for this watch any more, if it is one: its deadline is now."""
        arrival = self._marks.pop(mark, None)
        if arrival is not None:
            self._deadlines.discard(arrival)
            self._deadlines.push(arrival, 0)
        elif self._behind and len(self._cancelled) < self._limits.watches_max:
            self._cancelled.add(mark)

    def tell(self, delivered: Sequence[Batch]) -> list[Answered]:
        """Answer those for whom this turn has brought something; those whom one turn does not get
        to, and those for whom it is more than one answer, are looked up."""
        if not self._parked or not delivered:
            return []
        answered: list[Answered] = []
        work_left = self._limits.told_events_per_turn
        brought = _Brought(delivered)
        for prefix in [prefix for prefix in self._by_prefix if brought.has(prefix)]:
            page = brought.page(prefix, self._limits) if work_left > 0 else None
            for arrival in list(self._by_prefix[prefix]):
                request = replace(self._unparked(arrival), token=self._seen)
                if page is None or work_left <= 0:
                    self._behind.append(request)
                    continue
                answered.append(Answered(request, page))
                work_left -= len(page.events)
                self.size_bytes -= request.size_bytes
        return answered

    def look_up(
        self, log: Log, cut: Cut, floor: Vector, delivered: Sequence[Batch], steady_us: int
    ) -> list[Answered]:
        """Answer those that lack something, from the log and from what the turn has delivered, as
        far as one turn goes; park those that have seen all."""
        answered = []
        bytes_left = self._limits.watched_bytes_per_turn
        for _ in range(len(self._behind)):
            if bytes_left <= 0:
                break
            request = self._behind.popleft()
            found, read_bytes = _found(request, log, cut, floor, delivered, self._limits)
            bytes_left -= read_bytes + _LOOK_UP_BYTES
            waits = request.deadline_us is not None and request.deadline_us > steady_us
            if (
                waits
                and request.mark not in self._cancelled
                and found == _nothing(request)
                and not _of(request).is_now
            ):
                self._park(request)
            else:
                answered.append(found)
                self.size_bytes -= request.size_bytes
        if not self._behind:
            self._cancelled.clear()
        return answered

    def expired(self, steady_us: int) -> list[Answered]:
        """Those whose deadline has come without anything for them."""
        expired = []
        while (least := self._deadlines.least()) and least[0] <= steady_us:
            request = replace(self._unparked(least[1]), token=self._seen)
            self.size_bytes -= request.size_bytes
            expired.append(Answered(request, Events(())))
        return expired

    def waiting(self) -> list[Request]:
        """All of them, to go on at another replica: those that were parked before this turn from
        what they have seen."""
        parked = [
            request if arrival >= self._first_new else replace(request, token=self._seen)
            for arrival, request in self._parked.items()
        ]
        return [*parked, *self._behind]

    def wake_us(self) -> int | None:
        """When the next one is to be answered, by the steady clock."""
        if self._behind:
            return 0
        least = self._deadlines.least()
        return None if least is None else least[0]

    def _park(self, request: Request) -> None:
        self._arrivals += 1
        self._parked[self._arrivals] = request
        self._by_prefix.setdefault(_of(request).prefix, {})[self._arrivals] = None
        assert request.deadline_us is not None, "with no deadline there is no waiting"
        self._deadlines.push(self._arrivals, request.deadline_us)
        self._marks[request.mark] = self._arrivals

    def _unparked(self, arrival: int) -> Request:
        request = self._parked.pop(arrival)
        self._deadlines.discard(arrival)
        self._marks.pop(request.mark, None)
        same = self._by_prefix[_of(request).prefix]
        del same[arrival]
        if not same:
            del self._by_prefix[_of(request).prefix]
        return request


def _of(request: Request) -> Watch:
    (watch,) = request.operations
    assert isinstance(watch, Watch)
    return watch


def _nothing(request: Request) -> Answered:
    """It has seen all that is here."""
    return Answered(request, Events(()))


def _found(
    request: Request,
    log: Log,
    cut: Cut,
    floor: Vector,
    delivered: Sequence[Batch],
    limits: Limits,
) -> tuple[Answered, int]:
    """What there is for a watch, and how many bytes of the log were read for it."""
    watch = _of(request)
    if watch.is_now or request.token == cut.heads:
        return _nothing(request), 0
    reading = cut.succession.reading(request.token)
    if not reading.covers_all(floor):
        return Answered(request, Compacted(dict(floor))), 0
    lacking = cut.lacking(request.token)
    seen = {batch.origin: reading.value(batch.origin) for batch in delivered}
    seen |= {origin: first - 1 for origin, first in lacking.items()}
    position = {**request.token, **{origin: seq for origin, seq in seen.items() if seq}}
    ends = cut.succession.ends
    batches = log.batches(lacking, limits.watch_read_bytes, ends) if lacking else []
    read_bytes = sum(len(batch.encoded) for batch in batches)
    if _reaches(advanced(position, batches, None), cut, delivered):
        batches = [*batches, *delivered]
        read_bytes += sum(len(batch.encoded) for batch in delivered)
    page = page_of(batches, position, watch.prefix, limits)
    reached = advanced(position, batches, page.rest)
    if page.rest is None and not cut.lacking(reached):
        return Answered(request, Events(page.events)), read_bytes
    return Answered(request, Events(page.events), cut.succession.normal(reached)), read_bytes


def _reaches(position: Vector, cut: Cut, delivered: Sequence[Batch]) -> bool:
    """Whether a position has all that was here before this turn."""
    brought: dict[str, int] = {}
    for batch in delivered:
        brought.setdefault(batch.origin, batch.first)
    lacking = cut.lacking(position)
    return all(first >= brought.get(origin, first + 1) for origin, first in lacking.items())
