"""Write concerns: replies that are held back until enough members have a write synced.

A member has it when its synced vector has the write's dot: by its latest heartbeat, or by a report
that came since (`reports.py`). Members count by name, and this node is one of them. The write is
committed before its reply is held back, so nothing takes it back: who waits in vain is told how
many surely have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from kvnode.core.heap import RemovableHeap
from kvnode.core.limits import Limits
from kvnode.core.messages import Claim, Report
from kvnode.core.requests import AwaitReplicas, Request
from kvnode.core.results import Concern, Replicated, Reply, Unreplicated, Written
from kvnode.core.succession import Succession
from kvnode.core.vector import Dot

#: What a reply takes beside its values: about 200 bytes for each result.
_RESULT_BYTES: Final = 200

_TIME_IS_UP: Final = "the time is up"

#: How far each member has synced this incarnation's writes.
Synced = Mapping[str, int]


def awaits_replicas(request: Request) -> bool:
    """Whether its reply is to be held back, should it write something."""
    return isinstance(request.operations[-1], AwaitReplicas)


def with_concern(
    reply: Reply, request: Request, size_bytes: int, steady_us: int, latest: Dot
) -> Reply:
    """The reply to a request that was run, with what it is to be held back for. Its last write
    stands for all: who has that has those before it.

    What was written once may be of an earlier incarnation, of which nobody reports any more. This
    one's latest write, or its first one that will come, stands for it then.
    """
    asked = request.operations[-1]
    if not isinstance(asked, AwaitReplicas):
        return reply
    written = [result for result in reply.results if isinstance(result, Written)]
    if not written:
        return reply
    weight = size_bytes + _RESULT_BYTES * len(reply.results)
    deadline_us = steady_us + 1000 * asked.timeout_ms
    dot = written[-1].dot
    awaited = dot if dot.origin == latest.origin else latest._replace(seq=max(1, latest.seq))
    concern = Concern(dot, awaited, asked.replicas, deadline_us, weight)
    return replace(reply, results=reply.results[:-1], concern=concern)


class Concerns:
    """The replies that wait for members to sync the writes of one incarnation."""

    def __init__(self, origin: str, limits: Limits) -> None:
        """The origin is empty before the first write: then who waits waits for that."""
        #: How many there are, those that this turn has yet to commit included, and their weight.
        self.count = 0
        self.size_bytes = 0
        self._origin = origin
        self._limits = limits
        #: By how many members they wait for, then by arrival, which is the order of their writes.
        self._waiting: dict[int, dict[int, Reply]] = {}
        self._deadlines: RemovableHeap[tuple[int, int]] = RemovableHeap()
        self._arrivals = 0
        #: What each member has reported since its latest claim.
        self._reported: dict[str, int] = {}
        #: The latest write that came to wait and that nobody was told of yet.
        self._unasked: Dot | None = None

    @property
    def has_room(self) -> bool:
        """Whether another request may ask for its reply to be held back."""
        limits = self._limits
        return self.count < limits.concerns_max and self.size_bytes < limits.concern_bytes_max

    def promise(self, concern: Concern) -> None:
        """A reply will be held back, if its turn is committed."""
        self.count += 1
        self.size_bytes += concern.size_bytes

    def hold(self, reply: Reply) -> None:
        """Hold a promised reply back: its turn is committed."""
        concern = reply.concern
        assert concern is not None
        if concern.awaited.origin != self._origin:  # the node went on anew later in the turn
            concern = concern._replace(awaited=Dot(self._origin, 1))
            reply = replace(reply, concern=concern)
        self._arrivals += 1
        self._waiting.setdefault(concern.replicas, {})[self._arrivals] = reply
        self._deadlines.push((concern.replicas, self._arrivals), concern.deadline_us)
        self._unasked = concern.awaited if self._origin else None

    def go_on_as(self, origin: str) -> None:
        """The node goes on as another incarnation, of which members report from now on. Its first
        write stands for those before it."""
        self._origin, self._reported, self._unasked = origin, {}, None
        first = Dot(origin, 1)
        for waiting in self._waiting.values():
            for arrival, reply in waiting.items():
                assert reply.concern is not None
                waiting[arrival] = replace(reply, concern=reply.concern._replace(awaited=first))
                self._unasked = first

    # --- what members have

    def retract(self, name: str) -> None:
        """What a member reported holds no more: its next claim came, from a disk that may have been
        wiped, or it is no member any more."""
        self._reported.pop(name, None)

    def reported(self, report: Report, claim: Claim | None, last: int) -> None:
        """A report came. It counts if it is of this incarnation, which has made `last` writes, and
        by the process whose claims are heard under that name: there may be another of its name."""
        if report.origin != self._origin or report.seq > last:
            return
        if claim is not None and claim.instance == report.instance:
            self._reported[report.name] = max(report.seq, self._reported.get(report.name, 0))

    def synced(
        self, claims: Mapping[str, Claim], members: set[str], succession: Succession
    ) -> dict[str, int]:
        """How far each of these members has synced, but for those that never claimed anything."""
        return {
            name: max(succession.value(claim.synced, self._origin), self._reported.get(name, 0))
            for name, claim in claims.items()
            if name in members
        }

    # --- what may leave

    @property
    def is_idle(self) -> bool:
        """Whether nothing is held back."""
        return not self._waiting

    def wake_us(self) -> int | None:
        """When the next reply gives up, by the steady clock."""
        least = self._deadlines.least()
        return None if least is None else least[0]

    def settle(self, synced: Synced, steady_us: int) -> list[Reply]:
        """The replies whose members have what they wait for, and those that give up."""
        settled = self._take_reached(synced)
        while (least := self._deadlines.least()) and least[0] <= steady_us:
            settled.append(self._give_up(*least[1], synced, _TIME_IS_UP))
        return settled

    def abandon(self, synced: Synced, reason: str) -> list[Reply]:
        """All of them: nobody will hear any more who gets their writes."""
        abandoned = self._take_reached(synced)
        while (least := self._deadlines.least()) is not None:
            abandoned.append(self._give_up(*least[1], synced, reason))
        return abandoned

    def unasked(self) -> Dot | None:
        """The latest write that others are to be asked to report, once, if one still waits."""
        unasked, self._unasked = self._unasked, None
        return None if self.is_idle else unasked

    # --- inside

    def _take_reached(self, synced: Synced) -> list[Reply]:
        taken = []
        reached = sorted(synced.values(), reverse=True)
        for replicas in [wanted for wanted in self._waiting if wanted <= len(reached)]:
            last = reached[replicas - 1]
            for arrival, dot in self._reached(replicas, last):
                result = Replicated(len(_names(dot, synced)))
                taken.append(self._take(replicas, arrival, result))
        return taken

    def _reached(self, replicas: int, last: int) -> list[tuple[int, Dot]]:
        """Those that wait for so many members, and for a write that is not beyond `last`."""
        reached = []
        for arrival, reply in self._waiting[replicas].items():
            assert reply.concern is not None
            if reply.concern.awaited.seq <= last:  # a repeated request waits for an earlier write
                reached.append((arrival, reply.concern.awaited))
        return reached

    def _give_up(self, replicas: int, arrival: int, synced: Synced, reason: str) -> Reply:
        concern = self._waiting[replicas][arrival].concern
        assert concern is not None
        names = _names(concern.awaited, synced)
        result = Unreplicated(reason, concern.dot, replicas, tuple(sorted(names)))
        return self._take(replicas, arrival, result)

    def _take(self, replicas: int, arrival: int, result: Replicated | Unreplicated) -> Reply:
        reply = self._waiting[replicas].pop(arrival)
        if not self._waiting[replicas]:
            del self._waiting[replicas]
        self._deadlines.discard((replicas, arrival))
        assert reply.concern is not None
        self.count -= 1
        self.size_bytes -= reply.concern.size_bytes
        return replace(reply, results=(*reply.results, result), concern=None)


def _names(dot: Dot, synced: Synced) -> list[str]:
    return [name for name, seq in synced.items() if seq >= dot.seq]
