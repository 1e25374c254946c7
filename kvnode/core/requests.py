"""What clients ask: operations on data, and the requests that carry them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from kvnode.core.batch import Change
from kvnode.core.vector import Dot, Vector


@dataclass(frozen=True, slots=True)
class Get:
    """Answered with an `Entry` of the winner alone."""

    key: bytes


@dataclass(frozen=True, slots=True)
class Read:
    """Answered with an `Entry` of all versions after the first `skip`."""

    key: bytes
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Put:
    """Answered with a `Written`."""

    key: bytes
    value: bytes
    #: How long the value lives; None is for ever.
    ttl_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Answered with a `Written`, also where the key was not there."""

    key: bytes


class Condition(NamedTuple):
    """A key must hold the versions with just these dots; none stands for its absence."""

    key: bytes
    dots: frozenset[Dot]


@dataclass(frozen=True, slots=True)
class WriteAll:
    """One write of several keys, if all conditions hold: answered with a `Written`, or with a
    `Conflict`. Of changes to one key the last counts."""

    conditions: tuple[Condition, ...]
    changes: tuple[Change, ...]
    #: How long the values live; None is for ever.
    ttl_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Touch:
    """Put the winner's value again, to live so long from now on: answered with a `Written`, or
    with `Absent`."""

    key: bytes
    #: None is for ever.
    ttl_ms: int | None


@dataclass(frozen=True, slots=True)
class Watch:
    """Answered with `Events` of keys with the prefix, beyond the token of the request, as soon as
    there are any or at the deadline; or with `Compacted`. It stands alone in its request."""

    prefix: bytes
    #: Answer at once, with no events and a token that has all that is here.
    is_now: bool


@dataclass(frozen=True, slots=True)
class Forget:
    """Make a name no member; answered with a `Written`."""

    name: str


@dataclass(frozen=True, slots=True)
class AwaitReplicas:
    """Hold the answer back until so many names, this node's own included, have the request's writes
    synced: answered with a `Replicated`, or with an `Unreplicated`. It stands last."""

    replicas: int
    timeout_ms: int


class Shows(StrEnum):
    """What a scan shows of each key."""

    ENTRIES = "entries"
    KEYS = "keys"
    #: Only how many there are.
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Scan:
    """One page of a scan: answered with a `Page`."""

    #: The cut that an earlier page opened; None for the first page.
    cut: int | None
    #: The first key, and the one after the last; None for no bound.
    start: bytes | None
    end: bytes | None
    #: How many records are wanted of this page and those after it together; None for all.
    limit: int | None
    #: How many this page may have.
    page: int
    #: Whether it goes from the end to the start.
    reverse: bool
    shows: Shows


@dataclass(frozen=True, slots=True)
class Once:
    """Stands first in a request whose writes are made once, however often it comes: a repetition
    brings the results of the first. Answered with a `Known`."""

    #: The request's own, made at random by whoever asks.
    id: bytes
    #: Only the node of this name can tell whether it was done.
    node: str
    #: How many requests with ids the node had done before this was asked for the first time: one
    #: that has forgotten any of those after it can't tell.
    position: int


#: What changes the data.
WriteOperation = Put | Delete | WriteAll | Touch | Forget

Operation = Get | Read | Scan | Watch | Once | AwaitReplicas | WriteOperation


@dataclass(frozen=True, slots=True)
class Request:
    """Operations that one client wants run in order, in one turn, once its past is here."""

    #: Opaque to the core; goes back with the answer.
    reply_to: object
    id: int
    #: What the client's session has seen, in normal form.
    token: Vector
    #: When to give up waiting for it, by the steady clock; None is at once.
    deadline_us: int | None
    operations: tuple[Operation, ...]
    #: What it weighs while it is parked.
    size_bytes: int

    @property
    def mark(self) -> Mark:
        """By what its client can cancel it."""
        return Mark(self.reply_to, self.id)


class Mark(NamedTuple):
    """What tells a request from others of any client."""

    reply_to: object
    id: int
