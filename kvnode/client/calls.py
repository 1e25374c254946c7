"""What a client can ask: each method of `Calls` is one of every kind of client.

A `Call` is the operations to send and the function that reads their results; it knows
nothing of sockets. `Client` asks at once, `AsyncClient` in a coroutine, and a pipeline with
others in one message: the methods of all three are made from these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from kvnode.client.scans import Entry, Page, Range, checked_count, range_of
from kvnode.client.session import (
    Version,
    Written,
    packed_key,
    packed_name,
    packed_ttl,
    packed_value,
    raise_error,
    unpacked_dot,
    unpacked_members,
    unpacked_name,
    unpacked_page,
    unpacked_record,
    unpacked_status,
    unpacked_touched,
    unpacked_versions,
)
from kvnode.codec import client as ask
from kvnode.codec.packing import INTEGER_MAX, told
from kvnode.core.limits import (
    CONCERN_TIMEOUT_MS_MAX,
    REPLICAS_MAX,
    SCAN_COUNT_MAX,
    SCAN_RECORDS_MAX,
    WRITE_BYTES_MAX,
    WRITE_KEYS_MAX,
)
from kvnode.core.vector import Dot
from kvnode.errors import InvalidRequest, KvnodeError, UnreadableAnswer

T = TypeVar("T")

Key = str | bytes

#: What a key held when it was read: its versions, or their dots; empty if it was not there.
Seen = Iterable[Version | Dot]

#: How long a write waits for its replicas if it is not told.
REPLICAS_TIMEOUT_S: Final = 5.0

#: Makes a value of a key's siblings, the winner first.
Resolver = Callable[[Key, tuple[Version, ...]], Any]

#: The result of each operation, as it came.
Results = Sequence[list[Any]]


class Call(NamedTuple, Generic[T]):
    """Operations for one request, and what their results mean."""

    operations: Sequence[ask.Operation]
    #: Raises the error that a result tells; a further call if more must be asked.
    read: Callable[[Results], T | Call[T]]
    #: How long the node may wait for the session's past; None is the client's own choice.
    wait_s: float | None = None
    #: How long the node may then hold the answer back until others have the writes; None if it does
    #: not.
    held_s: float | None = None


class Transacted(NamedTuple):
    """What a transaction did and saw."""

    #: The one write; None if there was nothing to write.
    dot: Dot | None
    #: The values of `reads`, in their order, with the write in them.
    values: list[Any]


class Calls:
    """Each of these is a method of every kind of client."""

    def __init__(self, resolver: Resolver | None = None) -> None:
        self._resolver = resolver

    def put(
        self,
        key: Key,
        value: Any,
        *,
        ttl_s: float | None = None,
        if_version: Seen | None = None,
        replicas: int | None = None,
        timeout_s: float | None = None,
        wait_s: float | None = None,
    ) -> Call[Written]:
        """Write any msgpack value of up to 8 MiB, under a key of up to 4 KiB; the dot of the write.
        It is on the node's disk then.

        With `ttl_s` the value expires after so many seconds, from a thousandth to a hundred years:
        each node hides it by its own clock, and removes it soon after.

        With `if_version`, only if the key holds just what was seen: what `read` gave, or its dots;
        nothing, `()`, for a key that must not be there. Else `Conflict` is raised. The node that
        answers judges that by what it has; a concurrent write at another node makes a sibling. It
        is no consensus.

        With `replicas`, returns once so many members (by name, up to 1024; the node that answers is
        one of them) have the write synced to disk. After `timeout_s` (5 if not given, at most 600)
        `Unreplicated` is raised, and tells who surely has it: the write itself stays.
        """
        change, ttl_ms = (packed_key(key), packed_value(value)), packed_ttl(ttl_s)
        if if_version is None:
            operation = ask.put(*change, ttl_ms)
        else:
            conditions = [(packed_key(key), _dots(if_version))]
            operation = ask.write(conditions, [change], ttl_ms)
        return _with_concern(_one(operation, unpacked_dot, wait_s), replicas, timeout_s)

    def put_many(
        self,
        items: Mapping[Key, Any] | Mapping[str, Any] | Mapping[bytes, Any],
        *,
        ttl_s: float | None = None,
        if_version: Mapping[Any, Seen] | None = None,
        replicas: int | None = None,
        timeout_s: float | None = None,
        wait_s: float | None = None,
    ) -> Call[Written]:
        """Write all of these, up to 4096 keys and 12 MiB, as one write: no node ever shows some
        of them without the others. `if_version` has what must be held by which keys, as for
        `put`; keys and conditions are 4096 together. All expire together, if they do. For
        `replicas` see `put`."""
        call = _one(_write(_conditions(if_version), _puts(items), ttl_s), unpacked_dot, wait_s)
        return _with_concern(call, replicas, timeout_s)

    def delete(
        self,
        key: Key,
        *,
        if_version: Seen | None = None,
        replicas: int | None = None,
        timeout_s: float | None = None,
        wait_s: float | None = None,
    ) -> Call[Written]:
        """Delete what is visible at the node; concurrent writes stay. The write's dot. For
        `if_version` and `replicas` see `put`."""
        if if_version is None:
            operation = ask.delete(packed_key(key))
        else:
            conditions = [(packed_key(key), _dots(if_version))]
            operation = ask.write(conditions, [(packed_key(key),)])
        return _with_concern(_one(operation, unpacked_dot, wait_s), replicas, timeout_s)

    def delete_many(
        self,
        keys: Iterable[Key],
        *,
        if_version: Mapping[Any, Seen] | None = None,
        replicas: int | None = None,
        timeout_s: float | None = None,
        wait_s: float | None = None,
    ) -> Call[Written]:
        """Delete up to 4096 keys as one write. For `if_version` see `put_many`, for `replicas`
        `put`."""
        call = _one(_write(_conditions(if_version), _deletes(keys)), unpacked_dot, wait_s)
        return _with_concern(call, replicas, timeout_s)

    def transact(
        self,
        *,
        puts: Mapping[Any, Any] | None = None,
        deletes: Iterable[Key] = (),
        reads: Sequence[Key] = (),
        ttl_s: float | None = None,
        if_version: Mapping[Any, Seen] | None = None,
        replicas: int | None = None,
        timeout_s: float | None = None,
        wait_s: float | None = None,
    ) -> Call[Transacted]:
        """Judge conditions, write and read in one turn of the node, with nothing in between.

        All puts and deletes are one write, made if all of `if_version` holds (see `put_many`); else
        `Conflict` is raised and nothing was done. Up to 1023 reads see the write. With `ttl_s` the
        puts expire, as for `put`. Without anything to write there may be no conditions. These are
        judged by what the answering node has: this is no consensus with the others. For `replicas`
        see `put`; with it there are 1022 reads, which show what was there when the write was made.
        """
        conditions = _conditions(if_version)
        changes: _Changes = [*_puts(puts or {}), *_deletes(deletes)]
        writes = [_write(conditions, changes, ttl_s)] if changes or conditions else []
        keys = list(_several(reads, "reads"))
        operations = [*writes, *(self._to_get(key) for key in keys)]

        def read(results: Results) -> Transacted:
            dot = unpacked_dot(results[0]) if writes else None
            return Transacted(dot, self._values(keys, results[len(writes) :], None))

        if replicas is not None and not writes:
            raise InvalidRequest("there is nothing to write that could wait for replicas")
        return _with_concern(Call(operations, read, wait_s), replicas, timeout_s)

    def touch(self, key: Key, ttl_s: float, *, wait_s: float | None = None) -> Call[Written | None]:
        """Have a key expire so many seconds from now on, whatever was said before: the dot of the
        write, or None if the key is not there.

        It is a put of the value that the node has, of the winner if there are siblings, which it
        settles.
        """
        return _one(ask.touch(packed_key(key), packed_ttl(ttl_s)), unpacked_touched, wait_s)

    def persist(self, key: Key, *, wait_s: float | None = None) -> Call[Written | None]:
        """Have a key never expire; for the rest see `touch`."""
        return _one(ask.touch(packed_key(key), None), unpacked_touched, wait_s)

    def get(self, key: Key, default: Any = None, *, wait_s: float | None = None) -> Call[Any]:
        """The value of a key, of its winner if there are siblings and no resolver; else the
        default."""
        if self._resolver is not None:
            return _read_on(
                packed_key(key), (), wait_s, lambda held: self._value(key, held, default)
            )
        return _one(ask.get(packed_key(key)), lambda result: _winner(result, default), wait_s)

    def get_many(
        self, keys: Iterable[Key], default: Any = None, *, wait_s: float | None = None
    ) -> Call[list[Any]]:
        """The values of up to 1024 keys, of 12 MiB together, as the node had them at one moment."""
        asked = list(_several(keys, "keys"))
        operations = [self._to_get(key) for key in asked]
        return Call(operations, lambda results: self._values(asked, results, default), wait_s)

    def read(self, key: Key, *, wait_s: float | None = None) -> Call[tuple[Version, ...]]:
        """All versions of a key, the winner first; more than one are concurrent siblings.

        Siblings beyond what one answer holds (12 MiB) are read by further requests; what is
        written between these may show.
        """
        return _read_on(packed_key(key), (), wait_s, lambda versions: versions)

    def scan(
        self,
        prefix: Key = "",
        *,
        start: Key | None = None,
        end: Key | None = None,
        limit: int | None = None,
        reverse: bool = False,
        page: int = 500,
        wait_s: float | None = None,
    ) -> Call[Page[tuple[Any, Any]]]:
        """Iterate over keys and their values in the order of the keys' bytes: those with the
        prefix, from `start` (included) to before `end`, both whole keys; with `reverse` from the
        last one on; `limit` of them at the most. Of siblings the value is the winner's.

        All show one moment: what the node had when the first page came, which is all that the
        session had seen. Pages of up to `page` records (1 to 1000, and half a MiB) are asked for
        as they are used up, the first one too. Keys are strings if prefix, start and end are (bytes
        that are no UTF-8 come as surrogate escapes, and are taken back so), or bytes if these are.

        Raises InvalidRequest where these are mixed, or a number is out of bounds; `CutGone` if the
        node let go of that moment, as after a minute in which no page was asked for: begin anew;
        and `Overloaded` if too many others scan.
        """
        range_ = range_of(prefix, start, end)
        asked = _Scan(range_, ask.ENTRIES, reverse, _page_size(page), _limit(limit), wait_s)

        def item(record: Any) -> tuple[Any, Any]:
            key, version, _ = unpacked_record(record)
            return range_.key(key), version.value

        return _scan_page(asked, None, item)

    def entries(
        self,
        prefix: Key = "",
        *,
        start: Key | None = None,
        end: Key | None = None,
        limit: int | None = None,
        reverse: bool = False,
        page: int = 500,
        wait_s: float | None = None,
    ) -> Call[Page[Entry]]:
        """Iterate over keys with their winning versions, and how many siblings these have; see
        `scan`."""
        range_ = range_of(prefix, start, end)
        asked = _Scan(range_, ask.ENTRIES, reverse, _page_size(page), _limit(limit), wait_s)

        def item(record: Any) -> Entry:
            key, version, siblings = unpacked_record(record)
            return Entry(range_.key(key), version, siblings)

        return _scan_page(asked, None, item)

    def keys(
        self,
        prefix: Key = "",
        *,
        start: Key | None = None,
        end: Key | None = None,
        limit: int | None = None,
        reverse: bool = False,
        page: int = 500,
        wait_s: float | None = None,
    ) -> Call[Page[Any]]:
        """Iterate over keys alone; see `scan`."""
        range_ = range_of(prefix, start, end)
        asked = _Scan(range_, ask.KEYS, reverse, _page_size(page), _limit(limit), wait_s)

        def item(record: Any) -> Any:
            if type(record) is not bytes:
                raise UnreadableAnswer("the node's answer has an unreadable key")
            return range_.key(record)

        return _scan_page(asked, None, item)

    def count(
        self,
        prefix: Key = "",
        *,
        start: Key | None = None,
        end: Key | None = None,
        wait_s: float | None = None,
    ) -> Call[int]:
        """How many keys there are at one moment, with the prefix, from `start` to before `end`; see
        `scan`. The node reads them all, a few thousand in each of several requests."""
        range_ = range_of(prefix, start, end)
        asked = _Scan(range_, ask.COUNT, False, SCAN_COUNT_MAX, None, wait_s)
        return _count_on(asked, None, 0)

    def forget(self, name: str, *, wait_s: float | None = None) -> Call[Dot]:
        """Make a node that is gone for good no member any more, so that nothing waits for
        it. Refused while it is alive. Should it come back after all, it joins anew, and
        nothing that it wrote is lost."""
        return _one(ask.forget(packed_name(name)), unpacked_dot, wait_s)

    # --- of the node itself: these stand alone, and wait for nothing

    def ping(self) -> Call[str]:
        """The node's name. Raises Unavailable while it takes no writes, also if reads go on."""
        return _one(ask.PING, unpacked_name, 0)

    def status(self) -> Call[dict[str, Any]]:
        """What the node knows of itself: see docs/PROTOCOL.md for the fields."""
        return _one(ask.STATUS, unpacked_status, 0)

    def members(self) -> Call[list[dict[str, Any]]]:
        """The members of the cluster as the node knows them, itself included: see
        docs/PROTOCOL.md for the fields."""
        return _one(ask.MEMBERS, unpacked_members, 0)

    def fault(self, peer: str, channel: str, action: str) -> Call[None]:
        """Hold, drop or pass (`action`) what the node gets from a peer by `gossip` or
        `repair` (`channel`). Refused unless the node was started with --allow-faults."""
        return _one(ask.fault(peer, channel, action), raise_error, 0)

    def backup(self, name: str) -> Call[dict[str, Any]]:
        """Have the node copy what it has into a directory of that name beside its data:
        where it is, and what it has. Refused if there is such a backup already."""
        return _one(ask.backup(name), unpacked_status, 0)

    # --- values, and what a resolver makes of siblings

    def _to_get(self, key: Key) -> ask.Operation:
        packed = packed_key(key)
        return ask.get(packed) if self._resolver is None else ask.read(packed, 0)

    def _values(self, keys: Sequence[Key], results: Results, default: Any) -> list[Any]:
        if self._resolver is None:
            return [_winner(result, default) for result in results]
        values = []
        for key, result in zip(keys, results, strict=True):
            versions, more = unpacked_versions(result)
            if more:
                raise InvalidRequest(
                    f"the siblings of {told(key)} do not fit one answer with the others: read it "
                    f"by itself"
                )
            values.append(self._value(key, versions, default))
        return values

    def _value(self, key: Key, versions: tuple[Version, ...], default: Any) -> Any:
        if len(versions) > 1 and self._resolver is not None:
            return self._resolver(key, versions)
        return versions[0].value if versions else default


