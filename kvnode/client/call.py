"""A call: operations to send, and what their results mean; it knows nothing of sockets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from kvnode.client.session import raise_error
from kvnode.codec import client as ask
from kvnode.core.limits import CONCERN_TIMEOUT_MS_MAX, REPLICAS_MAX
from kvnode.errors import InvalidRequest, KvnodeError

T = TypeVar("T")

#: How long a write waits for its replicas if it is not told.
REPLICAS_TIMEOUT_S: Final = 5.0

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


def one(
    operation: ask.Operation, unpacked: Callable[[list[Any]], T], wait_s: float | None
) -> Call[T]:
    return Call([operation], lambda results: unpacked(results[0]), wait_s)


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


def writes(operations: Sequence[ask.Operation]) -> bool:
    """Whether there is anything among these that replicas could have."""
    return any(operation[0] in ask.WRITES for operation in operations)


def with_concern(call: Call[T], replicas: int | None, timeout_s: float | None) -> Call[T]:
    """The call, answered once so many members have its write; what writes nothing waits for
    none."""
    waiting = concern(replicas, timeout_s)
    if waiting is None or not writes(call.operations):
        return call

    def read(results: Results) -> T | Call[T]:
        result = call.read(results[:-1])
        waiting.read(results[-1:])
        return result

    operations = [*call.operations, *waiting.operations]
    return Call(operations, read, call.wait_s, waiting.held_s)
