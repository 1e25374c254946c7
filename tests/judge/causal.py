"""The causal past of each operation: a vector, per chain how many of its operations are in it.

The causal order is the transitive closure of session order and reads-from. A past is the
maximum of the session predecessor's and that of the write read from, plus the operation
itself: O(chains) each, in place of a bit matrix.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from tests.judge.history import History
from tests.judge.order import topological

#: Per chain, how many of its operations. Not changed once it is made.
Past = list[int]


class CausalOrder:
    """A history's operations in an order that respects causality, with their pasts."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.order = topological(history.numbers, history.successors.__getitem__)
        self.is_cyclic = len(self.order) < len(history.numbers)
        #: Each operation's place in the order.
        self.rank = dict(zip(self.order, range(len(self.order)), strict=True))
        #: The pasts of the writes met so far. Those of gets are not kept, to save memory.
        self.of_write: dict[int, Past] = {}

    def pasts(self) -> Iterator[tuple[int, Past]]:
        """Each operation with its causal past, itself included."""
        assert not self.is_cyclic, "no causal order"
        history, of_write = self._history, self.of_write
        nothing = [0] * len(history.chains)
        #: By operation to come, the past of its session predecessor.
        behind: dict[int, Past] = {}
        for number in self.order:
            past = behind.pop(number, nothing)
            source = history.source[number]
            if source and not history.contains(past, source):
                past = list(map(max, past, of_write[source]))
            else:
                past = past.copy()
            past[history.chain[number]] = history.position[number]
            for successor in history.successors[number]:
                if history.previous[successor] == number:
                    behind[successor] = past
            if not history.is_get(number):
                of_write[number] = past
            yield number, past


def last_writes(history: History, key: str, past: Past) -> list[int]:
    """The last write to the key of each chain, within this past."""
    found = []
    for writes in history.writes.get(key, ()):
        count = bisect_right(writes.positions, past[writes.chain])
        if count:
            found.append(writes.numbers[count - 1])
    return found
