"""A heap from which anything can be removed, and which never holds more dead than live."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class RemovableHeap(Generic[Item]):
    """The live item with the least priority; equal priorities go by insertion."""

    def __init__(self) -> None:
        self._live: dict[Item, tuple[int, int]] = {}
        self._heap: list[tuple[int, int, Item]] = []
        self._pushed = 0

    def __len__(self) -> int:
        return len(self._live)

    def push(self, item: Item, priority: int) -> None:
        """Add an item that is not there."""
        assert item not in self._live
        self._pushed += 1
        self._live[item] = (priority, self._pushed)
        heapq.heappush(self._heap, (priority, self._pushed, item))

    def discard(self, item: Item) -> None:
        """Remove an item, if it is there."""
        if self._live.pop(item, None) is not None and len(self._heap) > 2 * len(self._live) + 8:
            self._heap = [(*key, live) for live, key in self._live.items()]
            heapq.heapify(self._heap)

    def least(self) -> tuple[int, Item] | None:
        """The least priority and its item, which stays; None if empty."""
        while self._heap:
            priority, pushed, item = self._heap[0]
            if self._live.get(item) == (priority, pushed):
                return priority, item
            heapq.heappop(self._heap)
        return None
