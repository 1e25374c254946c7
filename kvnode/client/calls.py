"""What a client can ask: each method of `Calls` is one of every kind of client.

`Client` asks at once, `AsyncClient` in a coroutine, and a pipeline with others in one message: the
methods of all three are made from these.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from kvnode.client import arguments, writes
from kvnode.client.call import Call, Results, one, with_concern
from kvnode.client.scans import (
    Entry,
    Page,
    Range,
    Scan,
    count_on,
    range_of,
    scan_page,
)
from kvnode.client.session import (
    Version,
    Written,
    packed_key,
    packed_name,
    raise_error,
    unpacked_dot,
    unpacked_members,
    unpacked_name,
    unpacked_record,
    unpacked_status,
    unpacked_touched,
    unpacked_versions,
)
from kvnode.client.values import packed_value, readable
from kvnode.client.writes import Key, Seen
from kvnode.codec import client as ask
from kvnode.codec.packing import INTEGER_MAX, told
from kvnode.core.limits import (
    SCAN_COUNT_MAX,
    SCAN_RECORDS_MAX,
)
from kvnode.core.vector import Dot
from kvnode.errors import InvalidRequest, UnreadableAnswer

T = TypeVar("T")

#: Makes a value of a key's siblings, the winner first.
Resolver = Callable[[Key, tuple[Version, ...]], Any]


class Transacted(NamedTuple):
    """What a transaction did and saw."""

    #: The one write; None if there was nothing to write.
    dot: Dot | None
    #: The values of `reads`, in their order, with the write in them.
    values: list[Any]


class Calls:
    """Each of these is a method of every kind of client."""

    def __init__(self, resolver: Resolver | None = None) -> None:
        if resolver is not None and not callable(resolver):
            message = "resolver must be a function of a key and its versions"
            raise InvalidRequest(f"{message}; not {told(resolver)}")
        self._resolver = resolver

    def put(
        self,
        key: Key,
        value: Any,
        *,
        ttl_s: float | None = None,
        if_version: Seen | None = None,
        if_absent: bool = False,
        replicas: int | None = None,
        timeout_s: float | None = None,
        wait_s: float | None = None,
    ) -> Call[Written]:
        """Write any msgpack value of up to 8 MiB, under a key of up to 4 KiB; the dot of the write.
        It is on the node's disk then.

        With `ttl_s` the value expires after so many seconds, from a thousandth to a hundred years:
        each node hides it by its own clock, and removes it soon after.

        With `if_version`, only if the key holds just what was seen: what `read` gave, or its dots;
        with `if_absent`, only if it is not there, which `if_version=()` says as well. Else
        `Conflict` is raised. The node that answers judges that by what it has; a concurrent write
        at another node makes a sibling. It is no consensus.

        With `replicas`, returns once so many members (by name, up to 1024; the node that answers is
        one of them) have the write synced to disk. When the time is up `Unreplicated` is raised,
        and tells who surely has it: the write itself stays. `timeout_s` is how long this call may
        take then, instead of the client's own.
        """
        change = packed_key(key), packed_value(value, key)
        ttl_ms = None if ttl_s is None else arguments.ttl_ms(ttl_s)
        if arguments.flag(if_absent, "if_absent"):
            if_version = writes.absent(if_version)
        if if_version is None:
            operation = ask.put(*change, ttl_ms)
        else:
            conditions = [(packed_key(key), writes.dots(if_version))]
            operation = ask.write(conditions, [change], ttl_ms)
        call = one(operation, writes.as_given(unpacked_dot, [key]), wait_s)
        return with_concern(call, replicas, timeout_s)

    def put_many(
        self,
        items: Mapping[Key, Any] | Mapping[str, Any] | Mapping[bytes, Any],
        *,
        ttl_s: float | None = None,
        if_version: Mapping[Any, Seen] | None = None,
        replicas: int | None = None,
        timeout_s: float | None = None,
        wait_s: float | None = None,
    ) -> Call[Written | None]:
        """Write all of these, up to 4096 keys and 12 MiB, as one write: no node ever shows some
        of them without the others. `if_version` has what must be held by which keys, as for
        `put`; keys and conditions are 4096 together. All expire together, if they do. For
        `replicas` see `put`. Where there is nothing to write it does nothing, and gives None."""
        made = writes.write(writes.conditions(if_version), writes.puts(items), ttl_s)
        call = Call(made, _dot_of(if_version or ()), wait_s)
        return with_concern(call, replicas, timeout_s)

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
            conditions = [(packed_key(key), writes.dots(if_version))]
            operation = ask.write(conditions, [(packed_key(key),)])
        call = one(operation, writes.as_given(unpacked_dot, [key]), wait_s)
        return with_concern(call, replicas, timeout_s)

    def delete_many(
        self,
        keys: Iterable[Key],
        *,
        if_version: Mapping[Any, Seen] | None = None,
        replicas: int | None = None,
        timeout_s: float | None = None,
        wait_s: float | None = None,
    ) -> Call[Written | None]:
        """Delete up to 4096 keys as one write. For `if_version` see `put_many`, for `replicas`
        `put`. Where there are no keys it does nothing, and gives None."""
        made = writes.write(writes.conditions(if_version), writes.deletes(keys))
        call = Call(made, _dot_of(if_version or ()), wait_s)
        return with_concern(call, replicas, timeout_s)

    def transact(
        self,
        *,
        puts: Mapping[Any, Any] | None = None,
        deletes: Iterable[Key] = (),
        reads: Sequence[Key] = (),
        ttl_s: float | None = None,
        if_version: Mapping[Any, Seen] | None = None,
        if_absent: Iterable[Key] = (),
        replicas: int | None = None,
        timeout_s: float | None = None,
        wait_s: float | None = None,
    ) -> Call[Transacted]:
        """Judge conditions, write and read in one turn of the node, with nothing in between.

        All puts and deletes are one write, made if all of `if_version` holds (see `put_many`), and
        none of the keys in `if_absent` is there; else `Conflict` is raised and nothing was done. Up
        to 1023 reads see the write. With `ttl_s` the puts expire, as for `put`. Without anything to
        write there may be no conditions. These are judged by what the answering node has: this is
        no consensus with the others. For `replicas` see `put`; with it there are 1022 reads, which
        show what was there when the write was made. Where there is nothing to write it only reads.
        """
        absent = writes.several(if_absent, "if_absent")
        conditions = writes.conditions(if_version, absent)
        changes = writes.puts({} if puts is None else puts)
        made = writes.write(conditions, [*changes, *writes.deletes(deletes)], ttl_s)
        dot_of = _dot_of([*(if_version or ()), *absent])
        keys = writes.several(reads, "reads")

        def read(results: Results) -> Transacted:
            values = self._values(keys, results[len(made) :], None)
            return Transacted(dot_of(results[: len(made)]), values)

        operations = [*made, *(self._to_get(key) for key in keys)]
        return with_concern(Call(operations, read, wait_s), replicas, timeout_s)

    def touch(
        self,
        key: Key,
        ttl_s: float,
        *,
        replicas: int | None = None,
        timeout_s: float | None = None,
        wait_s: float | None = None,
    ) -> Call[Written | None]:
        """Have a key expire so many seconds from now on, whatever was said before: the dot of the
        write, or None if the key is not there.

        It is a put of the value that the node has, of the winner if there are siblings, which it
        settles. For `replicas` see `put`.
        """
        call = one(ask.touch(packed_key(key), arguments.ttl_ms(ttl_s)), unpacked_touched, wait_s)
        return with_concern(call, replicas, timeout_s)

    def persist(
        self,
        key: Key,
        *,
        replicas: int | None = None,
        timeout_s: float | None = None,
        wait_s: float | None = None,
    ) -> Call[Written | None]:
        """Have a key never expire; for the rest see `touch`."""
        call = one(ask.touch(packed_key(key), None), unpacked_touched, wait_s)
        return with_concern(call, replicas, timeout_s)

    def get(self, key: Key, default: Any = None, *, wait_s: float | None = None) -> Call[Any]:
        """The value of a key, of its winner if there are siblings and no resolver; else the
        default."""
        if self._resolver is not None:
            return _read_on(key, (), wait_s, lambda held: readable(self._value(key, held, default)))
        return one(
            ask.get(packed_key(key)),
            lambda result: readable(_winner(key, result, default)),
            wait_s,
        )

    def get_many(
        self, keys: Iterable[Key], default: Any = None, *, wait_s: float | None = None
    ) -> Call[list[Any]]:
        """The values of up to 1024 keys, of 12 MiB together, as the node had them at one moment."""
        asked = writes.several(keys, "keys")
        operations = [self._to_get(key) for key in asked]
        return Call(operations, lambda results: self._values(asked, results, default), wait_s)

    def read(self, key: Key, *, wait_s: float | None = None) -> Call[tuple[Version, ...]]:
        """All versions of a key, the winner first; more than one are concurrent siblings.

        Siblings beyond what one answer holds (12 MiB) are read by further requests; what is
        written between these may show.
        """
        return _read_on(key, (), wait_s, lambda versions: versions)

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
        asked = _scan(range_, ask.ENTRIES, reverse, page, limit, wait_s)

        def item(record: Any) -> tuple[Any, Any]:
            key, version, _ = unpacked_record(record, range_.key)
            return key, version.value

        return scan_page(asked, None, item)

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
        asked = _scan(range_, ask.ENTRIES, reverse, page, limit, wait_s)

        def item(record: Any) -> Entry:
            return Entry(*unpacked_record(record, range_.key))

        return scan_page(asked, None, item)

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
        asked = _scan(range_, ask.KEYS, reverse, page, limit, wait_s)

        def item(record: Any) -> Any:
            if type(record) is not bytes:
                raise UnreadableAnswer("the node's answer has an unreadable key")
            return range_.key(record)

        return scan_page(asked, None, item)

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
        asked = Scan(range_, ask.COUNT, False, SCAN_COUNT_MAX, None, wait_s)
        return count_on(asked, None, 0)

    def forget(self, name: str, *, wait_s: float | None = None) -> Call[Dot]:
        """Make a node that is gone for good no member any more, so that nothing waits for
        it. Refused while it is alive. Should it come back after all, it joins anew, and
        nothing that it wrote is lost."""
        return one(ask.forget(packed_name(name)), unpacked_dot, wait_s)

    # --- of the node itself: these stand alone, and wait for nothing

    def ping(self) -> Call[str]:
        """The node's name. Raises Unavailable while it takes no writes, also if reads go on."""
        return one(ask.PING, unpacked_name, 0)

    def status(self) -> Call[dict[str, Any]]:
        """What the node knows of itself: see docs/PROTOCOL.md for the fields."""
        return one(ask.STATUS, unpacked_status, 0)

    def members(self, of: Mapping[str, int] | None = None) -> Call[list[dict[str, Any]]]:
        """The members of the cluster as the node knows them, itself included: see
        docs/PROTOCOL.md for the fields. `lag_updates` counts writes of the vector `of` alone, such
        as `status()["vector"]` of a moment ago; so it comes to 0 though others go on writing."""
        if of is not None and not isinstance(of, Mapping):
            raise InvalidRequest(f"a vector maps origins to numbers; not {told(of)}")
        return one(ask.members(of), unpacked_members, 0)

    def fault(self, peer: str, channel: str, action: str) -> Call[None]:
        """Hold, drop or pass (`action`) what the node gets from a peer by `gossip` or
        `repair` (`channel`). Refused unless the node was started with --allow-faults."""
        return one(ask.fault(peer, channel, action), raise_error, 0)

    def backup(self, name: str) -> Call[dict[str, Any]]:
        """Have the node copy what it has into a directory of that name beside its data:
        where it is, and what it has. Refused if there is such a backup already."""
        return one(ask.backup(name), unpacked_status, 0)

    # --- values, and what a resolver makes of siblings

    def _to_get(self, key: Key) -> ask.Operation:
        packed = packed_key(key)
        return ask.get(packed) if self._resolver is None else ask.read(packed, 0)

    def _values(self, keys: Sequence[Key], results: Results, default: Any) -> list[Any]:
        if self._resolver is None:
            asked = zip(keys, results, strict=True)
            return [_winner(key, result, default) for key, result in asked]
        values = []
        for key, result in zip(keys, results, strict=True):
            versions, more = unpacked_versions(result, key)
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


