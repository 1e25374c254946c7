"""The asking side of a ROUTER's protocol: what a client or a pulling peer sends and reads.

    request   [version, id, token, deadline_ms, [operation, ...], [operation, ...], ...]
    answer    [id, token, [result, ...]]

Operations are made here as the arrays that travel; `codec.server` reads them. This module
imports little: it is part of every start of `kv`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from kvnode.codec.packing import (
    ADDRESS_BYTES_MAX,
    INTEGER_MAX,
    PROTOCOL_VERSION,
    array,
    integer,
    node_name,
    pack,
    text,
    unpack_array,
)
from kvnode.codec.token import CLUSTER_BYTES_MAX
from kvnode.core.vector import Dot, Vector
from kvnode.errors import MalformedError


class Introduction(NamedTuple):
    """Who a peer says that it is."""

    cluster: str
    name: str
    instance: int
    #: Where it answers requests and where it gossips.
    listen: str
    gossip: str
    #: The dot of its member record; None if it has none.
    record: Dot | None


#: An operation as it travels: its name, then its arguments.
Operation = list[Any]

#: What two requests never have in common if it is made at random.
REQUEST_ID_BYTES: Final = 16

#: Those that only read, and those that write or wait for that. All others concern the node itself.
READS: Final = frozenset({"get", "read", "scan", "watch"})
WRITES: Final = frozenset({"put", "delete", "write", "touch", "forget", "replicated"})

PING: Final[Operation] = ["ping"]
POSITION: Final[Operation] = ["position"]
STATUS: Final[Operation] = ["status"]


#: What a scan shows of each key.
ENTRIES: Final = "entries"
KEYS: Final = "keys"
COUNT: Final = "count"


def members(of: Vector | None = None) -> Operation:
    """Answered with ["ok", [map, ...]]; what each lacks is counted of this vector alone, if there
    is one."""
    return ["members"] if of is None else ["members", dict(of)]


def put(key: bytes, value: bytes, ttl_ms: int | None = None) -> Operation:
    """Answered with ["ok", origin, seq, stamp_us, expires_us]; the last is nil for never."""
    return ["put", key, value] if ttl_ms is None else ["put", key, value, ttl_ms]


def delete(key: bytes) -> Operation:
    """Answered as `put`."""
    return ["delete", key]


def write(
    conditions: Iterable[tuple[bytes, Iterable[Dot]]],
    changes: Iterable[tuple[bytes] | tuple[bytes, bytes]],
    ttl_ms: int | None = None,
) -> Operation:
    """All of these changes, (key) to delete or (key, value) to put, if each condition's key holds
    just these dots: answered as `put`, or with ["conflict", [[key, dots], ...]]."""
    operation = ["write", [[key, list(dots)] for key, dots in conditions], list(changes)]
    return operation if ttl_ms is None else [*operation, ttl_ms]


def touch(key: bytes, ttl_ms: int | None) -> Operation:
    """Put the winner's value again, to live so long; nil is for ever: answered as `put`, or with
    ["absent"]."""
    return ["touch", key, ttl_ms]


def once(id_: bytes, node: str, position: int) -> Operation:
    """Stands first, so that the writes after it are made once however often this is asked: see
    `core.once`. Answered with ["ok", repeated, position]."""
    return ["once", id_, node, position]


def get(key: bytes) -> Operation:
    """Answered with ["ok", versions, more]: the winner alone or none; `more` are siblings."""
    return ["get", key]


def read(key: bytes, skip: int) -> Operation:
    """Answered with ["ok", versions, more]: all after the first `skip`, the winner first;
    `more` did not fit."""
    return ["read", key, skip]


def watch(prefix: bytes, *, is_now: bool) -> Operation:
    """Alone in its request: answered with ["ok", events] beyond the request's token, each of them
    [origin, seq, stamp_us, key] for a delete, with a value for a put, and with when that expires
    if it does; or with ["compacted", floor]. With `is_now` at once, with none."""
    return ["watch", prefix, is_now]


def cancel(id_: int) -> Operation:
    """Nobody waits any more for what the client asked for with this id over the same connection.
    Answered with ["ok"]."""
    return ["cancel", id_]


def replicated(replicas: int, timeout_ms: int) -> Operation:
    """The last of a request: its answer waits until so many members have its writes. Answered with
    ["ok", replicas], or with ["unreplicated", reason, dot, replicas_wanted, names]."""
    return ["replicated", replicas, timeout_ms]


def scan(
    cut: int | None,
    start: bytes | None,
    end: bytes | None,
    limit: int | None,
    page: int,
    *,
    reverse: bool,
    shows: str,
) -> Operation:
    """Answered with ["ok", cut, records, next]: see `core.messages.Page`."""
    return ["scan", cut, start, end, limit, page, reverse, shows]


def since(vector: Vector, bytes_max: int, begun: Iterable[tuple[bytes, int]] = ()) -> Operation:
    """A pull: answered with ["ok", batches], beyond the vector, as many as fit; or if not even the
    first does, with a piece of it, see `codec.pieces`: what comes next where it has begun to come.
    """
    return ["since", dict(vector), bytes_max, [list(it) for it in begun]]


def snapshot(
    number: int | None, after: bytes, bytes_max: int, begun: Iterable[tuple[bytes, int]] = ()
) -> Operation:
    """A fetch: answered with a part of the node's state, see `codec.snapshots`; or with a piece of
    one, as for `since`."""
    return ["snapshot", number, after, bytes_max, [list(it) for it in begun]]


def hello(introduction: Introduction) -> Operation:
    """A peer's greeting: answered with a `Greeting`, or refused."""
    return ["hello", *introduction]


