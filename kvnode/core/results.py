"""What clients are told: results, and the replies that carry them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from kvnode.core.requests import Condition
from kvnode.core.vector import Dot, Missing, Vector
from kvnode.core.versions import Versions


class Entry(NamedTuple):
    """What a key holds, the winner first; empty if it is not there."""

    versions: Versions
    #: How many versions come after these.
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

    #: Who has this can be told what came after it; in normal form.
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
