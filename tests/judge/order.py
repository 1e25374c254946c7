"""Topological order and strongly connected components, without recursion."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence


def topological(numbers: Sequence[int], successors: Callable[[int], Iterable[int]]) -> list[int]:
    """The operations with each after its predecessors, lines first come first served.

    Those in or after a cycle are left out.
    """
    waiting = dict.fromkeys(numbers, 0)
    for number in numbers:
        for successor in successors(number):
            waiting[successor] += 1
    ready = [number for number in numbers if not waiting[number]]
    heapq.heapify(ready)
    order = []
    while ready:
        number = heapq.heappop(ready)
        order.append(number)
        for successor in successors(number):
            waiting[successor] -= 1
            if not waiting[successor]:
                heapq.heappush(ready, successor)
    return order


def smallest_cycle_set(
    numbers: Sequence[int], successors: Callable[[int], Iterable[int]]
) -> frozenset[int]:
    """The smallest strongly connected component with a cycle; there must be one."""
    parts = [frozenset(part) for part in _components(numbers, successors) if len(part) > 1]
    return min(parts, key=lambda part: len(part))


def _components(
    numbers: Sequence[int], successors: Callable[[int], Iterable[int]]
) -> Iterator[list[int]]:
    """Tarjan: Depth-first search and linear graph algorithms, 1972; the call stack is a list."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    open_: list[int] = []
    is_open: set[int] = set()
    calls: list[tuple[int, Iterator[int]]] = []

    def enter(number: int) -> None:
        index[number] = low[number] = len(index)
        open_.append(number)
        is_open.add(number)
        calls.append((number, iter(successors(number))))

    for root in numbers:
        if root not in index:
            enter(root)
        while calls:
            number, rest = calls[-1]
            for successor in rest:
                if successor not in index:
                    enter(successor)
                    break
                if successor in is_open:
                    low[number] = min(low[number], index[successor])
            else:
                calls.pop()
                if calls:
                    parent = calls[-1][0]
                    low[parent] = min(low[parent], low[number])
                if low[number] == index[number]:
                    component = [open_.pop()]
                    while component[-1] != number:
                        component.append(open_.pop())
                    is_open.difference_update(component)
                    yield component
