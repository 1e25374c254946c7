"""The bad patterns mean what the models mean: compared with the models' own definitions.

Those ask for total orders that explain the reads (section 3 of the paper), here looked for by
trying all. The causal order may be taken as the least one, (session order ∪ reads-from)+.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tests.judge import Operation, judge
from tests.judge.naive import NaiveHistory, is_cyclic
from tests.judge.random_histories import KINDS

HISTORIES = 1_000
OPERATIONS_MAX = 7


class Meaning:
    """The definitions of CC, CM and CCv by enumeration."""

    def __init__(self, operations: list[Operation]) -> None:
        history = NaiveHistory(operations)
        self.operations, self.size, self.po = history.operations, history.size, history.po
        self.co, self.gets = history.co, history.gets

    def orders(self, members: frozenset[int], done: tuple[int, ...] = ()) -> Iterator[list[int]]:
        """All total orders of these operations that respect the causal order."""
        if not members:
            yield list(done)
        for o in sorted(members):
            if not any((other, o) in self.co for other in members):
                yield from self.orders(members - {o}, (*done, o))

    def past(self, o: int) -> frozenset[int]:
        return frozenset(a for a, b in self.co if b == o)

    def explains(self, order: list[int], read: int) -> bool:
        """Does the read return the last value in the order?"""
        key, shown = self.operations[read].key, None
        for o in order:
            if self.operations[o].is_put and self.operations[o].key == key:
                shown = self.operations[o].value
        return shown == self.operations[read].value

    def cc(self) -> bool:
        """For each read, its causal past can be ordered to explain it."""
        return not is_cyclic(self.co) and all(
            any(self.explains(order, r) for order in self.orders(self.past(r))) for r in self.gets
        )

    def cm(self) -> bool:
        """For each operation, its past can be ordered to explain all reads of its session."""
        return not is_cyclic(self.co) and all(self._cm(o) for o in range(self.size))

    def _cm(self, o: int) -> bool:
        reads = [r for r in self.gets if r == o or (r, o) in self.po]
        return any(
            all(self.explains(order[: order.index(r)], r) for r in reads)
            for order in self.orders(self.past(o) | {o})
        )

    def ccv(self) -> bool:
        """A single order explains each read by the causal past of it."""
        return not is_cyclic(self.co) and any(
            all(self.explains([o for o in order if o in self.past(r)], r) for r in self.gets)
            for order in self.orders(frozenset(range(self.size)))
        )


def test_the_verdicts_are_those_of_the_models_definitions() -> None:
    for seed in range(HISTORIES):
        random = Random(seed)
        operations = random.choice(KINDS)(random, OPERATIONS_MAX + 3)[:OPERATIONS_MAX]
        meaning, judgement = Meaning(operations), judge(operations)
        verdicts = (judgement.cc is None, judgement.cm is None, judgement.ccv is None)
        assert (meaning.cc(), meaning.cm(), meaning.ccv()) == verdicts, (seed, operations)
