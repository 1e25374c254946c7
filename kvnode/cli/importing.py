"""Putting the lines of an export, in batches, and where an import goes on that was interrupted.

Each batch is one request. Where it was acknowledged, and only then, a file is told how far the
input is done. So whoever is killed has put at most one batch of which the file does not know, and
puts it again: that changes nothing, since it puts the same. For the same reason all is put again
where what was acknowledged may be among what no node has any more.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from kvnode.cli.accepting import told_of_loss
from kvnode.cli.records import LINE_BYTES_MAX, Record, record_of
from kvnode.cli.tokens import read_small, replace
from kvnode.client.sync import Client
from kvnode.codec.token import printable, token_of
from kvnode.core.limits import MIB, ONCE_WRITES_MAX, TTL_MS_MAX
from kvnode.errors import InvalidRequest, KvnodeError, MalformedError

#: Records of one batch: the node folds them in in one turn, some milliseconds of work.
_RECORDS_MAX: Final = 1000

#: And so many bytes: a second's worth of a link of a few Mbit/s.
BATCH_BYTES_MAX: Final = MIB // 4

#: Of these, so many that expire: each is a write of its own beside the one of all others, and with
#: --retry-writes a request has only so many.
_EXPIRING_MAX: Final = ONCE_WRITES_MAX - 1

_SKIPPED_BYTES: Final = 1 << 20

#: To read any key tells whether the nodes have what a session has seen.
_ANY_KEY: Final = "k"


class Place(NamedTuple):
    """How far an input is read: whole lines, their bytes, and a sum of these."""

    lines: int = 0
    size_bytes: int = 0
    crc32: int = 0

    def after(self, line: bytes) -> Place:
        """One line further."""
        return Place(self.lines + 1, self.size_bytes + len(line), zlib.crc32(line, self.crc32))


class State:
    """The file that tells how far an import is."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        #: The session that wrote it: whatever node goes on has that first.
        self.token: bytes | None = None
        self.place = Place()
        if file is not None and file.exists():
            self._load(file)

    def keep(self, place: Place, token: bytes | None) -> None:
        """All up to there was acknowledged. Raises NotKept."""
        if self._file is not None:
            document = {**place._asdict(), "token": printable(token)}
            replace(self._file, json.dumps(document) + "\n", "how far it is")
        self.place, self.token = place, token

    def _load(self, file: Path) -> None:
        try:
            document = json.loads(read_small(file))
            numbers = [document[field] for field in Place._fields]
            token = document["token"]
            if not all(type(number) is int and number >= 0 for number in numbers):
                raise ValueError("a number is none")
            self.token = None if token is None else token_of(token)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, MalformedError) as why:
            message = f"{file} does not tell how far an import is ({why!r:.80})"
            raise InvalidRequest(f"{message}: remove it to import all") from None
        self.place = Place(*numbers)


class Batch:
    """Records that are put together."""

    def __init__(self) -> None:
        self.records: dict[bytes, Record] = {}
        self._size_bytes = 0
        self._expiring = 0

    def takes(self, record: Record) -> bool:
        """Whether there is room. A key that comes again is for the next batch."""
        return not self.records or (
            record.key not in self.records
            and len(self.records) < _RECORDS_MAX
            and self._size_bytes + record.size_bytes <= BATCH_BYTES_MAX
            and self._expiring + (record.expires_at is not None) <= _EXPIRING_MAX
        )

    def add(self, record: Record) -> None:
        """One more."""
        self.records[record.key] = record
        self._size_bytes += record.size_bytes
        self._expiring += record.expires_at is not None

    def put(self, client: Client, replicas: int | None, timeout_s: float | None) -> int:
        """Put them in one request; how many were not, since they have expired meanwhile."""
        lasting: dict[bytes, Any] = {}
        expired = 0
        with client.pipeline(replicas=replicas, timeout_s=timeout_s) as pipeline:
            for key, record in self.records.items():
                if record.expires_at is None:
                    lasting[key] = record.value
                elif (ttl_s := _left_s(record)) is None:
                    expired += 1
                else:
                    pipeline.put(key, record.value, ttl_s=ttl_s)
            if lasting:
                pipeline.put_many(lasting)
        for outcome in pipeline.results:
            if isinstance(outcome, KvnodeError):
                raise outcome
        return expired


