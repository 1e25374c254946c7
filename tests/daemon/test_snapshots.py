"""Serving snapshots: in parts, from views that stand still, within bounds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from kvnode.codec.snapshots import Part, decode_chunk, encode_part
from kvnode.core.messages import Commit
from kvnode.core.snapshot import Staging
from kvnode.core.versions import Versions
from kvnode.daemon.snapshots import (
    SNAPSHOT_IDLE_US,
    SNAPSHOT_QUIET_US,
    SNAPSHOTS_MAX,
    Snapshots,
)
from kvnode.errors import Refused, StorageError
from kvnode.storage.store import View
from tests.histories import random_history
from tests.states import State, state_of

MIB = 1 << 20
STATE = state_of(random_history("XYZ", 60, seed=5).processes[0].log)


class Server:
    """Views of a store, and the time."""

    def __init__(self, state: State = STATE) -> None:
        self.store = state.store()
        self.views: list[View] = []
        self.now_us = 0
        numbers = count(100)
        self.snapshots = Snapshots(lambda: next(numbers))

    def view(self) -> View:
        self.views.append(self.store.view())
        return self.views[-1]

    def part(self, number: int | None, after: bytes = b"", bytes_max: int = 1) -> Part:
        return self.snapshots.part(self.view, number, after, bytes_max, self.now_us)

    def fetched(self, bytes_max: int, between: Callable[[], None] = lambda: None) -> State:
        """A whole snapshot, as a peer takes it in, and what it is of."""
        staging, state = Staging("Y"), State()
        while True:
            question = staging.question()
            part = self.part(question.number, question.after, bytes_max)
            chunk = decode_chunk("Y", list(encode_part(part)))
            assert staging.expects(chunk)
            state.table |= chunk.table
            snapshot = staging.take(chunk)
            if snapshot is not None:
                assert snapshot.digest == chunk.digest
                state.origins, state.clock_us = dict(snapshot.origins), snapshot.clock_us
                return state
            between()

    def is_closed(self, view: View) -> bool:
        try:
            view.table(b"", 1)
        except StorageError:
            return True
        return False


def same(one: State, other: State) -> bool:
    return (one.table, one.origins, one.clock_us) == (other.table, other.origins, other.clock_us)


def test_the_history_has_something_to_serve() -> None:
    assert len(STATE.table) > 1 and len(STATE.origins) > 3


@pytest.mark.parametrize("bytes_max", [1, 100, 1000, MIB])
def test_the_parts_together_are_the_state_whatever_their_size(bytes_max: int) -> None:
    assert same(Server().fetched(bytes_max), STATE)


def test_a_part_is_of_the_size_that_was_asked_for_or_of_one_record() -> None:
    server = Server()
    small = server.part(None)
    assert len(small.origins) == 1 and small.table == []
    records = server.part(small.number, small.next or b"", 300).origins
    assert len(records) > 1
    assert sum(len(key) + len(record) for key, record in records) <= 300


def test_an_empty_store_has_a_snapshot_of_one_part() -> None:
    server = Server(State())
    part = server.part(None)
    assert (part.origins, part.table, part.next) == ([], [], None)


def test_what_is_committed_meanwhile_changes_nothing() -> None:
    server = Server()
    other: dict[bytes, Versions] = dict.fromkeys(STATE.table, ())

    def commit() -> None:
        server.store.commit(Commit(other, (), {}, 1, 2), sync=True)

    assert same(server.fetched(1, between=commit), STATE)


def test_a_part_may_be_asked_for_again() -> None:
    server = Server()
    first = server.part(None)
    assert first.next is not None
    second = server.part(first.number, first.next)
    assert server.part(first.number, first.next) == second
    assert server.part(first.number, b"") == first


def test_the_last_part_may_be_asked_for_again_too() -> None:
    """Its answer may be lost as any other: that must not cost the whole snapshot."""
    server = Server()
    number, at = server.part(None).number, b"t" + max(STATE.table)
    assert server.part(number, at) == server.part(number, at)


# --- bounds


def test_a_number_that_is_not_known_is_refused() -> None:
    with pytest.raises(Refused, match="begin another one"):
        Server().part(7)


def test_no_more_than_so_many_are_read_at_once() -> None:
    server = Server()
    numbers = {server.part(None).number for _ in range(SNAPSHOTS_MAX)}
    assert len(numbers) == len(server.snapshots) == SNAPSHOTS_MAX
    with pytest.raises(Refused, match="try later"):
        server.part(None)
    assert len(server.views) == SNAPSHOTS_MAX
    for number in numbers:
        server.part(number)  # they go on


def test_one_that_ends_makes_room() -> None:
    server = Server()
    numbers = [server.part(None).number for _ in range(SNAPSHOTS_MAX)]
    at = b"t" + max(STATE.table)
    assert server.part(numbers[0], at).next is None
    assert server.part(None).number not in numbers


def test_one_that_nobody_reads_is_let_go() -> None:
    server = Server()
    idle, read = server.part(None).number, server.part(None).number
    server.now_us += SNAPSHOT_IDLE_US - 1
    server.part(read)
    server.now_us += 1
    server.snapshots.close_idle(server.now_us)
    assert len(server.snapshots) == 1
    assert [server.is_closed(view) for view in server.views] == [True, False]
    with pytest.raises(Refused):
        server.part(idle)


def test_idle_ones_make_room() -> None:
    server = Server()
    for _ in range(SNAPSHOTS_MAX):
        server.part(None)
    server.now_us += SNAPSHOT_IDLE_US
    server.part(None)
    assert len(server.snapshots) == 1


def test_the_quietest_makes_room_before_it_is_let_go() -> None:
    """Who fetched it may have died; a slow one is quiet too, and goes on if there is room."""
    server = Server()
    first, *others = [server.part(None).number for _ in range(SNAPSHOTS_MAX)]
    server.now_us += SNAPSHOT_QUIET_US - 1
    with pytest.raises(Refused, match="try later"):
        server.part(None)
    for number in others:
        server.part(number)
    server.now_us += 1
    server.part(None)
    for number in others:
        server.part(number)
    with pytest.raises(Refused, match="begin another"):
        server.part(first)


def test_closing_lets_go_of_all() -> None:
    server = Server()
    number = server.part(None).number
    server.part(None)
    server.snapshots.close()
    assert len(server.snapshots) == 0
    assert all(server.is_closed(view) for view in server.views)
    with pytest.raises(Refused):
        server.part(number)


@pytest.mark.parametrize("after", [b"", b"o", b"o~", b"t", b"x", b"t\xff\xff", b"\xff"])
def test_any_position_has_an_answer(after: bytes) -> None:
    server = Server()
    number = server.part(None).number
    part = server.part(number, after)
    assert part.start == after
    assert part.next is None or part.next > b"o"
