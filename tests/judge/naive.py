"""The bad patterns straight from their definitions, as sets of pairs: for tests only.

Cubic at best, and no idea shared with the judge: it keeps the left-out operations, computes
HB_o for every operation o, and all conflicts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.judge.operation import Operation
from tests.judge.verdict import Pattern

Pairs = set[tuple[int, int]]


def closure(pairs: Pairs, size: int) -> Pairs:
    """The transitive closure (Warshall)."""
    after: list[set[int]] = [set() for _ in range(size)]
    for a, b in pairs:
        after[a].add(b)
    for middle in range(size):
        for a in range(size):
            if middle in after[a]:
                after[a] |= after[middle]
    return {(a, b) for a in range(size) for b in after[a]}


def is_cyclic(closed: Pairs) -> bool:
    return any(a == b for a, b in closed)


class NaiveHistory:
    """The relations of definitions 6 to 9 of the paper. Operations go by their place, from 0."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = [o for o in operations if o.is_put or o.ok]
        self.size = len(self.operations)
        every = range(self.size)
        self.puts = [o for o in every if self.operations[o].is_put]
        self.gets = [o for o in every if not self.operations[o].is_put]
        #: A put of unknown outcome is before nothing in its session.
        self.po: Pairs = {
            (a, b)
            for b in every
            for a in range(b)
            if self.operations[a].session == self.operations[b].session and self.operations[a].ok
        }
        self.rf: Pairs = {
            (w, r)
            for w in self.puts
            for r in self.gets
            if self._same_key(w, r) and self.operations[w].value == self.operations[r].value
        }
        self.co = closure(self.po | self.rf, self.size)

    def _same_key(self, a: int, b: int) -> bool:
        return self.operations[a].key == self.operations[b].key

    def _is_init(self, read: int) -> bool:
        return self.operations[read].value is None

    def rivals(self) -> Iterator[tuple[int, int, int]]:
        """(w1, w2, r): distinct writes to one key, and a get that reads from w2."""
        for w2, r in self.rf:
            for w1 in self.puts:
                if w1 != w2 and self._same_key(w1, w2):
                    yield w1, w2, r

    def hb(self, o: int) -> Pairs:
        """HB_o, definition 9."""
        past = {a for a, b in self.co if b == o} | {o}
        hb = {(a, b) for a, b in self.co if a in past and b in past}
        while True:
            more = {
                (w1, w2)
                for w1, w2, r in self.rivals()
                if (w1, r) in hb and (r == o or (r, o) in self.po)
            }
            if more <= hb:
                return hb
            hb = closure(hb | more, self.size)

    def patterns(self) -> set[Pattern]:
        """All bad patterns that the history has (Table 2)."""
        found = set()
        reads = [r for r in self.gets if not self._is_init(r)]
        init_reads = [
            (w, r)
            for w in self.puts
            for r in self.gets
            if self._is_init(r) and self._same_key(w, r)
        ]
        if is_cyclic(self.co):
            found.add(Pattern.CYCLIC_CO)
        if any(pair in self.co for pair in init_reads):
            found.add(Pattern.WRITE_CO_INIT_READ)
        if any(all((w, r) not in self.rf for w in self.puts) for r in reads):
            found.add(Pattern.THIN_AIR_READ)
        if any((w2, w1) in self.co and (w1, r) in self.co for w1, w2, r in self.rivals()):
            found.add(Pattern.WRITE_CO_READ)
        cf = {(w1, w2) for w1, w2, r in self.rivals() if (w1, r) in self.co}
        if is_cyclic(closure(self.co | cf, self.size)):
            found.add(Pattern.CYCLIC_CF)
        for o in range(self.size):
            hb = self.hb(o)
            if is_cyclic(hb):
                found.add(Pattern.CYCLIC_HB)
            if any(pair in hb and (pair[1] == o or (pair[1], o) in self.po) for pair in init_reads):
                found.add(Pattern.WRITE_HB_INIT_READ)
        return found