def _left_s(record: Record) -> float | None:
    """How long it has still to live; None if it has expired."""
    assert record.expires_at is not None
    left_s = record.expires_at.timestamp() - time.time()
    return min(left_s, TTL_MS_MAX / 1000) if left_s >= 0.001 else None


class Import:
    """One import: what is read, and how far it is."""

    def __init__(self, client: Client, source: IO[bytes], name: str, state: State) -> None:
        self._client = client
        self._source = source
        self._name = name
        self.state = state
        self.imported = 0
        self.expired = 0
        self._is_lost = False
        if state.token is not None:
            client._seen.merge(state.token)

    def expect_kept(self) -> None:
        """Look whether the nodes still have what was imported so far. Raises SessionLost; where
        that is accepted, it begins again at the first line."""
        if self.state.token is None:
            return
        with told_of_loss(self._client, self._note_loss):
            self._client.read(_ANY_KEY)
        if self._is_lost:
            self._is_lost = False
            self.state.keep(Place(), self._client.token)

    def run(self, replicas: int | None, timeout_s: float | None) -> Iterator[int]:
        """Put all that is left, and tell after each batch how many lines are done."""
        with told_of_loss(self._client, self._note_loss):
            yield from self._run(replicas, timeout_s)

    def _run(self, replicas: int | None, timeout_s: float | None) -> Iterator[int]:
        self._skip()
        batch, done = Batch(), self.state.place
        for record, place in self._records():
            if isinstance(record, InvalidRequest) or not batch.takes(record):
                yield from self._put(batch, done, replicas, timeout_s)
                batch = Batch()
            if isinstance(record, InvalidRequest):
                raise record
            batch.add(record)
            done = place
        yield from self._put(batch, done, replicas, timeout_s)

    def _put(
        self, batch: Batch, done: Place, replicas: int | None, timeout_s: float | None
    ) -> Iterator[int]:
        if batch.records:
            expired = batch.put(self._client, replicas, timeout_s)
            self.expired += expired
            self.imported += len(batch.records) - expired
            self._expect_no_loss()
            self.state.keep(done, self._client.token)
            yield done.lines

    def _note_loss(self, _: bytes) -> None:
        self._is_lost = True

    def _expect_no_loss(self) -> None:
        """What was read of a pipe can't be read again, so this is for who has the input."""
        is_lost, self._is_lost = self._is_lost, False
        lost = self.state.place.lines
        if is_lost and lost:
            self.state.keep(Place(), self._client.token)
            raise KvnodeError(
                f"no node has any more what the session had seen, and lines 1 to {lost} of "
                f"{self._name} may be of that: import all of it again"
            )

    def _records(self) -> Iterator[tuple[Record | InvalidRequest, Place]]:
        """Each with the place after it; what is wrong with a line comes last."""
        place = self.state.place
        while line := self._source.readline(LINE_BYTES_MAX + 1):
            place = place.after(line)
            try:
                if len(line) > LINE_BYTES_MAX:
                    raise InvalidRequest("this line is too long for any key and value")
                yield record_of(line), place
            except InvalidRequest as error:
                message = f"{self._name}, line {place.lines}: {error}; all before it is imported"
                yield InvalidRequest(message), place
                return

    def _skip(self) -> None:
        """Go on after what is done; also where the input can only be read."""
        left, crc32 = self.state.place.size_bytes, 0
        while left:
            part = self._source.read(min(left, _SKIPPED_BYTES))
            if not part:
                break
            left, crc32 = left - len(part), zlib.crc32(part, crc32)
        if left or crc32 != self.state.place.crc32:
            message = f"{self._name} does not begin as what was imported so far"
            raise InvalidRequest(f"{message}: give that, or another --resume")
