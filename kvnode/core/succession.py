"""Succession: vectors stay small though incarnations come and go.

The first batch of an incarnation carries its full deps; those that name other
incarnations of its own name are its *ends*. A vector is a causal cut, so one that covers
(k, 1) covers k's ends too, and need not spell them out:

    value(V, o) = the greatest of V's entry for o, and every n that some k gives for o
                  where value(V, k) >= 1

A vector in *normal form* omits each entry that the rest of it implies. All that is
written or sent is in normal form; all reading goes through `value`.
"""

from __future__ import annotations

from collections.abc import Mapping

from kvnode.core.vector import Vector, name_of


def ends_of(origin: str, deps: Vector) -> dict[str, int]:
    """What the first batch of `origin`, with these full deps, ends: other incarnations
    of its name, each at the last seq that it had delivered of it."""
    name = name_of(origin)
    return {other: seq for other, seq in deps.items() if name_of(other) == name}


class Succession:
    """All the ends that a node has delivered, kept for ever (about 40 bytes each)."""

    def __init__(self) -> None:
        self.ends: dict[str, dict[str, int]] = {}
        self._ended_by: dict[str, dict[str, int]] = {}

    def add(self, origin: str, ends: Mapping[str, int]) -> None:
        """Learn what `origin` ends; an origin's ends never change."""
        if ends and origin not in self.ends:
            self.ends[origin] = dict(ends)
            for ended, seq in ends.items():
                self._ended_by.setdefault(ended, {})[origin] = seq

    def is_ended(self, origin: str) -> bool:
        """Whether a later incarnation of its name is known that ends it."""
        return origin in self._ended_by

    def ended_by(self, origin: str) -> Mapping[str, int]:
        """The incarnations that end this one, and at what seq."""
        return self._ended_by.get(origin, {})

    def value(self, vector: Vector, origin: str) -> int:
        """The highest seq of `origin` that `vector` covers, explicitly or not."""
        return max(vector.get(origin, 0), self._implied(vector, origin))

    def covers(self, vector: Vector, origin: str, seq: int) -> bool:
        """Whether `vector` covers the dot; on the hot path of merging."""
        if vector.get(origin, 0) >= seq:
            return True
        return origin in self._ended_by and self._implied(vector, origin) >= seq

    def normal(self, vector: Vector) -> dict[str, int]:
        """The same cut with no entry that the others imply."""
        return {
            origin: seq
            for origin, seq in vector.items()
            if origin not in self._ended_by or seq > self._implied(vector, origin)
        }

    def expanded(self, vector: Vector) -> dict[str, int]:
        """The same cut with every entry spelled out."""
        result = dict(vector)
        unread = list(vector)
        while unread:
            for ended, seq in self.ends.get(unread.pop(), {}).items():
                if ended not in result:
                    unread.append(ended)
                if result.get(ended, 0) < seq:
                    result[ended] = seq
        return result

    def _implied(self, vector: Vector, origin: str) -> int:
        successors = self._ended_by.get(origin, {})
        return max((n for k, n in successors.items() if self._reaches(vector, k)), default=0)

    def _reaches(self, vector: Vector, origin: str) -> bool:
        """Whether value(vector, origin) >= 1: it or some later successor has an entry."""
        seen = {origin}
        unread = [origin]
        while unread:
            current = unread.pop()
            if current in vector:
                return True
            later = [k for k in self._ended_by.get(current, ()) if k not in seen]
            seen.update(later)
            unread.extend(later)
        return False


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
    def restored(cls, entries: Vector, ends: Mapping[str, Mapping[str, int]]) -> Cut:
        """The cut with these entries, spelled out, and the ends of their origins."""
        cut = cls(Succession())
        cut.entries.update(entries)
        for origin, ended in ends.items():
            cut.succession.add(origin, ended)
        cut.heads.update(cut.succession.normal(cut.entries))
        return cut

    def advance(self, origin: str, seq: int, ends: Mapping[str, int]) -> None:
        """Deliver up to (origin, seq); `ends` are those of its first batch, else empty."""
        assert seq > self.entries.get(origin, 0)
        self.entries[origin] = self.heads[origin] = seq
        self.succession.add(origin, ends)
        for ended, last in ends.items():
            assert self.entries.get(ended, 0) >= last, "deps are delivered before"
            if self.entries[ended] == last:
                self.heads.pop(ended, None)

    def lacking(self, entries: Vector) -> dict[str, int]:
        """Where this cut goes beyond another, spelled out: origin -> first seq that that lacks."""
        return {
            origin: entries.get(origin, 0) + 1
            for origin, seq in self.entries.items()
            if seq > entries.get(origin, 0)
        }

    def covers(self, vector: Vector) -> bool:
        """Whether this cut covers another; its explicit entries imply the others."""
        entries = self.entries
        return all(entries.get(origin, 0) >= seq for origin, seq in vector.items())
