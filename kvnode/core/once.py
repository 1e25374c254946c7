"""Requests that are done once, however often they come: those with an id.

Whoever asked and got no answer asks again with the same id. What the writes brought is committed
with them and remembered, for the latest such requests; of older ones a node can't tell whether
they were done. Therefore each says where the node's count stood when it was first asked for: one
that may have been forgotten is refused, and never done again. Every disk counts from a random
number, so that one which replaced another refuses what was asked there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from kvnode.core.answer import Answer, conflict_bytes
from kvnode.core.clock import Now
from kvnode.core.limits import ONCE_CONFLICT_BYTES_MAX
from kvnode.core.operations import Shown, run
from kvnode.core.renaming import VersionsOf, renamed
from kvnode.core.requests import Once, Operation, WriteOperation
from kvnode.core.results import Conflict, Failed, Known, Result, WriteResult, WriteResults, Written

_TOO_LARGE = Failed(
    "too_large", "conditions did not hold, and what was there is not remembered; nothing was done"
)


#: The count begins at a random number of so many bits. That another disk of the same name has a
#: request's position among its latest is then a chance of one in billions; and what is
#: counted up from it stays below 2**53, which every language has exactly.
FIRST_POSITION_BITS: Final = 52


class Span(NamedTuple):
    """The positions of what is remembered: from the start to before the end."""

    start: int
    end: int


class Remembering(Protocol):
    """Where requests with ids are remembered that are committed."""

    @property
    def remembered_span(self) -> Span:
        """Which of them are."""

    def remembered(self, id_: bytes) -> WriteResults | None:
        """What the writes of one brought; None if it is not remembered."""


class Done:
    """What a turn knows of requests with ids: what is committed, and what it did itself."""

    def __init__(
        self,
        committed: Remembering,
        remembered_max: int,
        versions_of: VersionsOf = lambda key: (),
    ) -> None:
        """`versions_of` tells where writes went that were moved."""
        #: What this turn did, in order.
        self.added: dict[bytes, WriteResults] = {}
        self._committed = committed
        self._remembered_max = remembered_max
        self._versions_of = versions_of

    @property
    def position(self) -> int:
        """Where the next one is counted."""
        return self._committed.remembered_span.end + len(self.added)

    def results(self, id_: bytes) -> WriteResults | None:
        """What the writes of a request brought; None if it is not remembered."""
        added = self.added.get(id_)
        if added is not None:
            return added
        remembered = self._committed.remembered(id_)
        return None if remembered is None else tuple(self._now(it) for it in remembered)

    def _now(self, result: WriteResult) -> WriteResult:
        """By the dot that it has now."""
        if not isinstance(result, Written):
            return result
        went = [dot for _, dot in renamed(result.dot, self._versions_of)]
        return result._replace(dot=went[0]) if went else result

    def refusal(self, once: Once, name: str) -> Failed | None:
        """Why the node of this name can't tell whether this was done, if it can't."""
        if once.node != name:
            return Failed("wrong_node", f"this node is {name}, not {once.node}; nothing was done")
        start = max(self._committed.remembered_span.start, self.position - self._remembered_max)
        if start <= once.position <= self.position or self.results(once.id) is not None:
            return None
        message = f"{name} can't tell any more whether this request was done; nothing was done now"
        return Failed("wrong_node", message)


def run_once(
    once: Once, operations: Sequence[Operation], done: Done, answer: Answer, shown: Shown, now: Now
) -> None:
    """Run what comes after `once`; writes that were made already bring what they brought, and
    reads are run anew."""
    before = done.results(once.id)
    left = iter(before or ())
    for operation in operations:
        is_made = before is not None and isinstance(operation, WriteOperation)
        answer.add(next(left, _TOO_LARGE) if is_made else run(operation, shown, now))
    brought = [
        result
        for operation, result in zip(operations, answer.results, strict=True)
        if isinstance(operation, WriteOperation)
    ]
    # Who changed nothing may as well be asked again.
    if before is None and any(isinstance(result, Written) for result in brought):
        done.added[once.id] = _to_remember(brought)
    answer.results.insert(0, Known(before is not None, done.position))


def _to_remember(brought: Sequence[Result]) -> WriteResults:
    """Of conflicts what fits."""
    results: list[WriteResult] = []
    bytes_left = ONCE_CONFLICT_BYTES_MAX
    for result in brought:
        assert isinstance(result, WriteResult), "writes bring nothing else"
        if isinstance(result, Conflict):
            bytes_left -= conflict_bytes(result)
            result = result if bytes_left >= 0 else _TOO_LARGE
        results.append(result)
    return tuple(results)
