"""Checks a conviction step by step against the history, for the judge's tests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tests.judge.operation import Operation
from tests.judge.verdict import Conviction, Edge, Pattern, Why

_CYCLES = (Pattern.CYCLIC_CO, Pattern.CYCLIC_CF, Pattern.CYCLIC_HB)


def check_proof(operations: Sequence[Operation], conviction: Conviction) -> None:
    """Assert that the proof holds: its edges, its reasons and its shape."""
    _Checker(operations, conviction).check()


class _Checker:
    def __init__(self, operations: Sequence[Operation], conviction: Conviction) -> None:
        self.operations, self.conviction = operations, conviction
        self.pattern, self.chain = conviction.pattern, conviction.chain

    def at(self, number: int) -> Operation:
        return self.operations[number - 1]

    def check(self) -> None:
        reasons = {reason.conflict: reason.chain for reason in self.conviction.reasons}
        self.connected(self.chain)
        for conflict, chain in reasons.items():
            self.connected(chain)
            assert (chain[0].source, chain[-1].target) == (conflict.source, conflict.read)
        chains = [self.chain, *reasons.values()]
        for edge in (edge for chain in chains for edge in chain):
            self.holds(edge)
            assert edge.why is not Why.CONFLICT or edge in reasons
        self.well_founded(reasons)
        self.shape()
        self.complete(chains)

    def connected(self, chain: tuple[Edge, ...]) -> None:
        assert all(a.target == b.source for a, b in pairwise(chain))
        sources = [edge.source for edge in chain]
        assert len(set(sources)) == len(sources), "an operation twice: not minimal"
        runs = [a.why is Why.SESSION is b.why for a, b in pairwise(chain)]
        keeps = self.pattern is Pattern.WRITE_CO_READ  # It must show the newer write.
        assert sum(runs) <= keeps, "session order in two edges: not minimal"

    def holds(self, edge: Edge) -> None:
        source, target = self.at(edge.source), self.at(edge.target)
        if edge.why is Why.SESSION:
            assert source.session == target.session
            assert edge.source < edge.target
            assert source.ok
        elif edge.why is Why.READS_FROM:
            self.reads_from(edge.target, edge.source)
        else:
            assert source.is_put and target.is_put and edge.source != edge.target
            assert source.key == target.key
            self.reads_from(edge.read, edge.target)

    def reads_from(self, read: int, write: int) -> None:
        assert self.at(write).is_put and not self.at(read).is_put and self.at(read).ok
        assert self.at(write).key == self.at(read).key
        assert self.at(write).value == self.at(read).value

    def well_founded(self, reasons: dict[Edge, tuple[Edge, ...]]) -> None:
        """No conflict is its own reason; only those of HB need others, and one session's."""
        open_ = {
            conflict: {edge for edge in chain if edge.why is Why.CONFLICT}
            for conflict, chain in reasons.items()
        }
        if self.pattern is Pattern.CYCLIC_CF:
            assert not any(open_.values())
        elif open_:
            assert len({self.at(conflict.read).session for conflict in open_}) == 1
        while open_:
            proven = {conflict for conflict, needs in open_.items() if not needs & set(open_)}
            assert proven, "a circular argument"
            open_ = {c: needs for c, needs in open_.items() if c not in proven}

    def shape(self) -> None:
        if self.pattern in _CYCLES:
            assert self.chain[-1].target == self.chain[0].source
        elif self.pattern is Pattern.THIN_AIR_READ:
            (read,) = self.conviction.operations.values()
            written = [(o.key, o.value) for o in self.operations if o.is_put]
            assert read.value is not None and (read.key, read.value) not in written
        else:
            write, read = self.at(self.chain[0].source), self.at(self.chain[-1].target)
            assert write.is_put and not read.is_put and write.key == read.key
            if self.pattern is Pattern.WRITE_CO_READ:
                assert read.value == write.value
                assert any(
                    self.at(edge.source).is_put and self.at(edge.source).key == read.key
                    for edge in self.chain[1:]
                )
            else:
                assert read.value is None
        allowed = {Why.SESSION, Why.READS_FROM}
        if self.pattern in (Pattern.CYCLIC_CF, Pattern.CYCLIC_HB, Pattern.WRITE_HB_INIT_READ):
            allowed.add(Why.CONFLICT)
        assert {edge.why for edge in self.chain} <= allowed

    def complete(self, chains: list[tuple[Edge, ...]]) -> None:
        named = {n for chain in chains for edge in chain for n in (edge.source, edge.target)}
        if self.chain:
            assert set(self.conviction.operations) == named
        for number, operation in self.conviction.operations.items():
            assert operation == self.at(number)
