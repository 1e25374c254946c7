"""Short proofs: the chain of fewest edges from one operation to another, or round a cycle.

Steps along one session count, and are told, as a single edge however long.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from tests.judge.history import History
from tests.judge.verdict import Edge, Why

#: The edges that leave an operation.
Follow = Callable[[int], Iterable[Edge]]

#: A conflict needs a reason of its own, about two edges more.
_COST: Final = {Why.SESSION: 1, Why.READS_FROM: 1, Why.CONFLICT: 3}

#: Cycles looked at for the shortest. A history far gone has millions, and most are short.
_CYCLES_MAX: Final = 32


def causal_edges(history: History) -> Follow:
    """The edges of session order and reads-from."""

    def follow(number: int) -> Iterator[Edge]:
        for target in history.successors[number]:
            by_session = history.previous[target] == number
            yield Edge(number, target, Why.SESSION if by_session else Why.READS_FROM)

    return follow


def shortest_chain(
    starts: Iterable[int], goal: int, follow: Follow, cost_max: int | None = None
) -> tuple[Edge, ...] | None:
    """The cheapest chain from one of the starts to the goal, None if there is none so cheap.

    Dijkstra. A state is an operation and whether it was reached along its session, for then
    the next step along the session is free.
    """
    queue = [(0, start, False) for start in sorted(starts)]
    arrivals: dict[tuple[int, bool], tuple[Edge, bool]] = {}
    costs = {(start, False): 0 for _, start, _ in queue}
    while queue:
        cost, number, along = heapq.heappop(queue)
        state = (number, along)
        if cost > costs[state]:
            continue
        if number == goal:
            return _retraced(state, arrivals)
        for edge in follow(number):
            on_session = edge.why is Why.SESSION
            total = cost + (0 if on_session and along else _COST[edge.why])
            reached = (edge.target, on_session)
            if cost_max is not None and total > cost_max:
                continue
            if total < costs.get(reached, total + 1):
                costs[reached] = total
                arrivals[reached] = (edge, along)
                heapq.heappush(queue, (total, edge.target, on_session))
    return None


def shortest_cycle(closing: Iterable[Edge], follow: Follow) -> tuple[Edge, ...]:
    """The shortest cycle through one of the first closing edges; each of them is in a cycle."""
    best: tuple[Edge, ...] = ()
    cost_max: int | None = None
    for edge in islice(closing, _CYCLES_MAX):
        chain = shortest_chain([edge.target], edge.source, follow, cost_max)
        if chain is not None:
            best = (edge, *chain)
            cost_max = sum(_COST[step.why] for step in chain) - 1
    assert best, "no closing edge is in a cycle"
    return best


def direct(history: History, cycle: tuple[Edge, ...]) -> tuple[Edge, ...]:
    """The cycle, which starts with a conflict, with conflicts that start as early as they can.

    If an earlier write to the same key leads to a conflict's source by causality, then it has
    the same conflict itself: one edge in place of several.
    """
    direct: list[Edge] = []
    lead: list[Edge] = []
    for edge in (*cycle[1:], cycle[0]):
        if edge.why is not Why.CONFLICT:
            lead.append(edge)
            continue
        key = history.operations[edge.source].key
        for place, step in enumerate(lead):
            start = history.operations[step.source]
            if start.is_put and start.key == key and step.source != edge.target:
                edge = Edge(step.source, edge.target, Why.CONFLICT, edge.read)
                del lead[place:]
                break
        direct += [*lead, edge]
        lead.clear()
    return (direct[-1], *direct[:-1])


def _retraced(
    state: tuple[int, bool], arrivals: dict[tuple[int, bool], tuple[Edge, bool]]
) -> tuple[Edge, ...]:
    """The chain that led to this state, with steps along one session merged."""
    chain: list[Edge] = []
    while state in arrivals:
        edge, along = arrivals[state]
        if chain and edge.why is Why.SESSION and chain[-1].why is Why.SESSION:
            chain[-1] = Edge(edge.source, chain[-1].target, Why.SESSION)
        else:
            chain.append(edge)
        state = (edge.source, along)
    return tuple(reversed(chain))
