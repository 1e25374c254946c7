"""What comes into a turn of the replica, and what goes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from kvnode.core.batch import Batch, Change
from kvnode.core.vector import Dot, Missing, Vector
from kvnode.core.versions import Versions

# --- what a node keeps


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


class Due(NamedTuple):
    """When a version of a key expires."""

    expires_us: int
    key: bytes


class Saved(NamedTuple):
    """What a replica needs from disk to go on, beside the table."""

    origins: Mapping[str, OriginState]
    clock_us: int
    digest: int
    #: The log has every batch beyond this vector, spelled out.
    floor: Vector = MappingProxyType({})


class Snapshot(NamedTuple):
    """A state that is staged whole, beside its table."""

    origins: Mapping[str, OriginState]
    clock_us: int
    digest: int

    @property
    def entries(self) -> dict[str, int]:
        """Its vector, spelled out."""
        return {origin: state.delivered for origin, state in self.origins.items()}


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
    #: The first key, and the one behind the last; None for no bound.
    start: bytes | None
    end: bytes | None
    #: How many records are wanted of this page and those behind it together; None for all.
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
    #: Whose vector covers this can pull from its log; in normal form.
    floor: Vector
    #: What its clock said, in microseconds since 1970.
    wall_us: int


class Report(NamedTuple):
    """A node tells an origin how much of its writes it has synced, ahead of the next claim."""

    #: Who reports, and which process of that name.
    name: str
    instance: int
    origin: str
    #: All writes of the origin up to here.
    seq: int


class Pulled(NamedTuple):
    """A peer's answer to a pull: batches in its own delivery order."""

    name: str
    batches: tuple[Batch, ...]


class Chunk(NamedTuple):
    """A peer's answer to a fetch: a part of its state."""

    name: str
    #: The peer's number for the snapshot.
    number: int
    #: The position that was asked for.
    start: bytes
    #: The snapshot's, the same in each chunk.
    clock_us: int
    digest: int
    origins: Mapping[str, OriginState]
    table: Mapping[bytes, Versions]
    #: Where it goes on; None at the end.
    next: bytes | None


@dataclass(slots=True)
class Inputs:
    """All that one turn has received."""

    batches: list[Batch] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    #: Writes of others that somebody waits for: who has them synced is to report that.
    awaited: list[Dot] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    #: Records of ours that a peer says were deleted.
    forgotten: list[Dot] = field(default_factory=list)
    pulled: list[Pulled] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    #: Names of peers that refused what they were asked for.
    refusals: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)


# --- out: what clients are told


class Entry(NamedTuple):
    """What a key holds, the winner first; empty if it is not there."""

    versions: Versions
    #: How many versions come behind these.
    more: int


#: A key, its winner alone, and the number of its siblings.
ScanRecord = tuple[bytes, Versions, int]


class Page(NamedTuple):
    """What a part of a range holds, in the order of the scan."""

    #: The cut that it shows; None if this is all, so that none was opened.
    cut: int | None
    #: Records, keys, or how many there are: see `Shows`.
    records: tuple[ScanRecord, ...] | tuple[bytes, ...] | int
    #: What bounds the following page: its `start`, or `end` in reverse; None at the end, or where
    #: the limit is reached.
    next: bytes | None

    @property
    def size_bytes(self) -> int:
        """What its keys and values weigh in an answer."""
        if isinstance(self.records, int):
            return 0
        size_bytes = 0
        for record in self.records:
            if isinstance(record, bytes):
                size_bytes += len(record)
            else:
                size_bytes += len(record[0]) + len(record[1][0].value)
        return size_bytes


class Written(NamedTuple):
    """The write that was made; it is committed when this leaves."""

    dot: Dot
    stamp_us: int
    #: When the values that were put expire; None is never.
    expires_us: int | None = None


class Absent(NamedTuple):
    """The key is not there; nothing was done."""


class Event(NamedTuple):
    """What a write did to one key."""

    dot: Dot
    stamp_us: int
    key: bytes
    #: None if it was deleted.
    value: bytes | None
    #: When the value expires; None is never.
    expires_us: int | None