def _scan(
    range_: Range, shows: str, reverse: bool, page: int, limit: int | None, wait_s: float | None
) -> Scan:
    """Raises InvalidRequest for what no node takes."""
    arguments.flag(reverse, "reverse")
    arguments.count(page, 1, SCAN_RECORDS_MAX, "page")
    if limit is not None:
        arguments.count(limit, 0, INTEGER_MAX, "limit")
    return Scan(range_, shows, reverse, page, limit, wait_s)


def _dot_of(given: Collection[Key]) -> Callable[[Results], Written | None]:
    """Reads the dot of a write with conditions on these keys; None where nothing was to do."""
    read = writes.as_given(unpacked_dot, given)
    return lambda results: read(results[0]) if results else None


def _read_on(
    key: Key,
    known: tuple[Version, ...],
    wait_s: float | None,
    then: Callable[[tuple[Version, ...]], T],
) -> Call[T]:
    """What becomes of all versions of a key, by as many requests as it takes."""

    def unpacked(result: list[Any]) -> T | Call[T]:
        versions, more = unpacked_versions(result, key)
        versions = known + versions
        return _read_on(key, versions, wait_s, then) if more else then(versions)

    return Call(
        [ask.read(packed_key(key), len(known))], lambda results: unpacked(results[0]), wait_s
    )


def _winner(key: Key, result: list[Any], default: Any) -> Any:
    versions, _ = unpacked_versions(result, key)
    return versions[0].value if versions else default
