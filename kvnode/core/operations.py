"""Operations on the data: what each of them means, given what the turn shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from kvnode.core.batch import Change, Write, reduced
from kvnode.core.clock import Now
from kvnode.core.expiry import ExpiryClock
from kvnode.core.limits import WRITE_BYTES_MAX
from kvnode.core.requests import (
    AwaitReplicas,
    Condition,
    Delete,
    Forget,
    Get,
    Once,
    Operation,
    Put,
    Read,
    Scan,
    Touch,
    Watch,
    WriteAll,
)
from kvnode.core.results import Absent, Conflict, Entry, Failed, Replicated, Result, Written
from kvnode.core.vector import Dot
from kvnode.core.versions import Versions

#: A few bytes of a request could else have a node write gigabytes.
_TOO_MUCH_TOUCHED: Final = Failed(
    "too_large",
    f"the values that a request touches have at most {WRITE_BYTES_MAX} bytes together; this key is "
    f"as it was",
)


class Shown(Protocol):
    """The state that a turn shows and changes."""

    def versions(self, key: bytes) -> Versions:
        """The versions of a key, this turn's changes included."""

    @property
    def expiry(self) -> ExpiryClock:
        """By which versions expire."""

    def scan(self, scan: Scan) -> Result:
        """A page of a scan, this turn's changes included if it is the first."""

    def may_touch(self, size_bytes: int) -> bool:
        """Whether the request may put a value of this size again, beside those before."""

    def write(self, write: Write, now: Now) -> Result:
        """Make a write of this node's own."""

    def forget(self, name: str, now: Now) -> Result:
        """Make a name no member."""


def run(operation: Operation, shown: Shown, now: Now) -> Result:
    """Run one operation."""
    match operation:
        case Get(key):
            versions = _visible(key, shown)
            return Entry(versions[:1], max(0, len(versions) - 1))
        case Read(key, skip):
            return Entry(_visible(key, shown)[skip:], 0)
        case Scan():
            return shown.scan(operation)
        case Put(key, value, ttl_ms):
            return _put((Change(key, value),), ttl_ms, shown, now)
        case Delete(key):
            return shown.write((Change(key, None),), now)
        case WriteAll(conditions, changes, ttl_ms):
            conflicts = _conflicts(conditions, shown)
            return Conflict(conflicts) if conflicts else _put(reduced(changes), ttl_ms, shown, now)
        case Touch(key, ttl_ms):
            versions = _visible(key, shown)
            if not versions:
                return Absent()
            if not shown.may_touch(len(versions[0].value)):
                return _TOO_MUCH_TOUCHED
            return _put((Change(key, versions[0].value),), ttl_ms, shown, now)
        case Watch():
            raise AssertionError("a watch waits for the end of the turn")
        case Forget(name):
            return shown.forget(name, now)
        case AwaitReplicas():
            return Replicated(0)  # if nothing was written; else `concerns` has the last word
        case Once():
            raise AssertionError("it stands first, and says how the others are run")


def _visible(key: bytes, shown: Shown) -> Versions:
    return shown.expiry.visible(shown.versions(key))


def _put(write: Write, ttl_ms: int | None, shown: Shown, now: Now) -> Result:
    """Make a write whose values live so long."""
    if ttl_ms is None:
        return shown.write(write, now)
    expires_us = shown.expiry.after(ttl_ms)
    result = shown.write(tuple(_expiring(change, expires_us) for change in write), now)
    return result._replace(expires_us=expires_us) if isinstance(result, Written) else result


def _expiring(change: Change, expires_us: int | None) -> Change:
    return change if change.value is None else change._replace(expires_us=expires_us)


def _conflicts(conditions: Iterable[Condition], shown: Shown) -> tuple[Condition, ...]:
    """What the keys hold whose conditions do not hold.

    The whole set of dots is compared: a sibling that came meanwhile is a change too.
    """
    found = []
    for key, dots in conditions:
        held = frozenset(Dot(it.origin, it.seq) for it in _visible(key, shown))
        if held != dots:
            found.append(Condition(key, held))
    return tuple(found)
