"""Succession: vectors stay small though incarnations come and go.

The first batch of an incarnation carries its full deps; those that name other
incarnations of its own name are its *ends*. A vector is a causal cut, so one that covers
(k, 1) covers k's ends too, and need not spell them out:

    value(V, o) = the greatest of V's entry for o, and every n that some k gives for o
                  where value(V, k) >= 1

A vector in *normal form* omits each entry that the rest of it implies. All that is
written or sent is in normal form; all reading goes through `value`.

To read a vector costs its own entries at the most, however many incarnations there ever were:
`lineages` tells which of them come after which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from sys import intern
from types import MappingProxyType
from typing import Final

from kvnode.core.lineages import Lineage, Place, topmost
from kvnode.core.vector import Vector, name_of

#: What each incarnation ends.
Ends = Mapping[str, Mapping[str, int]]
NO_ENDS: Final[Ends] = MappingProxyType({})


def ends_of(origin: str, deps: Vector) -> dict[str, int]:
    """What the first batch of `origin`, with these full deps, ends: other incarnations
    of its name, each at the last seq that it had delivered of it."""
    name = name_of(origin)
    return {other: seq for other, seq in deps.items() if name_of(other) == name}


def contradiction(entries: Vector, ends: Ends) -> str | None:
    """Why no node can have delivered this (spelled out), whatever it says; None if one can. It
    delivers what an incarnation ends before that incarnation."""
    for origin, ended in ends.items():
        for other, seq in ended.items():
            if entries.get(other, 0) < seq:
                return f"{origin} ends {other} at {seq}, which is not delivered"
            if name_of(other) != name_of(origin):
                return f"{origin} ends {other}, which has another name"
    in_order = {origin for origin, _ in _causal(ends)}
    circular = sorted(ends.keys() - in_order)
    return f"{circular[0]} ends what ends it" if circular else None


class Succession:
    """All the ends that a node has delivered, kept for ever."""

    def __init__(self) -> None:
        self.ends: dict[str, Mapping[str, int]] = {}
        self._ended_by: dict[str, dict[str, int]] = {}
        #: Of all that end something, or are ended.
        self._places: dict[str, Place] = {}
        self._lineages: dict[str, Lineage] = {}

    def add(self, origin: str, ends: Mapping[str, int]) -> None:
        """Learn what `origin` ends, after what those end; an origin's ends never change."""
        if not ends or origin in self.ends:
            return
        assert origin not in self._places, "it was delivered before whoever ends it"
        # Each origin is named in several places, for ever: by one string, not by many.
        origin, ends = intern(origin), {intern(ended): seq for ended, seq in ends.items()}
        lineage = self._lineages.setdefault(name_of(origin), Lineage())
        for ended, seq in ends.items():
            if ended not in self._places:
                self._places[ended] = lineage.append(ended, (), ())
            self._ended_by.setdefault(ended, {})[origin] = seq
        self.ends[origin] = ends
        places = [self._places[ended] for ended in ends]
        self._places[origin] = lineage.append(origin, tuple(ends), places)

    def is_ended(self, origin: str) -> bool:
        """Whether a later incarnation of its name is known that ends it."""
        return origin in self._ended_by

    def ended_by(self, origin: str) -> Mapping[str, int]:
        """The incarnations that end this one, and at what seq."""
        return self._ended_by.get(origin, {})

    def reading(self, vector: Vector) -> Reading:
        """To ask several things of one vector."""
        return Reading(vector, self._ended_by, self._places)

    def value(self, vector: Vector, origin: str) -> int:
        """The highest seq of `origin` that `vector` covers, explicitly or not."""
        if origin not in self._ended_by:
            return vector.get(origin, 0)
        return self.reading(vector).value(origin)

    def covers(self, vector: Vector, origin: str, seq: int) -> bool:
        """Whether `vector` covers the dot; on the hot path of merging."""
        if vector.get(origin, 0) >= seq:
            return True
        return origin in self._ended_by and self.reading(vector).covers(origin, seq)

    def normal(self, vector: Vector) -> dict[str, int]:
        """The same cut with no entry that the others imply."""
        reading = self.reading(vector)
        return {
            origin: seq
            for origin, seq in vector.items()
            if origin not in self._ended_by or seq > reading.implied(origin)
        }

    def expanded(self, vector: Vector) -> dict[str, int]:
        """The same cut with every entry spelled out, which costs as much as there are."""
        result = dict(vector)
        unread = list(vector)
        while unread:
            for ended, seq in self.ends.get(unread.pop(), {}).items():
                if ended not in result:
                    unread.append(ended)
                if result.get(ended, 0) < seq:
                    result[ended] = seq
        return result


