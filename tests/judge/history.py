"""A history: the operations of all sessions, their session order and reads-from.

Differentiated histories only (section 5 of the paper): no two puts write the same value to
the same key, so that each read names the one write it reads from.

Operations go by their number, which is their line: from 1, and 0 is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.judge.operation import HistoryError, Operation, Value


@dataclass(frozen=True, slots=True)
class ChainWrites:
    """The writes to one key in one chain, by ascending position."""

    chain: int
    positions: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


class History:
    """The operations that count, and what is before what.

    A chain is a totally ordered run of operations: a session, or a single put of unknown
    outcome. Such a put may take effect late, after operations that follow it in its session:
    it has a session predecessor, but comes before nothing except through reads of its value.
    One that is never read comes before nothing at all, so it is in no bad pattern and left out.
    So are gets that failed.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        #: By number; the first is a filler.
        self.operations: list[Operation] = [Operation("", "get", "", None, False), *operations]
        size = len(self.operations)
        self._write_of = _written(self.operations)
        #: The write that each get reads from; 0 for puts and reads of an absent key.
        self.source: list[int] = [0] * size
        #: Gets of values that nobody wrote.
        self.thin_air: list[int] = []
        self._read_from()

        #: The operations that count, ascending.
        self.numbers: list[int] = []
        #: The operation before each in session order.
        self.previous: list[int] = [0] * size
        #: The next ones in session order, and the readers of a write.
        self.successors: list[list[int]] = [[] for _ in range(size)]
        #: Each chain's operations; and each operation's place there, positions from 1.
        self.chains: list[list[int]] = []
        self.chain: list[int] = [0] * size
        self.position: list[int] = [0] * size
        #: The writes to each key, chain by chain.
        self.writes: dict[str, list[ChainWrites]] = {}
        self._line_up()
        self._index_writes()

    def is_get(self, number: int) -> bool:
        return not self.operations[number].is_put

    def contains(self, past: list[int], number: int) -> bool:
        """Is the operation in this past: per chain, how many of its operations?"""
        return past[self.chain[number]] >= self.position[number]

    def sessions(self) -> int:
        return len({operation.session for operation in self.operations[1:]})

    def _read_from(self) -> None:
        for number, operation in enumerate(self.operations):
            if operation.is_put or not operation.ok or operation.value is None:
                continue
            self.source[number] = self._write_of.get((operation.key, operation.value), 0)
            if not self.source[number]:
                self.thin_air.append(number)

    def _line_up(self) -> None:
        chain_of: dict[str, int] = {}
        read = set(self.source)
        for number, operation in enumerate(self.operations[1:], 1):
            if not operation.ok and number not in read:
                continue
            chain = chain_of.get(operation.session)
            if chain is None:
                chain = chain_of[operation.session] = len(self.chains)
                self.chains.append([])
            previous = self.chains[chain][-1] if self.chains[chain] else 0
            if not operation.ok:
                chain = len(self.chains)
                self.chains.append([])
            self.numbers.append(number)
            self.chains[chain].append(number)
            self.chain[number] = chain
            self.position[number] = len(self.chains[chain])
            self.previous[number] = previous
            source = self.source[number]
            if previous:
                self.successors[previous].append(number)
            if source and source != previous:
                self.successors[source].append(number)

    def _index_writes(self) -> None:
        places: dict[tuple[str, int], ChainWrites] = {}
        for number in self.numbers:
            operation = self.operations[number]
            if not operation.is_put:
                continue
            place = (operation.key, self.chain[number])
            writes = places.get(place)
            if writes is None:
                writes = places[place] = ChainWrites(self.chain[number])
                self.writes.setdefault(operation.key, []).append(writes)
            writes.positions.append(self.position[number])
            writes.numbers.append(number)


def _written(operations: list[Operation]) -> dict[tuple[str, Value], int]:
    """The put of each value to each key."""
    write_of: dict[tuple[str, Value], int] = {}
    for number, operation in enumerate(operations):
        if not operation.is_put:
            continue
        if operation.value is None:
            raise HistoryError("a put of null; deletes are not for this judge", number)
        first = write_of.setdefault((operation.key, operation.value), number)
        if first != number:
            raise HistoryError(f"writes what line {first} wrote: values must be unique", number)
    return write_of
