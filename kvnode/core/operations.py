"""Operations on the data: what each of them means, given what the turn shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from kvnode.core.batch import Change, Write, reduced
from kvnode.core.clock import Now
from kvnode.core.messages import (
    AwaitReplicas,
    Condition,
    Conflict,
    Delete,
    Entry,
    Forget,
    Get,
    Operation,
    Put,
    Read,
    Replicated,
    Result,
    WriteAll,
)
from kvnode.core.vector import Dot
from kvnode.core.versions import Versions


class Shown(Protocol):
    """The state that a turn shows and changes."""

    def versions(self, key: bytes) -> Versions:
        """The versions of a key, this turn's changes included."""

    def write(self, write: Write, now: Now) -> Result:
        """Make a write of this node's own."""

    def forget(self, name: str, now: Now) -> Result:
        """Make a name no member."""


def run(operation: Operation, shown: Shown, now: Now) -> Result:
    """Run one operation."""
    match operation:
        case Get(key):
            versions = shown.versions(key)
            return Entry(versions[:1], max(0, len(versions) - 1))
        case Read(key, skip):
            return Entry(shown.versions(key)[skip:], 0)
        case Put(key, value):
            return shown.write((Change(key, value),), now)
        case Delete(key):
            return shown.write((Change(key, None),), now)
        case WriteAll(conditions, changes):
            conflicts = _conflicts(conditions, shown)
            return Conflict(conflicts) if conflicts else shown.write(reduced(changes), now)
        case Forget(name):
            return shown.forget(name, now)
        case AwaitReplicas():
            return Replicated(0)  # if nothing was written; else `concerns` has the last word


def _conflicts(conditions: Iterable[Condition], shown: Shown) -> tuple[Condition, ...]:
    """What the keys hold whose conditions do not hold.

    The whole set of dots is compared: a sibling that came meanwhile is a change too.
    """
    found = []
    for key, dots in conditions:
        held = frozenset(Dot(it.origin, it.seq) for it in shown.versions(key))
        if held != dots:
            found.append(Condition(key, held))
    return tuple(found)
