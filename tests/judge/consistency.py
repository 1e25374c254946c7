"""Causal consistency: the four bad patterns of the causal order alone (Table 2 of the paper).

Met on the way, and kept for causal convergence: which writes conflict.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.judge.causal import CausalOrder, Past, last_writes
from tests.judge.chains import causal_edges, shortest_chain, shortest_cycle
from tests.judge.convict import convict
from tests.judge.history import History
from tests.judge.order import smallest_cycle_set
from tests.judge.verdict import Conviction, Edge, Pattern, Why


@dataclass(frozen=True, slots=True)
class _Overlooked:
    """A get, and writes in its past whose values it should have returned instead."""

    read: int
    writes: list[int]


class Consistency:
    """The check. `conviction` is None if the history is causally consistent."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.causal = CausalOrder(history)
        #: (w1, w2) to a get that reads w2 and has w1 in its past: w1 must come before w2.
        #: Only the last such w1 of each chain, session order gives the others; and none
        #: that is before w2 in causal order anyway.
        self.conflicts: dict[tuple[int, int], int] = {}
        # The first get in causal order with either pattern.
        self._init_read: _Overlooked | None = None
        self._stale_read: _Overlooked | None = None
        if not self.causal.is_cyclic:
            for number, past in self.causal.pasts():
                if history.is_get(number):
                    self._examine(number, past)
        self.conviction = self._verdict()

    def _examine(self, read: int, past: Past) -> None:
        """Compare a get with the writes to its key in its past."""
        history, of_write = self._history, self.causal.of_write
        operation, source = history.operations[read], history.source[read]
        writes = last_writes(history, operation.key, past)
        if operation.value is None:
            if writes and not self._init_read:
                self._init_read = _Overlooked(read, writes)
        elif source:
            newer = []
            for write in writes:
                if history.contains(of_write[source], write):
                    continue
                if history.contains(of_write[write], source):
                    newer.append(write)
                else:
                    self.conflicts.setdefault((write, source), read)
            if newer and not self._stale_read:
                self._stale_read = _Overlooked(read, newer)

    def _verdict(self) -> Conviction | None:
        """The first pattern, in the paper's order."""
        if self.causal.is_cyclic:
            return self._cyclic()
        if self._init_read:
            return self._write_co_init_read(self._init_read)
        if self._history.thin_air:
            return self._thin_air(self._history.thin_air[0])
        if self._stale_read:
            return self._write_co_read(self._stale_read)
        return None

    def _cyclic(self) -> Conviction:
        history = self._history
        ordered = set(self.causal.order)
        rest = [number for number in history.numbers if number not in ordered]
        members = smallest_cycle_set(rest, history.successors.__getitem__)
        reads = sorted(number for number in members if history.source[number] in members)
        closing = [Edge(history.source[read], read, Why.READS_FROM) for read in reads]
        chain = shortest_cycle(closing, causal_edges(history))
        finding = "each of these operations comes before itself"
        return convict(history, Pattern.CYCLIC_CO, finding, chain)

    def _write_co_init_read(self, overlooked: _Overlooked) -> Conviction:
        chain = self._chain(overlooked.writes, overlooked.read)
        finding = f"#{overlooked.read} finds no value, with #{chain[0].source} in its causal past"
        return convict(self._history, Pattern.WRITE_CO_INIT_READ, finding, chain)

    def _thin_air(self, read: int) -> Conviction:
        finding = f"#{read} reads a value that nobody put"
        return convict(self._history, Pattern.THIN_AIR_READ, finding, (), also=[read])

    def _write_co_read(self, overlooked: _Overlooked) -> Conviction:
        read, source = overlooked.read, self._history.source[overlooked.read]
        after = self._chain(overlooked.writes, read)
        newer = after[0].source
        chain = (*self._chain([source], newer), *after)
        finding = f"#{read} reads from #{source}, but #{newer}, in its causal past, is newer"
        return convict(self._history, Pattern.WRITE_CO_READ, finding, chain)

    def _chain(self, starts: list[int], goal: int) -> tuple[Edge, ...]:
        chain = shortest_chain(starts, goal, causal_edges(self._history))
        assert chain is not None, "in the past without a chain"
        return chain