def _read_on(
    key: bytes,
    known: tuple[Version, ...],
    wait_s: float | None,
    then: Callable[[tuple[Version, ...]], T],
) -> Call[T]:
    """What becomes of all versions of a key, by as many requests as it takes."""

    def unpacked(result: list[Any]) -> T | Call[T]:
        versions, more = unpacked_versions(result)
        versions = known + versions
        return _read_on(key, versions, wait_s, then) if more else then(versions)

    return Call([ask.read(key, len(known))], lambda results: unpacked(results[0]), wait_s)


# --- scans


class _Scan(NamedTuple):
    """What is left of a scan."""

    range: Range
    shows: str
    reverse: bool
    page: int
    limit: int | None
    wait_s: float | None

    def operation(self, cut: int | None) -> ask.Operation:
        start, end, _ = self.range
        return ask.scan(
            cut, start, end, self.limit, self.page, reverse=self.reverse, shows=self.shows
        )

    def behind(self, next_: bytes, seen: int) -> _Scan:
        range_ = self.range.behind(next_, reverse=self.reverse)
        limit = None if self.limit is None else self.limit - seen
        return self._replace(range=range_, limit=limit)


def _scan_page(asked: _Scan, cut: int | None, item: Callable[[Any], T]) -> Call[Page[T]]:
    def unpacked(result: list[Any]) -> Page[T]:
        cut, records, goes_on_at = unpacked_page(result)
        if type(records) is not list:
            raise UnreadableAnswer("the node's answer has no records")
        items = [item(record) for record in records]
        if goes_on_at is None:
            return Page(items, None)
        return Page(items, _scan_page(asked.behind(goes_on_at, len(items)), cut, item))

    return _one(asked.operation(cut), unpacked, asked.wait_s)


