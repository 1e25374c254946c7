"""The answering side of a ROUTER's protocol: what a node reads. What it answers is in `answers`.

`codec.client` shows the shapes of requests and answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from kvnode.codec.calls import Call, decode_messages
from kvnode.codec.chains import checks
from kvnode.codec.client import REQUEST_ID_BYTES, Introduction
from kvnode.codec.packing import (
    ADDRESS_BYTES_MAX,
    INTEGER_MAX,
    MESSAGE_BYTES_MAX,
    TooLarge,
    array,
    bound,
    check_version,
    client_key,
    dot,
    integer,
    node_name,
    text,
    told,
    unpack_array,
    value_bytes,
    vector,
)
from kvnode.codec.pieces import decode_begun
from kvnode.codec.snapshots import position
from kvnode.codec.token import CLUSTER_BYTES_MAX, decode_token
from kvnode.core.batch import Change
from kvnode.core.limits import (
    CONCERN_TIMEOUT_MS_MAX,
    CONDITION_DOTS_MAX,
    ONCE_WRITES_MAX,
    REPLICAS_MAX,
    REQUEST_DEADLINE_MS_MAX,
    REQUEST_OPERATIONS_MAX,
    REQUEST_SCANS_MAX,
    SCAN_COUNT_MAX,
    SCAN_RECORDS_MAX,
    TTL_MS_MAX,
    WRITE_BYTES_MAX,
    WRITE_KEYS_MAX,
)
from kvnode.core.messages import Report
from kvnode.core.pieces import Begun
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
    Shows,
    Touch,
    Watch,
    WriteAll,
    WriteOperation,
)
from kvnode.core.vector import NAME_PATTERN, Vector, is_name
from kvnode.errors import MalformedError

# --- operations that concern the node, not its data; each stands alone in its request


@dataclass(frozen=True, slots=True)
class Ping:
    """Answered with the node's name; waits for nothing."""


@dataclass(frozen=True, slots=True)
class Status:
    """Answered with a map of what the node knows of itself; waits for nothing."""


@dataclass(frozen=True, slots=True)
class Members:
    """Answered with what the node knows of each member."""

    #: What each lacks is counted of this alone; None is for all that the node has.
    of: Vector | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    """A peer's greeting; answered with a `Greeting`, or refused."""

    introduction: Introduction


