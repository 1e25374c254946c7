"""What the judge says: the models, the bad patterns, and a conviction with its proof.

Names as in the paper (Table 2); operations by their number, which is their line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.judge.operation import Operation


class Pattern(StrEnum):
    """A bad pattern. co is the causal order, (session order ∪ reads-from)+."""

    CYCLIC_CO = "CyclicCO"
    WRITE_CO_INIT_READ = "WriteCOInitRead"
    THIN_AIR_READ = "ThinAirRead"
    WRITE_CO_READ = "WriteCORead"
    CYCLIC_CF = "CyclicCF"
    WRITE_HB_INIT_READ = "WriteHBInitRead"
    CYCLIC_HB = "CyclicHB"


class Why(StrEnum):
    """Why one operation comes before another."""

    SESSION = "session order"
    READS_FROM = "reads-from"
    #: The source comes before a read of its key that reads from the target instead.
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Edge:
    """The source comes before the target."""

    source: int
    target: int
    why: Why
    #: Of a conflict: the get that comes after the source and reads from the target.
    read: int = 0


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a conflict holds: how its source comes before its read."""

    conflict: Edge
    chain: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class Conviction:
    """A bad pattern that the history has, and the proof.

    The chain leads from the first operation to the last one, or round to the first. Each
    conflict in it, and in the reasons, has its reason.
    """

    pattern: Pattern
    #: One sentence for a person.
    finding: str
    chain: tuple[Edge, ...]
    reasons: tuple[Reason, ...]
    #: All operations in the proof, ascending.
    operations: Mapping[int, Operation]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdicts: for each model its conviction, or None if it holds."""

    #: How many operations were judged, and how many left out: failed gets, and puts of unknown
    #: outcome that nobody read.
    operations: int
    left_out: int
    sessions: int
    #: Causal consistency.
    cc: Conviction | None
    #: Causal memory. None says nothing if it is undecided.
    cm: Conviction | None
    #: Causal convergence.
    ccv: Conviction | None
    #: Was the causal memory check ended before its verdict, by its limit on work?
    cm_undecided: bool = False

    @property
    def ok(self) -> bool:
        """Do the two models hold that a last-writer-wins store must satisfy?"""
        return self.cc is None and self.ccv is None