class Events(NamedTuple):
    """Writes, in the order of their delivery; those that are changes of one write together."""

    events: tuple[Event, ...]


class Compacted(NamedTuple):
    """The log starts later than the watcher is."""

    #: Who has this can be told what came behind it; in normal form.
    floor: Vector


class Known(NamedTuple):
    """What a node knows of a request with an id."""

    #: Whether it was done before.
    repeated: bool
    #: How many requests with ids the node has done, this one included.
    position: int


class Conflict(NamedTuple):
    """Conditions did not hold: what these keys do hold. Nothing was done."""

    found: tuple[Condition, ...]


class Delayed(NamedTuple):
    """The session has seen what is not here yet; nothing was done."""

    reason: str
    incoming: Vector
    local: Vector
    missing: tuple[Missing, ...]


class Lost(NamedTuple):
    """The session has seen what nobody has any more; nothing was done."""

    missing: tuple[Missing, ...]
    #: The session's vector without it, to go on with.
    left: Vector


class Replicated(NamedTuple):
    """So many members have synced what the request wrote; 0 if it wrote nothing."""

    replicas: int


class Unreplicated(NamedTuple):
    """The write is here, but not surely on as many members as were asked for."""

    reason: str
    dot: Dot
    replicas_wanted: int
    #: Who surely has it synced.
    names: tuple[str, ...]


class Failed(NamedTuple):
    """An error; `maybe` says that the operation may have happened all the same."""

    code: str
    message: str
    maybe: bool = False


Result = (
    Entry
    | Page
    | Written
    | Known
    | Absent
    | Events
    | Compacted
    | Conflict
    | Delayed
    | Lost
    | Replicated
    | Unreplicated
    | Failed
)

#: What the writes of a request brought, in their order.
WriteResult = Written | Absent | Conflict | Failed
WriteResults = tuple[WriteResult, ...]


class Concern(NamedTuple):
    """What a reply is held back for: a write, and how many names are to have it synced."""

    dot: Dot
    #: Who has this write of the present incarnation has that one, which may be of an earlier one.
    awaited: Dot
    replicas: int
    #: When to give up, by the steady clock.
    deadline_us: int
    #: What the reply weighs while it is held back.
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request: a result for each operation, or one for all of it."""

    reply_to: object
    id: int
    results: tuple[Result, ...]
    #: Whether the request was run, so that the turn's token goes with it ...
    ran: bool
    #: ... or this one, to a watcher that has not seen all yet.
    token: Vector | None = None
    #: If set, the reply is held back once it is committed, and lacks its last result.
    concern: Concern | None = None


# --- out: what to save and send


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
    #: What expires from now on; and False where it does not any more, since it was replaced.
    due: Mapping[Due, bool] = field(default_factory=dict)
    #: Requests with ids that were done, and what their writes brought, in order ...
    done: Mapping[bytes, WriteResults] = field(default_factory=dict)
    #: ... and how many of all to remember with them, the latest.
    remembered_max: int = 0


@dataclass(frozen=True, slots=True)
class Pull:
    """Ask this peer for what lies beyond the vector."""

    name: str
    vector: Vector


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask this peer for a part of its state: a new snapshot of it, or one under way."""

    name: str
    number: int | None
    after: bytes


@dataclass(frozen=True, slots=True)
class Stage:
    """Put a part of a peer's state aside; a snapshot's first part clears what was there."""

    is_first: bool
    table: Mapping[bytes, Versions]
    #: What is staged now, once it is whole.
    snapshot: Snapshot | None


@dataclass(frozen=True, slots=True)
class Effects:
    """What a turn wants done, in this order: commit, then publish, then the rest."""

    commit: Commit | None
    publish: tuple[Batch, ...]
    claim: Claim | None
    replies: tuple[Reply, ...]
    #: The delivered vector after the turn, in normal form: the token of its answers.
    token: Vector
    pull: Pull | Fetch | None
    stage: Stage | None = None


class Settled(NamedTuple):
    """What may leave once a turn is committed, and as far as it is synced."""

    #: Of those that were held back.
    replies: tuple[Reply, ...]
    #: The latest write of this turn that a reply is held back for.
    awaited: Dot | None
    reports: tuple[Report, ...]
