"""A session without sockets: what it has seen, and the meaning of answers.

The token is merged from every answer; carried to another node, it makes that node wait
until it has what the session has seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import RLock
from typing import Any, Final, NamedTuple

from kvnode.client.values import unpacked_value
from kvnode.codec.client import Answer, Operation, decode_answer, encode_request
from kvnode.codec.packing import MESSAGE_BYTES_MAX, client_key, node_name, told
from kvnode.codec.token import decode_token, encode_token, merge_tokens, token_of
from kvnode.core.limits import REQUEST_OPERATIONS_MAX
from kvnode.core.vector import Dot
from kvnode.errors import (
    CommitFailed,
    Compacted,
    Conflict,
    CutGone,
    DefiniteError,
    Delayed,
    IndefiniteError,
    InvalidRequest,
    KvnodeError,
    MalformedError,
    Overloaded,
    Refused,
    SessionLost,
    Unavailable,
    UnreadableAnswer,
    Unreplicated,
    Unsupported,
    WrongNode,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Version(NamedTuple):
    """One value of a key, and the write that put it."""

    #: An UnreadableValue where it can't be read.
    value: Any
    dot: Dot
    #: The hybrid-logical-clock stamp, microseconds since 1970.
    stamp_us: int
    #: When it expires by the clock of the node that it was put at; None is never.
    expires_at: datetime | None = None

    @property
    def origin(self) -> str:
        """The incarnation of a node that wrote it: the node's name, `~`, and what tells its
        incarnations apart."""
        return self.dot.origin


class Written(Dot):
    """The dot of a write, with what else its node says of it."""

    #: The hybrid-logical-clock stamp, microseconds since 1970.
    stamp_us: int
    #: When what was put expires; None is never.
    expires_at: datetime | None


class Request(NamedTuple):
    """A request on its way."""

    id: int
    payload: bytes
    token: bytes | None
    #: How many operations it asks for.
    operations: int


_ERRORS: Final[dict[str, type[KvnodeError]]] = {
    "malformed": InvalidRequest,
    "too_large": InvalidRequest,
    "unknown_operation": Unsupported,
    "wrong_version": Unsupported,
    "cut_gone": CutGone,
    "overloaded": Overloaded,
    "refused": Refused,
    "wrong_cluster": Refused,
    "wrong_node": WrongNode,
    "unavailable": Unavailable,
    "joining": Unavailable,
    "clock_exhausted": Unavailable,
    "commit_failed": CommitFailed,
}


#: Of all sessions: it is held for no longer than it takes to put a token in another's place.
_merging = RLock()


def _forked() -> None:
    """A thread that is not here may have held it."""
    global _merging
    _merging = RLock()


os.register_at_fork(after_in_child=_forked)


class Session:
    """What one client has seen, and the requests that it makes. Threads may share it."""

    def __init__(
        self,
        token: bytes | str | None,
        ids: Iterator[int] | None = None,
        within: Session | None = None,
    ) -> None:
        """The ids of its requests come from `ids`, where sessions share a connection. It ends with
        the one that it is within."""
        if not isinstance(token, bytes | str | None):
            raise InvalidRequest(
                f"a session token is bytes, or text of printable(); not {told(token)}"
            )
        try:
            if isinstance(token, str):
                token = token_of(token)
            if token is not None:
                decode_token(token)
        except MalformedError as error:
            raise InvalidRequest(f"this is no session token: {error}") from None
        self.token = token
        self.ids = count(1) if ids is None else ids
        self._within = within
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """Whether nobody waits any more for what it asked for."""
        return self._is_over or (self._within is not None and self._within.is_over)

    def end(self) -> None:
        """See `is_over`. The token stays."""
        self._is_over = True

    def request(self, operations: Sequence[Operation], wait_s: float) -> Request:
        """Encode a request that the node may keep waiting for so long."""
        if len(operations) > REQUEST_OPERATIONS_MAX:
            message = f"a request has at most {REQUEST_OPERATIONS_MAX} operations"
            raise InvalidRequest(f"{message}; this has {len(operations)}")
        deadline_ms = int(wait_s * 1000)
        id_, token = next(self.ids), self.token
        try:
            payload = encode_request(id_, token, deadline_ms, operations)
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidRequest(f"this can't be asked for: {error}") from None
        if len(payload) > MESSAGE_BYTES_MAX:
            message = f"a request has at most {MESSAGE_BYTES_MAX} bytes"
            raise InvalidRequest(f"{message}; this has {len(payload)}")
        return Request(id_, payload, token, len(operations))

    def results(self, request: Request, payload: bytes) -> list[list[Any]] | None:
        """The results in an answer; None if it answers an earlier request, which adds to
        what the session has seen all the same.

        Raises the error that stands for the whole request.
        """
        answer = decoded_answer(payload)
        if answer.id not in (request.id, None):  # none is of what the node could not read
            self.add(answer)
            return None
        return self.results_of(request, answer)

    def add(self, answer: Answer) -> None:
        """An answer came that nobody waits for any more."""
        if answer.token is not None:
            self.merge(answer.token)

    def merge(self, token: bytes) -> None:
        """It has seen this, too."""
        is_merged = False
        while not is_merged:
            before = self.token
            is_merged = self._replace(before, merge_tokens(before, token))

    def _replace(self, before: bytes | None, token: bytes) -> bool:
        """Put a token in the place of the one before; whether that was still there."""
        with _merging:
            if self.token != before:
                return False
            self.token = token
            return True

    def results_of(self, request: Request, answer: Answer) -> list[list[Any]]:
        """The results in the answer to this request; raises the error that stands for all."""
        if answer.token is None:
            for result in answer.results:
                _raise_lost(result, request.token)
                raise_error(result)
        if len(answer.results) != request.operations:
            raise UnreadableAnswer(
                f"{len(answer.results)} results for {request.operations} operations"
            )
        if answer.token is None:
            pass  # a node operation's
        elif not self._replace(request.token, answer.token):
            # The node had all that the request's token names, but not what came meanwhile.
            self.add(answer)
        return answer.results


def decoded_answer(payload: bytes) -> Answer:
    """An answer, if it is one."""
    try:
        return decode_answer(payload)
    except MalformedError as error:
        raise UnreadableAnswer(str(error)) from None


def _raise_lost(result: list[Any], token: bytes | None) -> None:
    match result:
        case ["lost", list(missing), dict(left)] if token is not None:
            cluster, _ = decode_token(token)
            raise SessionLost(_dots(missing), encode_token(cluster, left))


def raise_error(result: list[Any]) -> None:
    """Raise what a result reports, unless it is ok."""
    match result:
        case ["ok", *_]:
            return
        case ["conflict", list(found)]:
            raise Conflict(_found(found))
        case ["delayed", str(reason), dict(incoming), dict(local), list(missing)]:
            raise Delayed(reason, incoming, local, _dots(missing))
        case ["compacted", dict(floor)]:
            raise Compacted(floor)
        case ["unreplicated", str(reason), list(dot), int(wanted), list(names)] if _is_dot(dot):
            raise Unreplicated(reason, Dot(*dot), wanted, [str(name) for name in names])
        case ["error", str(code), str(message), bool(maybe)]:
            unknown = IndefiniteError if maybe else DefiniteError
            raise _ERRORS.get(code, unknown)(message)
        case _:
            raise _unreadable(result)


def _found(found: list[Any]) -> dict[bytes, list[Dot]]:
    """What keys hold whose conditions did not hold."""
    held = {}
    for item in found:
        match item:
            case [bytes(key), list(dots)] if all(_is_dot(dot) for dot in dots):
                held[key] = [Dot(*dot) for dot in dots]
            case _:
                raise UnreadableAnswer("the node's answer tells of a conflict unreadably")
    return held


def _is_dot(dot: Any) -> bool:
    return type(dot) is list and [type(part) for part in dot] == [str, int]


def _dots(missing: list[Any]) -> list[Any]:
    return [tuple(dots) for dots in missing if type(dots) is list and len(dots) == 3]


def _unreadable(result: list[Any]) -> UnreadableAnswer:
    return UnreadableAnswer(f"the node's answer has a result that starts {told(result[0])}")


def encoded(key: Any) -> Any:
    """A string as bytes, if it can be: surrogate escapes as what they stand for."""
    try:
        return key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key
    except UnicodeEncodeError:
        return key  # whoever checks it finds out


def packed_key(key: str | bytes) -> bytes:
    """A key as the node takes it; a string may have surrogate escapes (PEP 383) for bytes that are
    no UTF-8, as scans give such keys. Raises InvalidRequest."""
    try:
        return client_key(encoded(key))
    except MalformedError as error:
        raise InvalidRequest(str(error)) from None


def packed_name(name: str) -> str:
    """A node's name as the node takes it. Raises InvalidRequest."""
    try:
        return node_name(name)
    except MalformedError as error:
        raise InvalidRequest(str(error)) from None