class Reading:
    """A vector as a succession reads it; as long as that learns nothing new."""

    __slots__ = ("_ended_by", "_latest", "_places", "vector")

    def __init__(
        self,
        vector: Vector,
        ended_by: Mapping[str, Mapping[str, int]],
        places: Mapping[str, Place],
    ) -> None:
        self.vector = vector
        self._ended_by = ended_by
        self._places = places
        #: Of each lineage, those in the vector that no other in it comes after; None before any of
        #: them is asked for.
        self._latest: dict[Lineage, list[Place]] | None = None

    def value(self, origin: str) -> int:
        """The highest seq of `origin` that it covers, explicitly or not."""
        return max(self.vector.get(origin, 0), self.implied(origin))

    def covers(self, origin: str, seq: int) -> bool:
        """Whether it covers the dot."""
        if self.vector.get(origin, 0) >= seq:
            return True
        enders = self._ended_by.get(origin, {})
        return any(n >= seq and self._reaches(k) for k, n in enders.items())

    def covers_all(self, vector: Vector) -> bool:
        """Whether it covers another vector, whose explicit entries imply the others."""
        return all(self.covers(origin, seq) for origin, seq in vector.items())

    def implied(self, origin: str) -> int:
        """The highest seq of `origin` that later incarnations in it imply."""
        implied = 0
        for k, n in self._ended_by.get(origin, {}).items():
            if n > implied and self._reaches(k):
                implied = n
        return implied

    def _reaches(self, origin: str) -> bool:
        """Whether value(vector, origin) >= 1: it or some later successor has an entry."""
        if origin in self.vector:
            return True
        place = self._places[origin]
        if self._latest is None:
            # Most vectors know the latest there is of each name, and need not be searched.
            for latest, its_place in place.lineage.latest.items():
                if latest in self.vector and its_place.comes_after(place):
                    return True
            self._latest = self._found()
        latest_there = self._latest.get(place.lineage, ())
        return any(it.comes_after(place) for it in latest_there)

    def _found(self) -> dict[Lineage, list[Place]]:
        found: dict[Lineage, list[Place]] = {}
        for origin in self.vector:
            place = self._places.get(origin)
            if place is not None:
                found.setdefault(place.lineage, []).append(place)
        return {lineage: topmost(places) for lineage, places in found.items()}


def _causal(ends: Ends) -> Iterable[tuple[str, Mapping[str, int]]]:
    """Ends in an order in which each comes after what it ends, but for those that end each other,
    and what ends these."""
    waiting = {origin: sum(other in ends for other in ended) for origin, ended in ends.items()}
    enders: dict[str, list[str]] = {}
    for origin, ended in ends.items():
        for other in ended:
            if other in ends:
                enders.setdefault(other, []).append(origin)
    ready = [origin for origin, count in waiting.items() if not count]
    for origin in ready:
        yield origin, ends[origin]
        for ender in enders.get(origin, ()):
            waiting[ender] -= 1
            if not waiting[ender]:
                ready.append(ender)


class Cut:
    """The vector that a node has delivered: a causal cut, read in constant time.

    `entries` spells everything out; `heads` is the same cut in normal form. Deliveries
    come in causal order, so what an incarnation ends is already covered when it comes.
    """

    def __init__(self, succession: Succession) -> None:
        self.succession = succession
        self.entries: dict[str, int] = {}
        self.heads: dict[str, int] = {}

    @classmethod
    def restored(cls, entries: Vector, ends: Ends) -> Cut:
        """The cut with these entries, spelled out, and the ends of their origins, which contradict
        neither these nor each other."""
        cut = cls(Succession())
        cut.entries.update((intern(origin), seq) for origin, seq in entries.items())
        for origin, ended in _causal(ends):
            cut.succession.add(origin, ended)
        cut.heads.update(cut.succession.normal(cut.entries))
        return cut

    def advance(self, origin: str, seq: int, ends: Mapping[str, int]) -> None:
        """Deliver up to (origin, seq); `ends` are those of its first batch, else empty."""
        assert seq > self.entries.get(origin, 0)
        origin = intern(origin)
        self.entries[origin] = self.heads[origin] = seq
        self.succession.add(origin, ends)
        for ended, last in ends.items():
            assert self.entries.get(ended, 0) >= last, "deps are delivered before"
            if self.entries[ended] == last:
                self.heads.pop(ended, None)

    def lacking(self, vector: Vector) -> dict[str, int]:
        """Where this cut goes beyond another: origin -> the first seq that that lacks.

        Costs what it finds: where the other has an incarnation, it has what that ends.
        """
        reading = self.succession.reading(vector)
        found: dict[str, int] = {}
        unread = list(self.heads)
        seen = set(unread)
        while unread:
            origin = unread.pop()
            has = vector.get(origin, 0)
            if has >= self.entries[origin]:
                continue
            has = reading.value(origin)
            if has < self.entries[origin]:
                found[origin] = has + 1
            if not has:
                below = [it for it in self.succession.ends.get(origin, ()) if it not in seen]
                seen.update(below)
                unread += below
        return found

    def covers(self, vector: Vector) -> bool:
        """Whether this cut covers another; its explicit entries imply the others."""
        entries = self.entries
        return all(entries.get(origin, 0) >= seq for origin, seq in vector.items())