def _count_on(asked: _Scan, cut: int | None, known: int) -> Call[int]:
    def unpacked(result: list[Any]) -> int | Call[int]:
        cut, count, goes_on_at = unpacked_page(result)
        if type(count) is not int:
            raise UnreadableAnswer("the node's answer has no count")
        if goes_on_at is None:
            return known + count
        return _count_on(asked.behind(goes_on_at, count), cut, known + count)

    return Call([asked.operation(cut)], lambda results: unpacked(results[0]), asked.wait_s)


def _page_size(page: Any) -> int:
    return checked_count(page, 1, SCAN_RECORDS_MAX, "page")


def _limit(limit: Any) -> int | None:
    return None if limit is None else checked_count(limit, 1, INTEGER_MAX, "limit")


# --- several in one request


def together(calls: Sequence[Call[Any]], wait_s: float | None) -> Call[list[Any]]:
    """Make all of these in one request. Each outcome stands for itself: a result, an error, or a
    further call that brings the rest of a result."""
    operations = [operation for call in calls for operation in call.operations]

    def read(results: Results) -> list[Any]:
        outcomes, at = [], 0
        for call in calls:
            outcomes.append(_outcome(call, results[at : at + len(call.operations)]))
            at += len(call.operations)
        return outcomes

    held_s = max((call.held_s for call in calls if call.held_s is not None), default=None)
    return Call(operations, read, wait_s, held_s)


