"""The holdback queue: batches and requests that wait for a vector.

Each waits under one (origin, seq) that it misses, so that a delivery wakes only what
waits for it. A woken one has that origin settled for ever and moves on to the next that
it misses: it is looked at once for each origin in its vector, and once more at arrival.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kvnode.core.batch import Batch
from kvnode.core.heap import RemovableHeap
from kvnode.core.limits import BATCH_WRITES_MAX, Limits
from kvnode.core.requests import Mark, Request
from kvnode.core.vector import Dot, Vector


@dataclass(slots=True, eq=False)
class Waiter:
    """One batch or request in the queue."""

    item: Batch | Request
    #: Counts arrivals; the order in which requests are served.
    arrival: int
    #: None when it is ready.
    waits_for: Dot | None = None


class Holdback:
    """Everything that waits, within limits; batches can't evict requests or vice versa."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.batches: dict[Dot, Waiter] = {}
        self.batch_bytes = 0
        self.requests: dict[int, Waiter] = {}
        self.request_bytes = 0
        #: How often an item was looked at: the work done, for tests and status.
        self.examined = 0
        #: How many batches were dropped over the limit.
        self.evicted = 0
        self._arrivals = 0
        self._waiting: dict[str, dict[int, dict[int, Waiter]]] = {}
        self._ready_batches: dict[int, Waiter] = {}
        self._ready_requests: dict[int, Waiter] = {}
        self._deadlines: RemovableHeap[int] = RemovableHeap()
        self._marks: dict[Mark, int] = {}
        #: For each origin its held batches by first seq, the last one at the top.
        self._by_origin: dict[str, RemovableHeap[int]] = {}
        self._contiguous: dict[str, int] = {}

    # --- coming in

    def hold(self, batch: Batch, delivered: Vector) -> None:
        """Take in a batch, unless it is delivered or held already.

        Over the limit the batch furthest from deliverable is dropped, which may be this.
        """
        dot = Dot(batch.origin, batch.first)
        if batch.last <= delivered.get(batch.origin, 0) or dot in self.batches:
            return
        waiter = self._arrived(batch)
        self.batches[dot] = waiter
        self.batch_bytes += len(batch.encoded)
        self._by_origin.setdefault(batch.origin, RemovableHeap()).push(batch.first, -batch.first)
        self._place(waiter, delivered)
        while (
            len(self.batches) > self.limits.held_batches_max
            or self.batch_bytes > self.limits.held_bytes_max
        ):
            self._evict_furthest(delivered)

    def park(self, request: Request, delivered: Vector) -> bool:
        """Take in a request that is not ready; False if there is no room for it."""
        if (
            len(self.requests) >= self.limits.parked_requests_max
            or self.request_bytes + request.size_bytes > self.limits.parked_bytes_max
        ):
            return False
        waiter = self._arrived(request)
        self.requests[waiter.arrival] = waiter
        self.request_bytes += request.size_bytes
        assert request.deadline_us is not None, "with no deadline there is no waiting"
        self._deadlines.push(waiter.arrival, request.deadline_us)
        self._marks[request.mark] = waiter.arrival
        self._place(waiter, delivered)
        return True

    def cancel(self, mark: Mark) -> None:
        """Nobody waits for this request any more: its deadline is now."""
        arrival = self._marks.pop(mark, None)
        if arrival is not None:
            self._deadlines.discard(arrival)
            self._deadlines.push(arrival, 0)

    def wake(self, origin: str, first: int, last: int, delivered: Vector) -> None:
        """The entry of `origin` went up: these dots have come. Some may be ready now."""
        waiting = self._waiting.get(origin)
        if not waiting:
            return
        if last - first < len(waiting):
            seqs = [seq for seq in range(first, last + 1) if seq in waiting]
        else:
            seqs = sorted(seq for seq in waiting if seq <= last)
        woken = [waiter for seq in seqs for waiter in waiting.pop(seq).values()]
        if not waiting:
            del self._waiting[origin]
        for waiter in woken:
            self._place(waiter, delivered)

    # --- going out

    def take_ready_batch(self) -> Batch | None:
        """A batch that can be delivered now."""
        for waiter in self._ready_batches.values():
            batch = waiter.item
            assert isinstance(batch, Batch)
            self._remove_batch(waiter, batch)
            return batch
        return None

    def refuse_batch(self, batch: Batch) -> None:
        """A batch that was taken is not delivered: from there on nothing has come any more."""
        if self._contiguous.get(batch.origin, 0) >= batch.first:
            self._contiguous[batch.origin] = batch.first - 1

    def take_ready_requests(self) -> list[Request]:
        """The requests whose past is here, in order of arrival."""
        return [self._take_request(arrival) for arrival in sorted(self._ready_requests)]

    def take_expired_requests(self, steady_us: int) -> list[Request]:
        """The requests whose deadline has come, the earliest first."""
        expired = []
        while (least := self._deadlines.least()) and least[0] <= steady_us:
            expired.append(self._take_request(least[1]))
        return expired

    def take_requests(self, wanted: Callable[[Request], bool]) -> list[Request]:
        """Those of the requests, in order of arrival, though their past is not here."""
        items = [(arrival, waiter.item) for arrival, waiter in self.requests.items()]
        taken = [at for at, item in items if isinstance(item, Request) and wanted(item)]
        return [self._take_request(arrival) for arrival in taken]

    def waited_for(self) -> list[Dot]:
        """The dots under which something waits."""
        return [Dot(origin, seq) for origin, seqs in self._waiting.items() for seq in seqs]

    def take_requests_waiting_for(self, dot: Dot) -> list[Request]:
        """The requests that wait under this dot, in order of arrival."""
        waiters = self._waiting_under(dot)
        return [self._take_request(w.arrival) for w in waiters if isinstance(w.item, Request)]

    def drop_batches_waiting_for(self, dot: Dot) -> None:
        """Forget the batches that wait under this dot."""
        for waiter in self._waiting_under(dot):
            if isinstance(waiter.item, Batch):
                self._drop_batch(waiter, waiter.item)

    def drop_batches_of(self, origin: str) -> None:
        """Forget what is held of an origin."""
        while held := self._by_origin.get(origin):
            least = held.least()
            assert least is not None
            waiter = self.batches[Dot(origin, least[1])]
            assert isinstance(waiter.item, Batch)
            self._drop_batch(waiter, waiter.item)

    # --- looking

    @property
    def has_ready_batches(self) -> bool:
        """Whether batches can be delivered at once."""
        return bool(self._ready_batches)

    @property
    def has_ready(self) -> bool:
        """Whether a turn has something to do at once."""
        return bool(self._ready_batches or self._ready_requests)

    @property
    def earliest_deadline_us(self) -> int | None:
        """When the next request expires, by the steady clock."""
        least = self._deadlines.least()
        return None if least is None else least[0]

    def contiguous(self, origin: str, delivered: int) -> int:
        """The highest seq of `origin` up to which all has come, delivered or held."""
        reached = max(delivered, self._contiguous.get(origin, 0))
        while batch := self.held(Dot(origin, reached + 1)):
            reached = batch.last
        if origin in self._by_origin:
            self._contiguous[origin] = reached
        return reached

    def reached(self, delivered: Vector) -> dict[str, int]:
        """Where all has come after these entries, for each that has batches here."""
        return {
            origin: self.contiguous(origin, delivered[origin])
            for origin in self._by_origin
            if origin in delivered
        }

    def has(self, dot: Dot) -> bool:
        """Whether this write is in a batch that waits here."""
        if dot.origin not in self._by_origin:
            return False
        lowest = max(1, dot.seq - BATCH_WRITES_MAX + 1)
        for first in range(dot.seq, lowest - 1, -1):
            if batch := self.held(Dot(dot.origin, first)):
                return batch.last >= dot.seq
        return False

    def held(self, first: Dot) -> Batch | None:
        """The held batch that starts with this dot."""
        waiter = self.batches.get(first)
        if waiter is None:
            return None
        assert isinstance(waiter.item, Batch)
        return waiter.item

    # --- inside

    def _waiting_under(self, dot: Dot) -> list[Waiter]:
        waiting = self._waiting.get(dot.origin, {}).get(dot.seq, {})
        return [waiting[arrival] for arrival in sorted(waiting)]

    def _arrived(self, item: Batch | Request) -> Waiter:
        self._arrivals += 1
        return Waiter(item, self._arrivals)

    def _place(self, waiter: Waiter, delivered: Vector) -> None:
        """Put it under something that it misses, or with the ready ones."""
        self.examined += 1
        missed = waiter.waits_for = first_missed(waiter.item, delivered)
        if missed is not None:
            seqs = self._waiting.setdefault(missed.origin, {})
            seqs.setdefault(missed.seq, {})[waiter.arrival] = waiter
        elif isinstance(waiter.item, Batch):
            self._ready_batches[waiter.arrival] = waiter
        else:
            self._ready_requests[waiter.arrival] = waiter

    def _unplace(self, waiter: Waiter) -> None:
        if waiter.waits_for is None:
            self._ready_batches.pop(waiter.arrival, None)
            self._ready_requests.pop(waiter.arrival, None)
            return
        origin, seq = waiter.waits_for
        del self._waiting[origin][seq][waiter.arrival]
        if not self._waiting[origin][seq]:
            del self._waiting[origin][seq]
        if not self._waiting[origin]:
            del self._waiting[origin]

    def _take_request(self, arrival: int) -> Request:
        waiter = self.requests.pop(arrival)
        self._unplace(waiter)
        self._deadlines.discard(arrival)
        request = waiter.item
        assert isinstance(request, Request)
        self._marks.pop(request.mark, None)
        self.request_bytes -= request.size_bytes
        return request

    def _remove_batch(self, waiter: Waiter, batch: Batch) -> None:
        self._unplace(waiter)
        del self.batches[Dot(batch.origin, batch.first)]
        self.batch_bytes -= len(batch.encoded)
        held = self._by_origin[batch.origin]
        held.discard(batch.first)
        if not held:
            del self._by_origin[batch.origin]
            self._contiguous.pop(batch.origin, None)

    def _drop_batch(self, waiter: Waiter, batch: Batch) -> None:
        """Forget it undelivered: from there on nothing has come any more, held or not."""
        self._remove_batch(waiter, batch)
        self.refuse_batch(batch)

    def _evict_furthest(self, delivered: Vector) -> None:
        """Drop the batch with the longest gap before it, among each origin's last; one that
        is ready only if all are."""
        lasts = []
        for origin, held in self._by_origin.items():
            least = held.least()
            assert least is not None
            first = least[1]
            waits = self.batches[Dot(origin, first)].waits_for is not None
            lasts.append((waits, first - delivered.get(origin, 0), origin, first))
        _, _, origin, first = max(lasts)
        waiter = self.batches[Dot(origin, first)]
        assert isinstance(waiter.item, Batch)
        self._drop_batch(waiter, waiter.item)
        self.evicted += 1


def first_missed(item: Batch | Request, delivered: Vector) -> Dot | None:
    """Something that it needs and `delivered` (spelled out) lacks; None if nothing."""
    if isinstance(item, Batch):
        if delivered.get(item.origin, 0) < item.first - 1:
            return Dot(item.origin, item.first - 1)
        needs = item.deps
    else:
        needs = item.token
    for origin, seq in needs.items():
        if delivered.get(origin, 0) < seq:
            return Dot(origin, seq)
    return None