@dataclass(frozen=True, slots=True)
class Since:
    """A pull: answered with batches beyond the vector, or with a piece of the first one."""

    vector: Vector
    bytes_max: int
    #: What has come in pieces so far.
    begun: tuple[Begun, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A fetch: answered with the part of a snapshot after a position, a new one without a
    number; or with a piece of that part."""

    number: int | None
    after: bytes
    bytes_max: int
    #: What has come in pieces so far.
    begun: tuple[Begun, ...] = ()


@dataclass(frozen=True, slots=True)
class Synced:
    """A peer's report; answered with nothing."""

    report: Report


@dataclass(frozen=True, slots=True)
class Fault:
    """Hold, drop or pass what comes from a peer; for demonstrations and tests."""

    peer: str
    channel: str
    action: str


@dataclass(frozen=True, slots=True)
class Backup:
    """Answered with a map of what the backup has, once it is made."""

    name: str


@dataclass(frozen=True, slots=True)
class Position:
    """Answered with what a request with an id must say: the node's name, and how many it did."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody waits any more for the request with this id that came over the same connection."""

    id: int


NodeOperation = (
    Ping
    | Status
    | Members
    | Hello
    | Call
    | Since
    | Snapshot
    | Synced
    | Fault
    | Backup
    | Position
    | Cancel
)
AnyOperation = Operation | NodeOperation

#: How many records one page of a scan may have, by what it shows of them.
_SCAN_PAGES_MAX: Final[Mapping[str, int]] = {
    Shows.ENTRIES: SCAN_RECORDS_MAX,
    Shows.KEYS: SCAN_RECORDS_MAX,
    Shows.COUNT: SCAN_COUNT_MAX,
}

GOSSIP: Final = "gossip"
REPAIR: Final = "repair"
HOLD: Final = "hold"
DROP: Final = "drop"
PASS: Final = "pass"


class Asked(NamedTuple):
    """A decoded request."""

    id: int
    token_cluster: str | None
    token: Vector
    deadline_ms: int
    operations: tuple[Operation, ...] | NodeOperation


class UnknownOperation(MalformedError):
    """A request for something that this node does not do."""

    code = "unknown_operation"


class BadRequest(MalformedError):
    """A request that can't be run; `id` is None where not even that could be read."""

    def __init__(self, id_: int | None, error: MalformedError) -> None:
        super().__init__(str(error))
        self.id = id_
        self.code = error.code


# --- requests


def decode_request(payload: bytes) -> Asked:
    """Check and decode a request; raises BadRequest."""
    id_: int | None = None
    try:
        if len(payload) > MESSAGE_BYTES_MAX:
            raise TooLarge(f"a message must have at most {MESSAGE_BYTES_MAX} bytes")
        parts = unpack_array(payload, None, "a request")
        if len(parts) > 1 and type(parts[1]) is int:
            id_ = parts[1]
        check_version(parts, _what(parts))
        return _decode_parts(parts)
    except MalformedError as error:
        raise BadRequest(id_, error) from None


def _what(parts: list[Any]) -> str:
    """What a request is, for the complaint about its version: whoever greets is named."""
    match parts:
        case [_, _, _, _, ["hello", _, str(name), *_]]:
            return f"a greeting by {told(name)}"
        case _:
            return "a request"


def _decode_parts(parts: list[Any]) -> Asked:
    if not 5 <= len(parts) <= 4 + REQUEST_OPERATIONS_MAX:
        raise MalformedError(f"a request must have 1 to {REQUEST_OPERATIONS_MAX} operations")
    _, id_, token, deadline_ms, *bodies = parts
    integer(id_, 0, INTEGER_MAX, "a request's id")
    integer(deadline_ms, 0, REQUEST_DEADLINE_MS_MAX, "deadline_ms")
    cluster: str | None = None
    seen: Vector = {}
    if token is not None:
        if type(token) is not bytes:
            raise MalformedError("a token must be bytes or nil")
        cluster, seen = decode_token(token)
    first, *others = (decode_operation(body) for body in bodies)
    if isinstance(first, NodeOperation) and not others:
        return Asked(id_, cluster, seen, deadline_ms, first)
    operations: list[Operation] = []
    for operation in (first, *others):
        if isinstance(operation, NodeOperation) or (isinstance(operation, Watch) and others):
            name = type(operation).__name__.lower()
            raise MalformedError(f"{name!r} must stand alone in its request")
        operations.append(operation)
    if any(isinstance(operation, AwaitReplicas) for operation in operations[:-1]):
        raise MalformedError("'replicated' must stand last in its request, after the writes")
    _expect_few_keys(operations)
    _expect_few_scans(operations)
    _expect_once_first(operations)
    return Asked(id_, cluster, seen, deadline_ms, tuple(operations))


def _expect_few_keys(operations: list[Operation]) -> None:
    """All writes of a request are made in one turn, and nobody else is served meanwhile."""
    writes = [operation for operation in operations if isinstance(operation, WriteAll)]
    keys = sum(len(write.changes) + len(write.conditions) for write in writes)
    if keys > WRITE_KEYS_MAX:
        message = f"the writes of a request must change and ask for at most {WRITE_KEYS_MAX} keys"
        raise TooLarge(f"{message} together; these do {keys}")
    dots = sum(len(condition.dots) for write in writes for condition in write.conditions)
    if dots > CONDITION_DOTS_MAX:
        raise TooLarge(f"conditions must name at most {CONDITION_DOTS_MAX} versions together")


def _expect_few_scans(operations: list[Operation]) -> None:
    scans = sum(isinstance(operation, Scan) for operation in operations)
    if scans > REQUEST_SCANS_MAX:
        message = f"a request must have at most {REQUEST_SCANS_MAX} pages of scans"
        raise TooLarge(f"{message}; this has {scans}")


def _expect_once_first(operations: list[Operation]) -> None:
    """What follows is what is done once: a write, and no more than can be remembered."""
    if any(isinstance(operation, Once) for operation in operations[1:]):
        raise MalformedError("'once' must stand first in its request")
    if isinstance(operations[0], Once):
        writes = sum(isinstance(operation, WriteOperation) for operation in operations)
        if not writes:
            raise MalformedError("'once' needs a write to be done once")
        if writes > ONCE_WRITES_MAX:
            message = f"a request with an id must have at most {ONCE_WRITES_MAX} writes"
            raise TooLarge(f"{message}; this has {writes}")


def decode_operation(body: Any) -> AnyOperation:
    """Check and decode one operation; raises MalformedError."""
    if type(body) is not list or not body:
        raise MalformedError("an operation must be an array that starts with its name")
    name = body[0]
    known = _DECODERS.get(name) if type(name) is str else None
    if known is None:
        raise UnknownOperation(f"there is no operation {told(name)}")
    arguments, decode = known
    if len(body) - 1 not in arguments:
        taken = " or ".join(str(count) for count in arguments)
        raise MalformedError(f"{name!r} takes {taken} arguments, not {len(body) - 1}")
    return decode(body)


def _decode_put(body: list[Any]) -> Put:
    _, key, value, *ttl = body
    return Put(client_key(key), value_bytes(value), _ttl_ms(ttl[0]) if ttl else None)


def _ttl_ms(value: Any) -> int:
    return integer(value, 1, TTL_MS_MAX, "a time to live, in milliseconds,")


def _decode_touch(body: list[Any]) -> Touch:
    _, key, ttl = body
    return Touch(client_key(key), None if ttl is None else _ttl_ms(ttl))


def _decode_scan(body: list[Any]) -> Scan:
    _, cut, start, end, limit, page, reverse, shows = body
    if cut is not None:
        integer(cut, 0, INTEGER_MAX, "a scan's cut")
    if limit is not None:
        integer(limit, 1, INTEGER_MAX, "a scan's limit")
    if type(reverse) is not bool:
        raise MalformedError("whether a scan goes in reverse must be true or false")
    page_max = _SCAN_PAGES_MAX.get(shows) if type(shows) is str else None
    if page_max is None:
        raise MalformedError(f"a scan shows entries, keys or count; not {told(shows)}")
    return Scan(
        cut,
        bound(start, "a scan's start"),
        bound(end, "a scan's end"),
        limit,
        integer(page, 1, page_max, "a scan's page"),
        reverse,
        Shows(shows),
    )


def _decode_write(body: list[Any]) -> WriteAll:
    _, conditions, changes, *ttl = body
    array(conditions, None, "a write's conditions")
    if not array(changes, None, "a write's changes"):
        raise MalformedError("a write must change something")
    write = WriteAll(
        tuple(_decode_condition(condition) for condition in conditions),
        tuple(_decode_change(change) for change in changes),
        _ttl_ms(ttl[0]) if ttl else None,
    )
    if len({condition.key for condition in write.conditions}) < len(write.conditions):
        raise MalformedError("a write has two conditions about one key")
    size_bytes = sum(len(change.key) + len(change.value or b"") for change in write.changes)
    if size_bytes > WRITE_BYTES_MAX:
        raise TooLarge(f"a write must have at most {WRITE_BYTES_MAX} bytes; this has {size_bytes}")
    return write


def _decode_condition(condition: Any) -> Condition:
    key, dots = array(condition, 2, "a condition")
    held = array(dots, None, "a condition's dots")
    return Condition(client_key(key), frozenset(dot(it, "a condition") for it in held))


def _decode_change(change: Any) -> Change:
    if type(change) is not list or not 1 <= len(change) <= 2:
        raise MalformedError("a change must be [key] or [key, value]")
    key, *value = change
    return Change(client_key(key), value_bytes(value[0]) if value else None)


def _decode_once(body: list[Any]) -> Once:
    _, id_, node, position_ = body
    if type(id_) is not bytes or len(id_) != REQUEST_ID_BYTES:
        raise MalformedError(f"a request's own id must be {REQUEST_ID_BYTES} bytes")
    return Once(id_, node_name(node), integer(position_, 0, INTEGER_MAX, "a position"))


def _decode_hello(body: list[Any]) -> Hello:
    _, cluster, name, instance, listen, gossip, record = body
    if record is not None:
        record = dot(record, "a record's dot")
    return Hello(
        Introduction(
            text(cluster, CLUSTER_BYTES_MAX, "a cluster"),
            node_name(name),
            integer(instance, 0, INTEGER_MAX, "an instance"),
            text(listen, ADDRESS_BYTES_MAX, "an address"),
            text(gossip, ADDRESS_BYTES_MAX, "an address"),
            record,
        )
    )


def _decode_call(body: list[Any]) -> Call:
    _, name, instance, hears, messages = body
    if type(hears) is not bool:
        raise MalformedError("a call must say whether gossip is heard")
    name, instance = node_name(name), integer(instance, 0, INTEGER_MAX, "an instance")
    return Call(name, instance, hears, decode_messages(messages, name, instance))


def _decode_since(body: list[Any]) -> Since:
    _, beyond, bytes_max, begun = body
    return Since(vector(beyond, "a vector"), _pull_bytes(bytes_max), decode_begun(begun))


def _decode_snapshot(body: list[Any]) -> Snapshot:
    _, number, after, bytes_max, begun = body
    if number is not None:
        integer(number, 0, INTEGER_MAX, "a snapshot's number")
    return Snapshot(number, position(after), _pull_bytes(bytes_max), decode_begun(begun))


def _pull_bytes(value: Any) -> int:
    return integer(value, 1, MESSAGE_BYTES_MAX, "a pull's size")


def _decode_replicated(body: list[Any]) -> AwaitReplicas:
    return AwaitReplicas(
        integer(body[1], 1, REPLICAS_MAX, "replicas"),
        integer(body[2], 0, CONCERN_TIMEOUT_MS_MAX, "timeout_ms"),
    )


def _decode_members(body: list[Any]) -> Members:
    return Members(vector(body[1], "a vector") if len(body) > 1 else None)


def _decode_synced(body: list[Any]) -> Synced:
    _, name, instance, *synced, check = body
    origin, seq = dot(synced, "a report")
    instance = integer(instance, 0, INTEGER_MAX, "an instance")
    check = checks(check, 1, "a report's check")
    return Synced(Report(node_name(name), instance, origin, seq, check))


def _decode_fault(body: list[Any]) -> Fault:
    _, peer, channel, action = body
    if channel not in (GOSSIP, REPAIR) or action not in (HOLD, DROP, PASS):
        raise MalformedError("a fault is: peer, gossip or repair, hold or drop or pass")
    return Fault(node_name(peer), channel, action)


def _decode_backup(body: list[Any]) -> Backup:
    name = body[1]
    if type(name) is not str or not is_name(name):
        raise MalformedError(f"a backup's name must match {NAME_PATTERN}")
    return Backup(name)


def _decode_watch(body: list[Any]) -> Watch:
    _, prefix, is_now = body
    if type(is_now) is not bool:
        raise MalformedError("a watch must say whether it starts now")
    start = bound(prefix, "a prefix")
    if start is None:
        raise MalformedError("a watch must have a prefix, which may be empty")
    return Watch(start, is_now)


def _decode_read(body: list[Any]) -> Read:
    return Read(client_key(body[1]), integer(body[2], 0, INTEGER_MAX, "skip"))


#: For each operation how many arguments it may have, and what decodes it.
_DECODERS: Final[Mapping[str, tuple[tuple[int, ...], Callable[[list[Any]], AnyOperation]]]] = {
    "put": ((2, 3), _decode_put),
    "get": ((1,), lambda body: Get(client_key(body[1]))),
    "read": ((2,), _decode_read),
    "scan": ((7,), _decode_scan),
    "delete": ((1,), lambda body: Delete(client_key(body[1]))),
    "write": ((2, 3), _decode_write),
    "replicated": ((2,), _decode_replicated),
    "touch": ((2,), _decode_touch),
    "once": ((3,), _decode_once),
    "position": ((0,), lambda body: Position()),
    "watch": ((2,), _decode_watch),
    "cancel": ((1,), lambda body: Cancel(integer(body[1], 0, INTEGER_MAX, "a request's id"))),
    "ping": ((0,), lambda body: Ping()),
    "status": ((0,), lambda body: Status()),
    "members": ((0, 1), _decode_members),
    "forget": ((1,), lambda body: Forget(node_name(body[1]))),
    "hello": ((6,), _decode_hello),
    "call": ((4,), _decode_call),
    "since": ((3,), _decode_since),
    "snapshot": ((4,), _decode_snapshot),
    "synced": ((5,), _decode_synced),
    "fault": ((3,), _decode_fault),
    "backup": ((1,), _decode_backup),
}