def _outcome(call: Call[Any], results: Results) -> Any:
    try:
        return call.read(results)
    except KvnodeError as error:
        return error


# --- waiting for replicas


def concern(replicas: int | None, timeout_s: float | None) -> Call[None] | None:
    """What stands last in a request whose writes wait for so many members; None if they do not.
    What it reads is all well, or an error."""
    if replicas is None:
        if timeout_s is not None:
            raise InvalidRequest("timeout_s bounds the wait for replicas: say for how many, too")
        return None
    if type(replicas) is not int or not 1 <= replicas <= REPLICAS_MAX:
        raise InvalidRequest(f"replicas must be a number from 1 to {REPLICAS_MAX}")
    held_s = REPLICAS_TIMEOUT_S if timeout_s is None else timeout_s
    if not 0 <= held_s <= CONCERN_TIMEOUT_MS_MAX / 1000:  # nor is that so for NaN
        raise InvalidRequest(f"timeout_s must be from 0 to {CONCERN_TIMEOUT_MS_MAX // 1000}")
    operation = ask.replicated(replicas, int(held_s * 1000))
    return Call([operation], lambda results: raise_error(results[0]), None, held_s)


def _with_concern(call: Call[T], replicas: int | None, timeout_s: float | None) -> Call[T]:
    """The call, answered once so many members have its write."""
    waiting = concern(replicas, timeout_s)
    if waiting is None:
        return call

    def read(results: Results) -> T | Call[T]:
        result = call.read(results[:-1])
        waiting.read(results[-1:])
        return result

    operations = [*call.operations, *waiting.operations]
    return Call(operations, read, call.wait_s, waiting.held_s)


