"""Requests that are done once, on a memory of what is committed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kvnode.core.answer import Answer
from kvnode.core.batch import Change, Write
from kvnode.core.clock import Now
from kvnode.core.expiry import ExpiryClock
from kvnode.core.limits import ONCE_CONFLICT_BYTES_MAX
from kvnode.core.once import Done, Span, run_once
from kvnode.core.requests import Condition, Get, Once, Operation, Put, Touch, WriteAll
from kvnode.core.results import (
    Absent,
    Conflict,
    Entry,
    Failed,
    Known,
    Result,
    WriteResults,
    Written,
)
from kvnode.core.vector import Dot, new_origin
from kvnode.core.versions import Version, Versions

X = new_origin("X", 1, 1)
ID, OTHER = b"i" * 16, b"o" * 16
MADE = (Written(Dot(X, 3), 7),)
ONCE = Once(ID, "X", 0)
PUT = Put(b"k", b"v")
#: Of a key that is there.
IF_ABSENT = WriteAll((Condition(b"there", frozenset()),), (Change(b"k", b"v"),))


class Committed:
    """What is remembered on disk."""

    def __init__(self, start: int = 0, end: int = 0) -> None:
        self.remembered_span = Span(start, end)
        self.results: dict[bytes, WriteResults] = {}

    def remembered(self, id_: bytes) -> WriteResults | None:
        return self.results.get(id_)


class State:
    """What a turn shows; it counts writes."""

    def __init__(self) -> None:
        self.expiry = ExpiryClock()
        self.seq = 10
        self.there: Versions = (Version(7, X, 1, b"v"),)

    def versions(self, key: bytes) -> Versions:
        return self.there if key == b"there" else ()

    def write(self, write: Write, now: Now) -> Result:
        self.seq += 1
        return Written(Dot(X, self.seq), now.wall_us)

    def forget(self, name: str, now: Now) -> Result:
        return Failed("refused", name)


def ran(done: Done, operations: Sequence[Operation], state: State | None = None) -> list[Result]:
    answer = Answer()
    run_once(ONCE, operations, done, answer, state or State(), Now(8, 0))
    return answer.results


def test_a_request_is_remembered_with_what_its_writes_brought() -> None:
    done = Done(Committed(0, 4), 9)
    found = ran(done, [PUT, Get(b"there"), IF_ABSENT])
    written, entry, conflict = found[1:]
    assert found[0] == Known(repeated=False, position=5)
    assert isinstance(written, Written) and isinstance(entry, Entry)
    assert isinstance(conflict, Conflict)
    assert done.added == {ID: (written, conflict)}


def test_a_repetition_in_the_same_turn_writes_nothing_and_reads_anew() -> None:
    done, state = Done(Committed(), 9), State()
    first = ran(done, [PUT, Get(b"there")], state)
    state.there = ()
    second = ran(done, [PUT, Get(b"there")], state)
    assert second == [Known(repeated=True, position=1), first[1], Entry((), 0)]
    assert state.seq == 11


def test_a_repetition_of_what_is_committed_brings_what_that_brought() -> None:
    committed = Committed(0, 1)
    committed.results[ID] = MADE
    done = Done(committed, 9)
    assert ran(done, [PUT]) == [Known(repeated=True, position=1), *MADE]
    assert done.added == {}


def test_a_repetition_expires_no_later_and_touches_nothing_that_came_meanwhile() -> None:
    done, state = Done(Committed(), 9), State()
    asked = [Put(b"k", b"v", 1000), Touch(b"gone", None)]
    first = ran(done, asked, state)
    assert first[1:] == [Written(Dot(X, 11), 8, 1_000_000), Absent()]
    state.expiry.advance(5)
    assert ran(done, asked, state)[1:] == first[1:]


def test_what_changed_nothing_is_not_remembered_and_may_succeed_later() -> None:
    done, state = Done(Committed(), 9), State()
    assert isinstance(ran(done, [IF_ABSENT], state)[1], Conflict)
    assert done.added == {}
    state.there = ()
    known, written = ran(done, [IF_ABSENT], state)
    assert known == Known(repeated=False, position=1) and isinstance(written, Written)


def test_of_conflicts_only_what_fits_is_remembered() -> None:
    done, state = Done(Committed(), 9), State()
    state.there = tuple(Version(7, X, seq, b"") for seq in range(1, ONCE_CONFLICT_BYTES_MAX // 100))
    ran(done, [PUT, *10 * [IF_ABSENT]], state)
    kinds = [type(result) for result in done.added[ID]]
    assert kinds == [Written, Conflict, *9 * [Failed]]


#: What is remembered, where the node stood when the request was first asked for, and whether it
#: can tell whether it was done.
POSITIONS = [
    (Span(0, 0), 0, True),
    (Span(0, 0), 1, False),
    (Span(3, 5), 2, False),
    (Span(3, 5), 3, True),
    (Span(3, 5), 5, True),
    (Span(3, 5), 6, False),
]


@pytest.mark.parametrize(("span", "position", "can_tell"), POSITIONS)
def test_a_node_that_may_have_forgotten_a_request_refuses_it(
    span: Span, position: int, *, can_tell: bool
) -> None:
    refused = Done(Committed(*span), 9).refusal(Once(ID, "X", position), "X")
    assert (refused is None) == can_tell
    assert refused is None or (refused.code, refused.maybe) == ("wrong_node", False)


def test_what_a_turn_makes_the_disk_forget_is_forgotten_in_it() -> None:
    done = Done(Committed(0, 2), 2)
    assert done.refusal(ONCE, "X") is None
    done.added[OTHER] = MADE
    assert done.refusal(ONCE, "X") is not None


def test_what_is_remembered_is_told_however_long_ago_it_was_asked_for_first() -> None:
    committed = Committed(3, 5)
    committed.results[ID] = MADE
    assert Done(committed, 9).refusal(ONCE, "X") is None


def test_only_the_node_that_was_asked_can_tell() -> None:
    refused = Done(Committed(), 9).refusal(ONCE, "Y")
    assert refused == Failed("wrong_node", "this node is Y, not X; nothing was done")
