"""A toy replicated store that makes histories, for the judge's tests: one session per replica.

Writes travel in causal order, late, and at random. Two rules say which of two concurrent
writes a replica shows: the one with the higher stamp, so that replicas converge (causal
convergence), or the one that arrived last, so that each replica has run all in one order
(causal memory).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from random import Random

from tests.judge.operation import Operation, get, put


class Rule(Enum):
    LAST_STAMP_WINS = auto()
    LAST_ARRIVAL_WINS = auto()


@dataclass(frozen=True, slots=True)
class _Write:
    key: str
    value: int
    #: Lamport time and replica.
    stamp: tuple[int, int]
    #: How many writes of each replica come before it.
    past: list[int]


class _Replica:
    def __init__(self, number: int, replicas: int, rule: Rule) -> None:
        self.number, self.rule = number, rule
        #: Its own writes.
        self.log: list[_Write] = []
        #: How many writes of each replica it has applied.
        self.applied = [0] * replicas
        self.time = 0
        self.shown: dict[str, _Write] = {}

    def write(self, key: str, value: int) -> None:
        write = _Write(key, value, (self.time + 1, self.number), self.applied.copy())
        self.log.append(write)
        self._apply(write)

    def pull(self, other: _Replica) -> None:
        """Apply the other's next write, unless it must wait for a third one's."""
        if self.applied[other.number] < len(other.log):
            write = other.log[self.applied[other.number]]
            if all(map(int.__ge__, self.applied, write.past)):
                self._apply(write)

    def _apply(self, write: _Write) -> None:
        self.applied[write.stamp[1]] += 1
        self.time = max(self.time, write.stamp[0])
        shown = self.shown.get(write.key)
        if shown is None or self.rule is Rule.LAST_ARRIVAL_WINS or shown.stamp < write.stamp:
            self.shown[write.key] = write


def run(
    random: Random,
    rule: Rule,
    *,
    operations: int,
    sessions: int,
    keys: int,
    pulls: int = 1,
    unknown: float = 0,
) -> Iterator[Operation]:
    """A history of the store, whose values are 1, 2, ...

    Each operation comes with some pulls. A put is of unknown outcome with this probability, and
    then happens in half of the cases, now or at its replica's next turn but after its next
    operation.
    """
    replicas = [_Replica(number, sessions, rule) for number in range(sessions)]
    late: dict[int, tuple[str, int]] = {}
    for value in range(1, operations + 1):
        for _ in range(pulls):
            random.choice(replicas).pull(random.choice(replicas))
        replica = random.choice(replicas)
        session, key = f"s{replica.number}", f"k{random.randrange(keys)}"
        delayed = late.pop(replica.number, None)
        if random.random() < 0.5:
            shown = replica.shown.get(key)
            yield get(session, key, shown.value if shown else None)
        elif random.random() >= unknown:
            replica.write(key, value)
            yield put(session, key, value)
        else:
            outcome = random.randrange(4)
            if outcome == 0:
                replica.write(key, value)
            elif outcome == 1:
                late[replica.number] = (key, value)
            yield put(session, key, value, ok=False)
        if delayed:
            replica.write(*delayed)
