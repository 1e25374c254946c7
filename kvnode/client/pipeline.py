"""Pipelines: many operations in one message, with a result or an error for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, ParamSpec, Self, TypeVar

from kvnode.client import arguments
from kvnode.client.call import Call, concern, together, writes
from kvnode.client.calls import Calls
from kvnode.client.methods import as_method
from kvnode.errors import IndefiniteError, InvalidRequest, KvnodeError

if TYPE_CHECKING:
    from kvnode.client.asynchronous import AsyncClientSession
    from kvnode.client.sync import ClientSession

P = ParamSpec("P")
T = TypeVar("T")


class Pending(Generic[T]):
    """What an operation of a pipeline will have brought, once that was sent."""

    def __init__(self) -> None:
        self._outcome: list[Any] = []

    @property
    def is_settled(self) -> bool:
        """Whether there is a result or an error."""
        return bool(self._outcome)

    def _settle(self, outcome: Any) -> None:
        """It has brought this: a result, or an error."""
        self._outcome = [outcome]

    def __repr__(self) -> str:
        return f"<Pending: {self._outcome[0]!r}>" if self._outcome else "<Pending: not sent yet>"

    def result(self) -> T:
        """The result; raises the error of this operation, or InvalidRequest before it was sent."""
        if not self._outcome:
            raise InvalidRequest("the pipeline was not sent: it is at the end of its block")
        (outcome,) = self._outcome
        if isinstance(outcome, KvnodeError):
            raise outcome
        result: T = outcome
        return result


def _queued(
    call: Callable[Concatenate[Calls, P], Call[T]],
) -> Callable[Concatenate[Queue, P], Pending[T]]:
    def method(queue: Queue, /, *args: P.args, **kwargs: P.kwargs) -> Pending[T]:
        return queue._add(call(queue._calls, *args, **kwargs))

    return as_method(method, call, "Pending[{}]")


class Queue:
    """The operations that a pipeline will send, in order."""

    #: The words that begin its block.
    _begins: ClassVar[str]

    def __init__(
        self, calls: Calls, wait_s: float | None, replicas: int | None, timeout_s: float | None
    ) -> None:
        self._calls = calls
        self._wait_s = None if wait_s is None else arguments.wait_s(wait_s)
        #: What the writes of all operations wait for together, if they do.
        self._concern = concern(replicas, timeout_s)
        self._queued: list[Call[Any]] = []
        self._pending: list[Pending[Any]] = []
        self._is_begun = False
        self._is_over = False

    put = _queued(Calls.put)
    put_many = _queued(Calls.put_many)
    delete = _queued(Calls.delete)
    delete_many = _queued(Calls.delete_many)
    transact = _queued(Calls.transact)
    touch = _queued(Calls.touch)
    persist = _queued(Calls.persist)
    get = _queued(Calls.get)
    get_many = _queued(Calls.get_many)
    read = _queued(Calls.read)
    count = _queued(Calls.count)

    @property
    def results(self) -> list[Any]:
        """The result of each operation, in order; where there was an error, the error."""
        return [outcome for pending in self._pending for outcome in pending._outcome]

    def _add(self, call: Call[T]) -> Pending[T]:
        """One operation more."""
        if not self._is_begun:
            raise InvalidRequest(
                "a pipeline takes operations in its block, and sends them at its end: "
                f"`{self._begins} client.pipeline() as pipeline:`"
            )
        if self._is_over:
            raise InvalidRequest("this pipeline is over: begin another one")
        if call.wait_s is not None:
            raise InvalidRequest("a pipeline's operations wait together: give it wait_s itself")
        if any(operation[0] == "replicated" for operation in call.operations):
            raise InvalidRequest("a pipeline's writes wait together: give it replicas itself")
        self._queued.append(call)
        self._pending.append(Pending())
        return self._pending[-1]

    def _shown(self, address: str) -> str:
        state = "over" if self._is_over else "open" if self._is_begun else "not begun"
        return f"<{type(self).__name__} at {address}: {state}, operations: {len(self._queued)}>"

    def _begin(self) -> None:
        """Only once: what it has would be sent again."""
        if self._is_begun:
            raise InvalidRequest("this pipeline was begun already: make another one")
        self._is_begun = True

    def _together(self) -> Call[list[Any]]:
        asked = together(self._queued, self._wait_s)
        if self._concern is None or not writes(asked.operations):
            return asked
        return together([*self._queued, self._concern], self._wait_s)

    def _settle(self, outcomes: Sequence[Any]) -> None:
        """Each operation has its own outcome; that of the wait for replicas concerns all."""
        own = len(self._pending)
        for pending, outcome in zip(self._pending, outcomes[:own], strict=True):
            pending._settle(outcome)
        for outcome in outcomes[own:]:
            if isinstance(outcome, KvnodeError):
                raise outcome

    def _fail(self, error: BaseException) -> None:
        """All that have no outcome yet; sent or not is for the error to tell."""
        if not isinstance(error, KvnodeError):
            error = IndefiniteError("the pipeline was interrupted; this may have happened")
        for pending in self._pending:
            if not pending.is_settled:
                pending._settle(error)


class Pipeline(Queue):
    """A pipeline of a `Client`: operations are collected in the `with` block, and sent at its end
    in one message; an exception in the block sends nothing.

    They run in order in one turn of the node. Each stands or fails alone: its `Pending` gives its
    result or raises its error, and `results` has all of them.

    With `replicas` the answer waits until so many members have all that was written, see `put`;
    if not, the block raises `Unreplicated`, and the operations have their results all the same.
    """

    _begins = "with"

    def __init__(
        self,
        client: ClientSession,
        wait_s: float | None,
        replicas: int | None = None,
        timeout_s: float | None = None,
    ) -> None:
        super().__init__(client._calls, wait_s, replicas, timeout_s)
        self._client = client

    def __repr__(self) -> str:
        return self._shown(self._client.address)

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over = True
        if error is not None or not self._queued:
            return
        try:
            outcomes = self._client._make(self._together())
            self._settle([self._rest(it) if isinstance(it, Call) else it for it in outcomes])
        except BaseException as failure:
            self._fail(failure)
            raise

    def _rest(self, call: Call[Any]) -> Any:
        try:
            return self._client._make(call)
        except KvnodeError as error:
            return error


class AsyncPipeline(Queue):
    """A pipeline of an `AsyncClient`; see `Pipeline`."""

    _begins = "async with"

    def __init__(
        self,
        client: AsyncClientSession,
        wait_s: float | None,
        replicas: int | None = None,
        timeout_s: float | None = None,
    ) -> None:
        super().__init__(client._calls, wait_s, replicas, timeout_s)
        self._client = client

    def __repr__(self) -> str:
        return self._shown(self._client.address)

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over = True
        if error is not None or not self._queued:
            return
        try:
            outcomes = await self._client._make(self._together())
            self._settle([await self._rest(it) if isinstance(it, Call) else it for it in outcomes])
        except BaseException as failure:
            self._fail(failure)
            raise

    async def _rest(self, call: Call[Any]) -> Any:
        try:
            return await self._client._make(call)
        except KvnodeError as error:
            return error