def synced(name: str, instance: int, dot: Dot, check: bytes) -> Operation:
    """A report, by this process of a name, of what it has synced, and of which history that is:
    answered with ["ok"]."""
    return ["synced", name, instance, *dot, check]


def forget(name: str) -> Operation:
    """Make a name no member: answered as `put`."""
    return ["forget", name]


def fault(peer: str, channel: str, action: str) -> Operation:
    """Hold, drop or pass what comes from a peer by gossip or by repair."""
    return ["fault", peer, channel, action]


def backup(name: str) -> Operation:
    """Answered with ["ok", map]: where the backup is, and what it has."""
    return ["backup", name]


def encode_request(
    id_: int, token: bytes | None, deadline_ms: int, operations: Iterable[Operation]
) -> bytes:
    """A request's one frame."""
    return pack([PROTOCOL_VERSION, id_, token, deadline_ms, *operations])


class Answer(NamedTuple):
    """A decoded answer: a result for each operation, or one for the whole request."""

    id: int | None
    token: bytes | None
    results: list[list[Any]]


def decode_answer(payload: bytes) -> Answer:
    """Check an answer's outer shape; raises MalformedError."""
    id_, token, results = unpack_array(payload, 3, "an answer")
    if not (id_ is None or type(id_) is int) or not (token is None or type(token) is bytes):
        raise MalformedError("an answer starts with an id and a token")
    for result in array(results, None, "an answer's results"):
        if type(result) is not list or not result or type(result[0]) is not str:
            raise MalformedError("a result must be an array that starts with its status")
    return Answer(id_, token, results)


class Greeting(NamedTuple):
    """What a node answers to `Hello`."""

    cluster: str
    name: str
    instance: int
    gossip_address: str
    #: Whether it knows that the record of the peer that greets was deleted.
    has_forgotten: bool
    #: Where it hears another node that bears the name of the peer that greets; None if it does
    #: not.
    namesake: str | None
    #: Whether it wants to be called: see `codec.calls`.
    wants_calls: bool


def decode_greeting(result: list[Any]) -> Greeting:
    """Check the answer to `Hello`; raises MalformedError."""
    _, cluster, name, instance, gossip_address, has_forgotten, namesake, wants_calls = array(
        result, 8, "a greeting"
    )
    if type(has_forgotten) is not bool:
        raise MalformedError("a greeting must say whether it has forgotten")
    if type(wants_calls) is not bool:
        raise MalformedError("a greeting must say whether calls are wanted")
    return Greeting(
        text(cluster, CLUSTER_BYTES_MAX, "a cluster"),
        node_name(name),
        integer(instance, 0, INTEGER_MAX, "an instance"),
        text(gossip_address, ADDRESS_BYTES_MAX, "a gossip address"),
        has_forgotten,
        None if namesake is None else text(namesake, ADDRESS_BYTES_MAX, "an address"),
        wants_calls,
    )
