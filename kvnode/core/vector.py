"""Origins, dots and version vectors: the names of writes.

An *origin* is one incarnation of a named replica, written `name~incarnation`. A *dot*
(origin, seq) names one write. A *version vector* maps origins to the highest seq.

Vectors that are written or sent are in normal form and must be read through
`succession`; this module only knows their entries.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

Vector = Mapping[str, int]

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"
_CREATED_DIGITS: Final = 7  # 35 bits of seconds: until the year 3058
_RANDOM_DIGITS: Final = 9
RANDOM_BITS: Final = 5 * _RANDOM_DIGITS

#: Names stand in origins, file names and DNS labels.
NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_NAME = re.compile(NAME_PATTERN)
_ORIGIN = re.compile(rf"{NAME_PATTERN}~[0-9a-v]{{{_CREATED_DIGITS + _RANDOM_DIGITS}}}")


class Dot(NamedTuple):
    """One write: the `seq`-th of its origin, counted from 1."""

    origin: str
    seq: int


class Missing(NamedTuple):
    """The dots `first` to `last` of one origin, both included."""

    origin: str
    first: int
    last: int


def is_name(text: str) -> bool:
    """Whether a replica may bear this name."""
    return _NAME.fullmatch(text) is not None


def is_origin(text: str) -> bool:
    """Whether this is the id of an incarnation."""
    return _ORIGIN.fullmatch(text) is not None


def new_origin(name: str, created_s: int, random_bits: int) -> str:
    """The id of a new incarnation of `name`.

    `random_bits` (`RANDOM_BITS` of them) keep two incarnations apart that a rolled-back or
    copied disk makes in one second; ids need no order.
    """
    return f"{name}~{_digits(created_s, _CREATED_DIGITS)}{_digits(random_bits, _RANDOM_DIGITS)}"


def _digits(number: int, width: int) -> str:
    return "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(width)))


def created_s(origin: str) -> int:
    """When this incarnation began, in seconds since 1970 by the clock of its node."""
    return int(origin.rpartition("~")[2][:_CREATED_DIGITS], len(_DIGITS))


def name_of(origin: str) -> str:
    """The name of the replica that this origin is an incarnation of."""
    return origin.rpartition("~")[0]


def joined(one: Vector, other: Vector) -> dict[str, int]:
    """The entry-by-entry maximum: what a client that saw both cuts has seen."""
    result = dict(one)
    for origin, seq in other.items():
        if result.get(origin, 0) < seq:
            result[origin] = seq
    return result


def labels(origins: Iterable[str]) -> dict[str, str]:
    """How people see origins: by name where that is unique among these, else whole."""
    origins = sorted(origins)
    names = Counter(name_of(origin) for origin in origins)
    return {origin: name if names[name := name_of(origin)] == 1 else origin for origin in origins}


def shown(vector: Vector) -> dict[str, int]:
    """A vector for people: `{"X": 5, "Y": 2}`."""
    named = labels(vector)
    return {named[origin]: vector[origin] for origin in sorted(vector)}
