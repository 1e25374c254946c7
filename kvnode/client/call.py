"""A call: operations to send, and what their results mean; it knows nothing of sockets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from kvnode.client import arguments
from kvnode.client.failover import Patience
from kvnode.client.session import raise_error
from kvnode.codec import client as ask
from kvnode.core.limits import CONCERN_TIMEOUT_MS_MAX, REPLICAS_MAX
from kvnode.errors import InvalidRequest, KvnodeError

T = TypeVar("T")

#: The result of each operation, as it came.
Results = Sequence[list[Any]]


class Call(NamedTuple, Generic[T]):
    """Operations for one request, and what their results mean."""

    operations: Sequence[ask.Operation]
    #: Raises the error that a result tells; a further call if more must be asked.
    read: Callable[[Results], T | Call[T]]
    #: How long the node may wait for the session's past; None is the client's own choice.
    wait_s: float | None = None
    #: How long it may take as a whole; None is the client's own choice.
    timeout_s: float | None = None
    #: Whether it waits for what is yet to come: that is no part of what it may take as a whole.
    follows: bool = False

    def patience(self, timeout_s: Any, wait_s: Any) -> Patience:
        """How long it may take, of a client with these. Raises InvalidRequest."""
        total_s = arguments.timeout_s(timeout_s if self.timeout_s is None else self.timeout_s)
        waits_s = arguments.wait_s(wait_s if self.wait_s is None else self.wait_s)
        return Patience(total_s + waits_s if self.follows else total_s, waits_s)


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

    timeouts_s = (call.timeout_s for call in calls if call.timeout_s is not None)
    return Call(operations, read, wait_s, max(timeouts_s, default=None))


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
            message = "a call has its own timeout_s where it waits for replicas"
            raise InvalidRequest(f"{message}: say for how many, or give the client a timeout_s")
        return None
    arguments.count(replicas, 1, REPLICAS_MAX, "replicas")
    if timeout_s is not None:
        timeout_s = arguments.timeout_s(timeout_s)
    operation = ask.replicated(
        replicas, CONCERN_TIMEOUT_MS_MAX
    )  # what is sent has less: see Course
    return Call([operation], lambda results: raise_error(results[0]), None, timeout_s)


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
    return Call(operations, read, call.wait_s, waiting.timeout_s)
