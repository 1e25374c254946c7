"""Causal memory: WriteHBInitRead and CyclicHB (Table 2 of the paper), session by session."""

from __future__ import annotations

from collections.abc import Iterator

from tests.judge.causal import CausalOrder
from tests.judge.chains import Follow, causal_edges, direct, shortest_chain, shortest_cycle
from tests.judge.convict import convict
from tests.judge.happened_before import HappenedBefore, Work
from tests.judge.history import History
from tests.judge.verdict import Conviction, Edge, Pattern, Why


def memory_violation(history: History, causal: CausalOrder, work: Work) -> Conviction | None:
    """The first session's conviction, for a history that is causally consistent.

    Raises WorkExceededError.
    """
    for chain, members in enumerate(history.chains):
        # Without gets HB is causal order. So it is for the lone puts of unknown outcome.
        if not any(map(history.is_get, members)):
            continue
        seen = HappenedBefore(history, causal, chain, work)
        if seen.walk():
            return _Proof(history, seen).conviction()
    return None


class _Proof:
    """Chains through HB. Each pair is explained by pairs added before it: no circles."""

    def __init__(self, history: History, seen: HappenedBefore) -> None:
        self._history, self._seen = history, seen
        self._place = {
            (*pair, read): place for place, (pair, read) in enumerate(seen.pairs.items())
        }

    def conviction(self) -> Conviction:
        if self._seen.cycle:
            return self._cyclic(*self._seen.cycle)
        assert self._seen.overlooked, "nothing to prove"
        return self._write_hb_init_read(*self._seen.overlooked)

    def _write_hb_init_read(self, read: int, writes: list[int]) -> Conviction:
        chain = self._chain(writes, read, self._follow())
        session = self._history.operations[read].session
        finding = f"#{read} finds no value, though {session} must have seen #{chain[0].source}"
        return convict(self._history, Pattern.WRITE_HB_INIT_READ, finding, chain, self._explain)

    def _cyclic(self, before: int, after: int) -> Conviction:
        follow = self._follow()
        closing = [edge for edge in follow(before) if edge.target == after]
        cycle = (*closing, *self._chain([after], before, follow))
        # Causal order has no cycle, so this one has a conflict to start from.
        conflicts = [edge for edge in cycle if edge.why is Why.CONFLICT]
        cycle = direct(self._history, shortest_cycle(conflicts, follow))
        session = self._history.operations[cycle[0].read].session
        finding = f"no order of these operations explains what {session} read"
        return convict(self._history, Pattern.CYCLIC_HB, finding, cycle, self._explain)

    def _explain(self, conflict: Edge) -> tuple[Edge, ...]:
        # A conflict that `direct` made is no pair itself, so any pair may explain it.
        place = self._place.get((conflict.source, conflict.target, conflict.read))
        return self._chain([conflict.source], conflict.read, self._follow(place))

    def _follow(self, place_max: int | None = None) -> Follow:
        """The edges of HB, with the pairs added before this place only."""
        history, seen = self._history, self._seen
        by_causality = causal_edges(history)

        def follow(number: int) -> Iterator[Edge]:
            for edge in by_causality(number):
                if history.contains(seen.known, edge.target):
                    yield edge
            for after in seen.after.get(number, ()):
                read = seen.pairs[number, after]
                if place_max is None or self._place[number, after, read] < place_max:
                    yield Edge(number, after, Why.CONFLICT, read)

        return follow

    @staticmethod
    def _chain(starts: list[int], goal: int, follow: Follow) -> tuple[Edge, ...]:
        chain = shortest_chain(starts, goal, follow)
        assert chain is not None, "in the past without a chain"
        return chain
