"""What comes into a turn of the replica, and what goes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from kvnode.core.batch import Batch
from kvnode.core.vector import Dot, Missing, Vector
from kvnode.core.versions import Versions

# --- in: what clients ask


@dataclass(frozen=True, slots=True)
class Get:
    """Answered with an `Entry` of the winner alone."""

    key: bytes


@dataclass(frozen=True, slots=True)
class Read:
    """Answered with an `Entry` of all versions behind the first `skip`."""

    key: bytes
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Put:
    """Answered with a `Written`."""

    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Delete:
    """Answered with a `Written`, also where the key was not there."""

    key: bytes


Operation = Get | Read | Put | Delete


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


# --- in: what peers say


@dataclass(frozen=True, slots=True)
class Claim:
    """A heartbeat: what a peer has. It replaces the claim before it."""

    name: str
    #: Which process of that name speaks.
    instance: int
    #: Its delivered vector, in normal form.
    delivered: Vector
    #: The part of it that would survive a power loss.
    synced: Vector
    digest: int


class Pulled(NamedTuple):
    """A peer's answer to a pull: batches in its own delivery order."""

    name: str
    batches: tuple[Batch, ...]


@dataclass(slots=True)
class Inputs:
    """All that one turn has received."""

    batches: list[Batch] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    pulled: list[Pulled] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)


# --- out: what clients are told


class Entry(NamedTuple):
    """What a key holds, the winner first; empty if it is not there."""

    versions: Versions
    #: How many versions come behind these.
    more: int


class Written(NamedTuple):
    """The write that was made; it is committed when this leaves."""

    dot: Dot
    stamp_us: int


class Delayed(NamedTuple):
    """The session has seen what is not here yet; nothing was done."""

    reason: str
    incoming: Vector
    local: Vector
    missing: tuple[Missing, ...]


class Failed(NamedTuple):
    """An error; `maybe` says that the operation may have happened all the same."""

    code: str
    message: str
    maybe: bool = False


Result = Entry | Written | Delayed | Failed


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request: a result for each operation, or one for all of it."""

    reply_to: object
    id: int
    results: tuple[Result, ...]
    #: Whether the request was run, so that the turn's token goes with it.
    ran: bool


# --- out: what to save and send


class OriginState(NamedTuple):
    """What a node keeps for each origin that it has delivered from."""

    #: The highest delivered seq.
    delivered: int
    #: The stamp of its last batch.
    stamp_us: int
    #: What it had delivered at its last batch, beside its own writes; in normal form.
    row: Vector
    #: The incarnations of its name that its first batch ended.
    ends: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Commit:
    """All that one turn changes on disk, in one atomic write."""

    #: The new versions of each changed key; empty deletes the key.
    table: Mapping[bytes, Versions]
    #: To append to the log, in delivery order.
    batches: tuple[Batch, ...]
    origins: Mapping[str, OriginState]
    clock_us: int
    digest: int


@dataclass(frozen=True, slots=True)
class Pull:
    """Ask this peer for what lies beyond the vector."""

    name: str
    vector: Vector


@dataclass(frozen=True, slots=True)
class Effects:
    """What a turn wants done, in this order: commit, then publish, then the rest."""

    commit: Commit | None
    publish: tuple[Batch, ...]
    claim: Claim | None
    replies: tuple[Reply, ...]
    #: The delivered vector after the turn, in normal form: the token of its answers.
    token: Vector
    pull: Pull | None
