"""What comes into a turn of the replica beside requests, and what goes out of it beside replies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from kvnode.core.batch import Batch
from kvnode.core.chain import NO_CHAIN, NO_CHECKS
from kvnode.core.requests import Mark, Request
from kvnode.core.results import Reply, WriteResults
from kvnode.core.vector import Dot, Vector
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
    #: The chain of its last batch.
    chain: bytes = NO_CHAIN


class OwnPast(NamedTuple):
    """How far others are known to have a node's own writes: see `standing`."""

    #: The incarnation of the latest write that a peer has confirmed, and its state there; none if
    #: no write is confirmed.
    origin: str = ""
    state: OriginState | None = None
    #: The incarnations that were opened since, in order.
    opened: tuple[str, ...] = ()
    #: Those that a process wrote that may have gone back in time, as long as not all is confirmed.
    doubtful: tuple[str, ...] = ()

    @property
    def seq(self) -> int:
        """That of the latest write that is confirmed."""
        return 0 if self.state is None else self.state.delivered


class Moved(NamedTuple):
    """A batch of the log that is another one from now on, in the same place."""

    was: Batch
    now: Batch


class Due(NamedTuple):
    """When a version of a key expires."""

    expires_us: int
    key: bytes


class Saved(NamedTuple):
    """What a replica needs from disk to go on, beside the table."""

    origins: Mapping[str, OriginState]
    clock_us: int
    digest: int
    #: The log has every batch beyond this vector.
    floor: Vector = MappingProxyType({})
    #: Whether a node has joined the cluster, or founded it, on this disk: see `catch_up`.
    joined: bool = False
    own: OwnPast = OwnPast()


class Snapshot(NamedTuple):
    """A state that is staged whole, beside its table."""

    origins: Mapping[str, OriginState]
    clock_us: int
    digest: int

    @property
    def entries(self) -> dict[str, int]:
        """Its vector, spelled out."""
        return {origin: state.delivered for origin, state in self.origins.items()}


# --- in: what peers say


@dataclass(frozen=True, slots=True)
class Claim:
    """A heartbeat: what a peer has. It replaces the claim before it."""

    name: str
    #: Which process of that name speaks.
    instance: int
    #: Its delivered vector, in normal form; empty until it has joined, whatever it has.
    delivered: Vector
    #: The part of it that would survive a power loss.
    synced: Vector
    digest: int
    #: Whose vector covers this can pull from its log; in normal form.
    floor: Vector
    #: What its clock said, in microseconds since 1970.
    wall_us: int
    #: Greater than those of the process's claims before: claims may come by two ways, and one that
    #: is late must not replace a later one.
    number: int = 0
    #: Whether there is more than it says: it lacks what somebody has who lives and, as far as it
    #: knows, is no member yet; or it keeps to itself what it wrote, since it may have gone back in
    #: time. Then what it does not say may be there all the same.
    is_not_all: bool = False
    #: Of one that joins: where all others are that it knows of. Whoever believes that it has
    #: nothing must hear these as well.
    known: tuple[str, ...] = ()
    #: The checks of what is delivered, in its order.
    checks: bytes = NO_CHECKS


class Report(NamedTuple):
    """A node tells an origin how much of its writes it has synced, ahead of the next claim."""

    #: Who reports, and which process of that name.
    name: str
    instance: int
    origin: str
    #: All writes of the origin up to here.
    seq: int
    #: The check of the origin's chain there: what the origin has made since may be other writes.
    check: bytes


class Pulled(NamedTuple):
    """A peer's answer to a pull: batches in its own delivery order."""

    name: str
    batches: tuple[Batch, ...]
    #: Whether the peer was asked again meanwhile, and that answer is still to come.
    is_late: bool = False


class Progress(NamedTuple):
    """A piece of a peer's answer, which is not whole yet: it is to be asked on."""

    name: str
    #: Whether the piece is news; else it had come before.
    is_news: bool
    is_late: bool = False


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
    progress: list[Progress] = field(default_factory=list)
    #: Names of peers that said anything of what they have; who sends writes lives, though its
    #: claims may wait behind these on a slow link.
    heard: set[str] = field(default_factory=set)
    #: Names of peers that refused what they were asked for.
    refusals: list[str] = field(default_factory=list)
    #: Names of peers that there was no way to ask.
    unasked: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    #: Whether peers that this node knows of have not been heard since its start; whether one of its
    #: name refuses it, or some do and no peer is heard; and where all are that it knows of. None
    #: where that is as it was.
    unheard: bool | None = None
    refused: bool | None = None
    known: tuple[str, ...] | None = None
    #: Requests whose clients do not wait any more.
    cancelled: list[Mark] = field(default_factory=list)


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
    #: Whether the node has joined, by this commit at the latest.
    joined: bool = False
    #: What is known of its own writes; None where that is as it was.
    own: OwnPast | None = None
    #: Batches that are others from now on, and origins of which nothing is left: see `mending`.
    moved: tuple[Moved, ...] = ()
    gone: tuple[str, ...] = ()


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