_Changes = Sequence[tuple[bytes] | tuple[bytes, bytes]]
_Conditions = list[tuple[bytes, list[Dot]]]


def _write(conditions: _Conditions, changes: _Changes, ttl_s: float | None = None) -> ask.Operation:
    """What no node would take is told at once, and to whom it concerns."""
    if not changes:
        raise InvalidRequest("there is nothing to write")
    if len(conditions) + len(changes) > WRITE_KEYS_MAX:
        message = f"a write changes and asks for at most {WRITE_KEYS_MAX} keys together"
        raise InvalidRequest(f"{message}; this does {len(conditions) + len(changes)}")
    size_bytes = sum(len(part) for change in changes for part in change)
    if size_bytes > WRITE_BYTES_MAX:
        raise InvalidRequest(f"a write has at most {WRITE_BYTES_MAX} bytes; this has {size_bytes}")
    return ask.write(conditions, changes, packed_ttl(ttl_s))


def _puts(items: Any) -> list[tuple[bytes, bytes]]:
    if not isinstance(items, Mapping):
        raise InvalidRequest("what to put must be a mapping of keys to values")
    return [(packed_key(key), packed_value(value)) for key, value in items.items()]


def _deletes(keys: Any) -> list[tuple[bytes]]:
    return [(packed_key(key),) for key in _several(keys, "keys to delete")]


def _several(keys: Any, what: str) -> Iterable[Any]:
    """A string is one key, and a sequence of others by accident."""
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise InvalidRequest(f"{what} must be a sequence of keys")
    return keys


def _conditions(if_version: Any) -> _Conditions:
    if if_version is None:
        return []
    if not isinstance(if_version, Mapping):
        raise InvalidRequest("if_version of several keys maps each to what was seen there")
    conditions = {packed_key(key): _dots(seen) for key, seen in if_version.items()}
    return list(conditions.items())


def _dots(seen: Any) -> list[Dot]:
    """Of what `read` gave, or of some of it."""
    if isinstance(seen, Version | Dot):
        seen = [seen]
    if isinstance(seen, Mapping) or not isinstance(seen, Iterable):
        raise InvalidRequest("if_version takes what read() gave, or dots; () for an absent key")
    dots = []
    for it in seen:
        if not isinstance(it, Version | Dot):
            raise InvalidRequest(f"if_version takes what read() gave, or dots; not {told(it)}")
        dots.append(it.dot if isinstance(it, Version) else it)
    return dots


def _one(
    operation: ask.Operation, unpacked: Callable[[list[Any]], T], wait_s: float | None
) -> Call[T]:
    return Call([operation], lambda results: unpacked(results[0]), wait_s)


def _winner(result: list[Any], default: Any) -> Any:
    versions, _ = unpacked_versions(result)
    return versions[0].value if versions else default
