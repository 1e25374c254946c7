"""Every error that kvnode raises.

    KvnodeError
    ├── DefiniteError            the operation surely did not happen
    │   ├── InvalidRequest       it can never succeed as it stands
    │   ├── Conflict             a condition of the write does not hold
    │   ├── UnreadableValue      another client put a value there that this one can't read
    │   ├── Delayed              the node has not yet what the session has seen
    │   ├── Compacted            the node's log starts later than the watch
    │   ├── SessionLost          nobody has any more what the session has seen
    │   ├── CutGone              the node let go of what a scan was reading: begin it anew
    │   ├── Overloaded           a limit of the node, or of the client, is reached; try later
    │   ├── Refused              the node does not do this: other cluster, faults not allowed
    │   ├── Unsupported          the node has not this operation, or speaks another version
    │   ├── WrongNode            the node can't tell whether it did this request before
    │   ├── Unavailable          the node stops, joins its cluster, or its disk fails
    │   └── Unreachable          no connection to the node: nothing was sent
    ├── IndefiniteError          the operation may have happened, or may still
    │   ├── TimedOut             sent, but no answer came in time
    │   ├── UnreadableAnswer     what came as an answer is none
    │   ├── Unreplicated         written, but not surely on as many members as were asked for
    │   └── CommitFailed         the node could not tell whether its disk has it
    ├── MalformedError           bytes that are not what they should be
    ├── StorageError             the disk failed, or is full, or holds something else
    └── ConfigError              a setting is wrong; the message names it

The operation of a `get` has no effect, so for reads the difference does not matter.

An InvalidRequest is also a ValueError of Python's, an Unreachable a ConnectionError, and a TimedOut
a TimeoutError; so the last two are OSErrors, without an errno.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any


class KvnodeError(Exception):
    """Base of all errors of this package."""


def _shown(missing: Sequence[tuple[str, int, int]]) -> str:
    return ", ".join(
        f"{origin}:{first}" if first == last else f"{origin}:{first}-{last}"
        for origin, first, last in missing
    )


class DefiniteError(KvnodeError):
    """The operation surely did not happen."""


class InvalidRequest(DefiniteError, ValueError):
    """The request can never succeed as it stands: a key too long, an unknown operation."""


class Conflict(DefiniteError):
    """A write's condition does not hold at the node that judged it.

    `found` has what it found instead: for each key, as it was given, the dots, as (origin, seq), of
    its versions; none where the key is not there.
    """

    def __init__(self, found: Mapping[Any, Collection[tuple[str, int]]]) -> None:
        held = (
            f"{key!r:.80} holds {', '.join(f'{o}:{s}' for o, s in sorted(dots)) or 'nothing'}"
            for key, dots in found.items()
        )
        super().__init__(f"conflict: {'; '.join(held)}")
        self.found = {key: frozenset(dots) for key, dots in found.items()}

    def __reduce__(self) -> tuple[type[Conflict], tuple[Any, ...]]:
        return Conflict, ({key: sorted(dots) for key, dots in self.found.items()},)


class UnreadableValue(DefiniteError):
    """The value of `key` is nothing that this client can read, as another client may have put it.

    Raised where one value is asked for. Where there are several, in a list, a scan, the versions of
    a key or the changes of a watch, it stands in the place of the value, and the others are there.
    `packed` has the bytes, and `reason` says what is wrong with them. To put the key anew, or to
    delete it, works as for any other.
    """

    def __init__(self, key: str | bytes, packed: bytes, reason: str) -> None:
        super().__init__(f"the value of {key!r:.80} can't be read: {reason}")
        self.key = key
        self.packed = packed
        self.reason = reason

    def __reduce__(self) -> tuple[type[UnreadableValue], tuple[Any, ...]]:
        return UnreadableValue, (self.key, self.packed, self.reason)


class Delayed(DefiniteError):
    """The session has seen writes that this node has not delivered yet.

    `incoming` is the session's vector, `local` the node's (origin -> seq); `missing` lists
    what the node lacks as (origin, first seq, last seq). Try again later, or another node.
    """

    def __init__(
        self,
        reason: str,
        incoming: Mapping[str, int],
        local: Mapping[str, int],
        missing: Sequence[tuple[str, int, int]],
    ) -> None:
        super().__init__(f"delayed: {reason}; missing {_shown(missing)}")
        self.reason = reason
        self.incoming = dict(incoming)
        self.local = dict(local)
        self.missing = [(origin, first, last) for origin, first, last in missing]

    def __reduce__(self) -> tuple[type[Delayed], tuple[Any, ...]]:
        return Delayed, (self.reason, self.incoming, self.local, self.missing)


class Compacted(DefiniteError):
    """The node's log starts later than the watch: what is between is not there any more.

    `floor` is the vector at which the log starts. Another node's log may start earlier. Else begin
    a new watch, from now, and then read the state anew.
    """

    def __init__(self, floor: Mapping[str, int]) -> None:
        super().__init__(
            "the node's log starts later than the watch; "
            "begin a new one, from now, and then read the state anew"
        )
        self.floor = dict(floor)

    def __reduce__(self) -> tuple[type[Compacted], tuple[Any, ...]]:
        return Compacted, (self.floor,)


class SessionLost(DefiniteError):
    """The session has seen writes that no member has any more: a disk lost them that did
    not sync, or that died alone.

    `missing` lists them as (origin, first seq, last seq). `token` is the session's without
    them: to go on all the same, make a `Client(token=error.token)`.
    """

    def __init__(self, missing: Sequence[tuple[str, int, int]], token: bytes) -> None:
        super().__init__(f"lost for good: {_shown(missing)}")
        self.missing = list(missing)
        self.token = token

    def __reduce__(self) -> tuple[type[SessionLost], tuple[Any, ...]]:
        return SessionLost, (self.missing, self.token)


class CutGone(DefiniteError):
    """The node does not have any more what the pages of a scan show: nobody asked for a page in
    a minute, it made room for other scans, or the node was started anew, or another one answers.
    Begin the scan anew."""


class Overloaded(DefiniteError):
    """A named limit of the node is reached: try again later, or another node. Or as many calls of
    the client are on their way as may be: try again later, or make another client."""


class Refused(DefiniteError):
    """The node understood and will not: another cluster's token, faults not allowed."""


