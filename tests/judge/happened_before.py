"""HB_o, the order in which one session must have seen the operations in its causal past.

For an operation o it is the least transitive relation that holds the causal order on o's
causal past, and puts w1 before w2 if both write the key of a get r, r reads from w2, w1 is
before r in HB_o, and r is o or precedes it in its session (definition 9 of the paper). It only
grows along a session, so each session's last operation decides. A read put of unknown outcome
is the last of its own: it adds itself, after all else, to what its predecessor has.

Here the session is walked once. Each operation lets its causal past in; each one let in has
its HB-past as a vector. A pair (w1, w2) that a get adds raises the past of w2 and of all that
follow, until nothing changes; a raised get may add more pairs.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass

from tests.judge.causal import CausalOrder, Past, last_writes
from tests.judge.history import History


class WorkExceededError(Exception):
    """The limit on work was reached before a verdict."""


@dataclass(slots=True)
class Work:
    """How many vector entries may still be compared: for the saturation no good bound is known."""

    left: int

    def spend(self, entries: int) -> None:
        self.left -= entries
        if self.left < 0:
            raise WorkExceededError


class HappenedBefore:
    """HB of one session, as far as it was walked."""

    def __init__(self, history: History, causal: CausalOrder, chain: int, work: Work) -> None:
        self._history, self._causal = history, causal
        self._chain, self._work = chain, work
        #: Per chain, how many operations are let in.
        self.known: Past = [0] * len(history.chains)
        #: Their HB-pasts.
        self._pasts: dict[int, Past] = {}
        #: The pairs (w1, w2) added, in turn, to the get that added each; and w1 to each w2.
        self.pairs: dict[tuple[int, int], int] = {}
        self.after: defaultdict[int, list[int]] = defaultdict(list)
        #: (a, b) if a is directly before b, yet b is in the past of a.
        self.cycle: tuple[int, int] | None = None
        #: A get of an absent key, and writes to it in its past.
        self.overlooked: tuple[int, list[int]] | None = None
        # Operations whose past was raised, by rank: in causal order less is done twice.
        self._raised: list[tuple[int, int]] = []

    def walk(self) -> bool:
        """Go along the session until a bad pattern shows up. Did one?"""
        for number in self._history.chains[self._chain]:
            self._let_in(number)
            if self._history.is_get(number):
                self._examine(number)
                self._settle()
            if self.cycle or self.overlooked:
                return True
        return False

    def _let_in(self, number: int) -> None:
        history, known = self._history, self.known
        new = [number]
        source = history.source[number]
        if source and not history.contains(known, source):
            for chain, count in enumerate(self._causal.of_write[source]):
                if count > known[chain]:
                    new += history.chains[chain][known[chain] : count]
                    known[chain] = count
        known[self._chain] = history.position[number]
        new.sort(key=self._causal.rank.__getitem__)
        for each in new:
            self._pasts[each] = self._past_of(each)

    def _past_of(self, number: int) -> Past:
        """The past of an operation newly let in: no pair can have it as its w2 yet."""
        history, pasts = self._history, self._pasts
        previous, source = history.previous[number], history.source[number]
        self._work.spend(len(self.known))
        past = pasts[previous] if previous else [0] * len(self.known)
        if source and not history.contains(past, source):
            past = list(map(max, past, pasts[source]))
        else:
            past = past.copy()
        past[history.chain[number]] = history.position[number]
        return past

    def _examine(self, read: int) -> None:
        """Add the pairs that a get of the session calls for."""
        history, source = self._history, self._history.source[read]
        writes = last_writes(history, history.operations[read].key, self._pasts[read])
        if not source:
            if writes:
                self.overlooked = (read, writes)
            return
        for write in writes:
            if not history.contains(self._pasts[source], write):
                self.pairs[write, source] = read
                self.after[write].append(source)
                self._raise(write, source)

    def _raise(self, before: int, after: int) -> None:
        """Take the past of the one into that of the other, which directly follows."""
        past, raised = self._pasts[before], self._pasts[after]
        if self._history.contains(past, after):
            self.cycle = (before, after)
            return
        self._work.spend(len(past))
        merged = list(map(max, past, raised))
        if merged != raised:
            self._pasts[after] = merged
            heapq.heappush(self._raised, (self._causal.rank[after], after))

    def _settle(self) -> None:
        """Pass raised pasts on until nothing changes, or there is a cycle."""
        history, known = self._history, self.known
        while self._raised and not self.cycle:
            _, number = heapq.heappop(self._raised)
            if self._raised and self._raised[0][1] == number:
                continue
            for successor in history.successors[number]:
                if history.contains(known, successor):
                    self._raise(number, successor)
            for successor in self.after.get(number, ()):
                self._raise(number, successor)
            if history.chain[number] == self._chain and history.is_get(number):
                self._examine(number)
