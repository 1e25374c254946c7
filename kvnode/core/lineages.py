"""Lineages: which incarnations of a name come after which.

Mostly each incarnation ends the one before, and comes after all others. Where a disk was copied,
rolled back or wiped, some run beside each other. So a lineage keeps the order in which its
incarnations came here, and each has *gaps*: those before it in this order that it does not come
after. Without copies nobody has any; and who ends several has only the gaps that all of these have.

To ask whether one comes after another costs a step, or the logarithm of the number of gaps; and an
incarnation that ends one other shares that one's gaps, so it takes no memory for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class _Gap:
    """The places `first` to `last`, then the gaps below; the numbers fall."""

    __slots__ = ("below", "depth", "first", "jump", "last")

    def __init__(self, first: int, last: int, below: _Gap | None) -> None:
        self.first = first
        self.last = last
        self.below = below
        #: Further below: so that a search skips half of what is left (Myers 1983).
        self.jump = below
        self.depth = 1
        if below is not None:
            self.depth = below.depth + 1
            over = below.jump
            if over is not None and below.depth - over.depth == over.depth - _depth(over.jump):
                self.jump = over.jump


def _depth(gap: _Gap | None) -> int:
    return 0 if gap is None else gap.depth


class Place(NamedTuple):
    """Where an incarnation stands in its lineage."""

    lineage: Lineage
    number: int
    gaps: _Gap | None

    def comes_after(self, other: Place) -> bool:
        """Whether it is the other one, or ends it, or comes after one that ends it."""
        if self.lineage is not other.lineage or other.number > self.number:
            return False
        return self.gaps is None or not _has(self.gaps, other.number)


class Lineage:
    """The incarnations of one name in the order in which they came."""

    __slots__ = ("latest", "length")

    def __init__(self) -> None:
        self.length = 0
        #: Those that no other comes after.
        self.latest: dict[str, Place] = {}

    def append(self, origin: str, ended: Sequence[str], places: Sequence[Place]) -> Place:
        """A new incarnation, which ends these; they stand here."""
        gaps = _Gap(0, self.length - 1, None) if self.length and not places else None
        for at, place in enumerate(places):
            those = _with(place.gaps, place.number + 1, self.length - 1)
            gaps = _common(gaps, those) if at else those
        for each in ended:
            self.latest.pop(each, None)
        place = self.latest[origin] = Place(self, self.length, gaps)
        self.length += 1
        return place


def topmost(places: Sequence[Place]) -> list[Place]:
    """Of these, all in one lineage, those that no other of them comes after."""
    found: list[Place] = []
    for place in sorted(places, key=lambda it: it.number, reverse=True):
        if not any(above.comes_after(place) for above in found):
            found.append(place)
    return found


def _has(gap: _Gap | None, number: int) -> bool:
    while gap is not None and gap.first > number:
        gap = gap.jump if gap.jump is not None and gap.jump.first > number else gap.below
    return gap is not None and number <= gap.last


def _with(gaps: _Gap | None, first: int, last: int) -> _Gap | None:
    """These gaps and one above them."""
    return gaps if first > last else _Gap(first, last, gaps)


def _common(one: _Gap | None, other: _Gap | None) -> _Gap | None:
    """The gaps that both have."""
    pairs: list[tuple[int, int]] = []
    while one is not other and one is not None and other is not None:
        first, last = max(one.first, other.first), min(one.last, other.last)
        if first <= last:
            pairs.append((first, last))
        if one.first >= other.first:
            one = one.below
        else:
            other = other.below
    gaps = one if one is other else None
    for first, last in reversed(pairs):
        gaps = _Gap(first, last, gaps)
    return gaps
