"""Causal convergence: no cycle of causal order and conflicts (CyclicCF, Table 2 of the paper).

A write conflicts with another of its key, and must come before it in the order in which all
sessions resolve them, if a get has both in its past and reads from the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from tests.judge.chains import causal_edges, direct, shortest_chain, shortest_cycle
from tests.judge.convict import convict
from tests.judge.history import History
from tests.judge.order import smallest_cycle_set, topological
from tests.judge.verdict import Conviction, Edge, Pattern, Why


def cyclic_conflicts(
    history: History, conflicts: Mapping[tuple[int, int], int]
) -> Conviction | None:
    """The conviction of CyclicCF. The conflicts: (w1, w2) to the get that shows w1 before w2."""
    conflicting: defaultdict[int, list[int]] = defaultdict(list)
    for before, after in conflicts:
        conflicting[before].append(after)

    def successors(number: int) -> Iterable[int]:
        if number in conflicting:
            return history.successors[number] + conflicting[number]
        return history.successors[number]

    order = topological(history.numbers, successors)
    if len(order) == len(history.numbers):
        return None
    ordered = set(order)
    rest = [number for number in history.numbers if number not in ordered]
    members = smallest_cycle_set(rest, successors)
    by_causality = causal_edges(history)

    def follow(number: int) -> Iterator[Edge]:
        for edge in by_causality(number):
            if edge.target in members:
                yield edge
        for after in conflicting.get(number, ()):
            if after in members:
                yield Edge(number, after, Why.CONFLICT, conflicts[number, after])

    def explain(conflict: Edge) -> tuple[Edge, ...]:
        chain = shortest_chain([conflict.source], conflict.read, by_causality)
        assert chain is not None, "in the past without a chain"
        return chain

    # Two writes in conflict both ways are the shortest cycle there is: try those first.
    inside = sorted(
        (pair for pair in conflicts if pair[0] in members and pair[1] in members),
        key=lambda pair: (pair[::-1] not in conflicts, pair),
    )
    closing = [Edge(*pair, Why.CONFLICT, conflicts[pair]) for pair in inside]
    chain = direct(history, shortest_cycle(closing, follow))
    finding = "no single order of these writes explains all reads of them"
    return convict(history, Pattern.CYCLIC_CF, finding, chain, explain)