def unpacked_versions(result: list[Any], key: str | bytes) -> tuple[tuple[Version, ...], int]:
    """The versions in the result of `get` or `read`, the winner first; how many more."""
    raise_error(result)
    match result:
        case ["ok", list(versions), int(more)]:
            return tuple(_unpacked_version(version, key) for version in versions), more
        case _:
            raise _unreadable(result)


def unpacked_page(result: list[Any]) -> tuple[int | None, Any, bytes | None]:
    """The cut, the records and the next bound in the result of `scan`."""
    raise_error(result)
    match result:
        case ["ok", None | int() as cut, list() | int() as records, None | bytes() as goes_on_at]:
            return cut, records, goes_on_at
        case _:
            raise _unreadable(result)


def unpacked_record(record: Any, key_of: Callable[[bytes], Any]) -> tuple[Any, Version, int]:
    """A key as `key_of` shows it, its winner and the number of its siblings, of the records of
    `scan`."""
    match record:
        case [bytes(packed_key), [version], int(siblings)]:
            key = key_of(packed_key)
            return key, _unpacked_version(version, key), siblings
        case _:
            raise UnreadableAnswer("the node's answer has an unreadable record")


def _unpacked_version(version: Any, key: str | bytes) -> Version:
    match version:
        case [int(stamp_us), str(origin), int(seq), bytes(value), expires_us] if _is_time(
            expires_us
        ):
            dot = Dot(origin, seq)
            return Version(unpacked_value(value, key), dot, stamp_us, _time(expires_us))
        case _:
            raise UnreadableAnswer("the node's answer has an unreadable version")


