"""Renaming: where the writes of a machine that went back in time went, which were moved to a new
incarnation (see `mending`).

Sessions may have seen them under their old dots, of any node. So where they went is data: a record
for each incarnation whose writes were moved, written, delivered and kept like everything else. A
token that names such a dot then also asks for the new one. The old one may stand for another write
by now, which the session has seen elsewhere, or it may not be there any more, and is no loss then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from kvnode.core.limits import RESERVED_PREFIX
from kvnode.core.succession import Cut
from kvnode.core.vector import Dot, Vector, is_origin
from kvnode.core.versions import Versions

RENAMED_PREFIX: Final = RESERVED_PREFIX + b"renamed/"

#: After the first one.
_WORDS: Final = 4
#: Of each number in a record, and of its digits: two of them make no number that has no place in a
#: message.
_NUMBER_MAX: Final = (1 << 62) - 1
_DIGITS_MAX: Final = len(str(_NUMBER_MAX))

#: The versions of a key.
VersionsOf = Callable[[bytes], Versions]

#: Whether the one write stands in the log before the other one.
StandsBefore = Callable[[Dot, Dot], bool]


class Renamed(NamedTuple):
    """The writes of an incarnation from after `after` to `last` went to another one, where they
    come after `base` others."""

    after: int
    last: int
    origin: str
    base: int
    #: Whether no other writes ever stood under these dots.
    is_whole: bool

    def encode(self) -> bytes:
        """What a record holds: words, which anybody can read."""
        kind = "whole" if self.is_whole else "part"
        return f"{kind} {self.after} {self.last} {self.origin} {self.base}".encode()

    @classmethod
    def decode(cls, value: bytes) -> Renamed | None:
        """The inverse; None for what no honest node writes."""
        kind, *rest = value.decode(errors="replace").split(" ")
        if kind not in ("whole", "part") or len(rest) != _WORDS:
            return None
        after, last, origin, base = rest
        if not (all(map(_is_number, (after, last, base))) and is_origin(origin)):
            return None
        return cls(int(after), int(last), origin, int(base), kind == "whole")

    def of(self, seq: int) -> Dot | None:
        """Where a write went, if it is one of these."""
        if not self.after < seq <= self.last:
            return None
        return Dot(self.origin, seq - self.after + self.base)


def _is_number(word: str) -> bool:
    return word.isdecimal() and len(word) <= _DIGITS_MAX and int(word) <= _NUMBER_MAX


def renamed_key(origin: str) -> bytes:
    """Where it stands what became of an incarnation's writes."""
    return RENAMED_PREFIX + origin.encode()


def renamed(dot: Dot, versions_of: VersionsOf) -> list[tuple[Renamed, Dot]]:
    """Where a write may have gone: to several places, if several processes had made it."""
    found = []
    for version in versions_of(renamed_key(dot.origin)):
        record = Renamed.decode(version.value)
        went = None if record is None else record.of(dot.seq)
        if record is not None and went is not None:
            found.append((record, went))
    return found


def as_token(token: Vector, cut: Cut, versions_of: VersionsOf) -> Vector:
    """What a session waits for: also what it may have seen under other dots."""
    return _translated(token, cut, versions_of, None)


def as_position(
    position: Vector, cut: Cut, versions_of: VersionsOf, stands_before: StandsBefore
) -> Vector:
    """From where a watch goes on. It may have been told of either of two writes that had a dot, and
    nobody knows of which: so it is told of both, of one of them again. It goes back for that only
    where what was moved comes first: once it is told of that, it does not go back again."""
    return _translated(position, cut, versions_of, stands_before)


def _translated(
    vector: Vector, cut: Cut, versions_of: VersionsOf, stands_before: StandsBefore | None
) -> Vector:
    result = dict(vector)
    gone: set[str] = set()
    for origin, seq in vector.items():
        if origin in cut.entries and not cut.succession.is_ended(origin):
            continue  # what was moved was ended by that
        for record, went in renamed(Dot(origin, seq), versions_of):
            if cut.succession.covers(vector, *went):
                continue
            if record.is_whole:
                gone.add(origin)
            elif stands_before is not None:
                first = Dot(origin, record.after + 1)
                if stands_before(Dot(went.origin, record.base + 1), first):
                    result[origin] = min(result[origin], record.after)
                continue
            result[went.origin] = max(result.get(went.origin, 0), went.seq)
    return {origin: seq for origin, seq in result.items() if seq and origin not in gone}