class WrongNode(DefiniteError):
    """A request with an id came to a node that can't tell whether it was done before: one of
    another name, or one that does not remember so far back. Nothing was done now."""


class Unsupported(DefiniteError):
    """The node is older or newer than this client: it has not this operation, or speaks another
    version of the protocol. Try another node, or upgrade the older one of the two."""


class Unavailable(DefiniteError):
    """The node can't do this now: it is shutting down, it joins and has not yet what its peers
    have, or its disk is full or fails. While a full disk can still be read, reads go on, and only
    writes are refused with this."""


class Unreachable(DefiniteError, ConnectionError):
    """No connection to the node came about in time; nothing was sent."""


class IndefiniteError(KvnodeError):
    """The operation may have happened, or may still happen. Reads are safe to repeat."""


class TimedOut(IndefiniteError, TimeoutError):
    """The request was sent and no answer came in time."""


class UnreadableAnswer(IndefiniteError):
    """What came as an answer is none: the address may not be a node's."""


class Unreplicated(IndefiniteError):
    """The write is at the node that answered, and goes on to the others; but not as many members as
    were asked for surely had it synced in time. To write it again would be another write.

    `replicas` of the `wanted` had it, by the `names`; `dot` is the write's, as (origin, seq), and
    that of the last where a request made several. `reason` says why the node waited no longer.
    """

    def __init__(self, reason: str, dot: tuple[str, int], wanted: int, names: Sequence[str]):
        origin, seq = dot
        had = f"{len(names)} of {wanted} members surely had it synced"
        told = f" ({', '.join(names)})" if names else ""
        super().__init__(f"{origin}:{seq} is written, but only {had}{told}: {reason}")
        self.reason = reason
        self.dot = dot
        self.replicas = len(names)
        self.wanted = wanted
        self.names = list(names)

    def __reduce__(self) -> tuple[type[Unreplicated], tuple[Any, ...]]:
        return Unreplicated, (self.reason, self.dot, self.wanted, self.names)


class CommitFailed(IndefiniteError):
    """The node's disk failed while it saved the write: it may be there, or not."""


class MalformedError(KvnodeError):
    """Bytes from a client, a peer or a disk that are not what they should be."""

    #: How the error is called in an answer.
    code = "malformed"


class StorageError(KvnodeError):
    """The disk failed, is full, is in use by another daemon, or holds something else."""


class ConfigError(KvnodeError):
    """A setting is wrong; the message names it and says what it should be."""