def unpacked_expiry(expiry: list[Any]) -> datetime | None:
    """When it ends what an event puts, which may not say."""
    match expiry:
        case []:
            return None
        case [int(expires_us)]:
            return _time(expires_us)
        case _:
            raise UnreadableAnswer("the node's answer has an unreadable expiry")


def unpacked_dot(result: list[Any]) -> Written:
    """The dot in the result of a write."""
    raise_error(result)
    match result:
        case ["ok", str(origin), int(seq), int(stamp_us), expires_us] if _is_time(expires_us):
            written = Written(origin, seq)
            written.stamp_us, written.expires_at = stamp_us, _time(expires_us)
            return written
        case _:
            raise _unreadable(result)


def unpacked_touched(result: list[Any]) -> Written | None:
    """The dot in the result of `touch`; None if the key is not there."""
    return None if result == ["absent"] else unpacked_dot(result)


def _is_time(expires_us: Any) -> bool:
    return expires_us is None or type(expires_us) is int


def _time(expires_us: int | None) -> datetime | None:
    """What no calendar holds has its last day."""
    if expires_us is None:
        return None
    try:
        return _EPOCH + timedelta(microseconds=expires_us)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def unpacked_name(result: list[Any]) -> str:
    """The node's name in the result of `ping`."""
    raise_error(result)
    match result:
        case ["ok", str(name)]:
            return name
        case _:
            raise _unreadable(result)


def unpacked_members(result: list[Any]) -> list[dict[str, Any]]:
    """The maps in the result of `members`."""
    raise_error(result)
    match result:
        case ["ok", list(members)] if all(type(member) is dict for member in members):
            return members
        case _:
            raise _unreadable(result)


def unpacked_status(result: list[Any]) -> dict[str, Any]:
    """The map in the result of `status`."""
    raise_error(result)
    match result:
        case ["ok", dict(status)]:
            return status
        case _:
            raise _unreadable(result)
