"""How a node asks its peers for what it lacks, and puts together what comes, without sockets.

How much it asks each of them for follows the pace of its answers. What is too long for one answer
comes in pieces, which are kept here until they make a whole; whoever is asked next, the same peer
or another, over the same link or a new one, is told how far that is.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final

from kvnode.codec.batches import decode_batch
from kvnode.codec.client import Operation, since, snapshot
from kvnode.codec.packing import array, unpack_array
from kvnode.codec.pieces import decode_piece
from kvnode.codec.snapshots import decode_chunk
from kvnode.core.messages import Chunk, Fetch, Progress, Pull, Pulled
from kvnode.core.pace import Pace
from kvnode.core.pieces import Pieces
from kvnode.errors import MalformedError

#: The kinds of questions, by the last digits of their ids; what is before numbers them.
PULL_ID: Final = 1
FETCH_ID: Final = 2
_KINDS: Final = 8

#: Questions to one peer whose answers may still come: it was asked again when none came in time.
OWED_MAX: Final = 8


@dataclass(slots=True)
class _Source:
    """A process that is asked."""

    pace: Pace
    #: When each question was asked that has no answer yet, by its id, the latest last.
    owed_us: dict[int, int] = field(default_factory=dict)


class Pulling:
    """What is asked, and what has come of it so far."""

    def __init__(self, *, heartbeat_us: int) -> None:
        self._heartbeat_us = heartbeat_us
        self._pieces = Pieces()
        #: By the instances of the processes.
        self._sources: dict[int, _Source] = {}
        self._asked = 0

    def question(
        self, pull: Pull | Fetch, instance: int, steady_us: int, bytes_max: int | None = None
    ) -> tuple[int, Operation]:
        """What to ask this process, and under which id; for so much, if not by its pace."""
        self._pieces.forget_the_idle(steady_us)
        source = self._source(instance)
        if source.owed_us:
            source.pace.in_vain()
        bytes_max = bytes_max or source.pace.bytes_max
        self._asked += 1
        if isinstance(pull, Pull):
            id_, operation = PULL_ID, since(pull.vector, bytes_max, self._pieces.begun)
        else:
            id_ = FETCH_ID
            operation = snapshot(pull.number, pull.after, bytes_max, self._pieces.begun)
        id_ += _KINDS * self._asked
        source.owed_us[id_] = steady_us
        if len(source.owed_us) > OWED_MAX:
            del source.owed_us[next(iter(source.owed_us))]
        return id_, operation

    def unasked(self, instance: int, id_: int) -> None:
        """There was no way to ask that."""
        self._source(instance).owed_us.pop(id_, None)

    def came(
        self, name: str, instance: int, id_: int, result: list[Any], steady_us: int
    ) -> Pulled | Chunk | Progress | None:
        """What has come of a question; None if the peer refused. Raises MalformedError."""
        source = self._source(instance)
        is_late = bool(source.owed_us) and id_ != next(reversed(source.owed_us))
        asked_us = source.owed_us.pop(id_, None)
        if not is_late:
            source.owed_us.clear()
        if result[:1] not in (["ok"], ["piece"]):
            return None
        if asked_us is not None:
            source.pace.answered(_size_of(result), steady_us - asked_us)
        if result[0] == "piece":
            is_news, whole = self._pieces.take(decode_piece(result), steady_us)
            if whole is None:
                return Progress(name, is_news, is_late)
            result = ["ok", [whole]] if is_pull(id_) else unpack_array(whole, None, "a part")
        if is_pull(id_):
            return Pulled(name, _batches(result), is_late)
        return decode_chunk(name, result)

    def keep(self, instances: Collection[int]) -> None:
        """Forget how all others do."""
        self._sources = {it: each for it, each in self._sources.items() if it in instances}

    def _source(self, instance: int) -> _Source:
        if instance not in self._sources:
            self._sources[instance] = _Source(Pace(heartbeat_us=self._heartbeat_us))
        return self._sources[instance]


def is_question(id_: int | None) -> bool:
    """Whether this is the id of a pull or fetch."""
    return id_ is not None and id_ % _KINDS in (PULL_ID, FETCH_ID)


def is_pull(id_: int) -> bool:
    """Whether it is that of a pull."""
    return id_ % _KINDS == PULL_ID


def _batches(result: list[Any]) -> Any:
    batches = array(result[1] if len(result) == 2 else None, None, "pulled batches")
    if not all(type(batch) is bytes for batch in batches):
        raise MalformedError("a pulled batch must be bytes")
    return tuple(decode_batch(batch) for batch in batches)


def _size_of(result: list[Any]) -> int:
    """About how long an answer was: what it brings, two arrays deep."""
    size_bytes = 0
    for part in result:
        for item in part if type(part) is list else [part]:
            size_bytes += len(item) if type(item) is bytes else 1
    return size_bytes
