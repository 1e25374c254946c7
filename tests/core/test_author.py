"""The author numbers and stamps local writes and cuts them into batches."""

from __future__ import annotations

import pytest
from hypothesis import given

from kvnode.codec.batches import decode_batch, encode_batch
from kvnode.core.author import Author
from kvnode.core.batch import Batch, Change, write_bytes_max
from kvnode.core.chain import NO_CHAIN, chained, check_of
from kvnode.core.clock import HybridLogicalClock
from kvnode.core.limits import BATCH_BYTES_TARGET, BATCH_WRITES_MAX
from kvnode.core.succession import Cut, Succession
from kvnode.core.vector import Vector, new_origin
from tests.histories import History, highest
from tests.strategies import histories

X1, X2, Y1, Y2 = (new_origin(name, at, at) for name, at in [("X", 1), ("X", 2), ("Y", 1), ("Y", 2)])
WRITE = (Change(b"key", b"value"),)


class Node:
    """An author, and the cut and the clock of its replica."""

    def __init__(self, origin: str = X1) -> None:
        self.cut = Cut(Succession())
        self.clock = HybridLogicalClock()
        self.chains: dict[str, bytes] = {}
        self.author = Author(origin, self.cut, self.clock, encode_batch, self.chain_of)

    def chain_of(self, origin: str) -> bytes:
        return self.chains.get(origin, NO_CHAIN)

    def deliver(
        self, origin: str, seq: int, ends: Vector | None = None, chain: bytes = NO_CHAIN
    ) -> None:
        self.cut.advance(origin, seq, ends or {})
        self.chains[origin] = chain
        self.author.delivered(origin)

    def write(self, wall_us: int = 1, writes: int = 1) -> Batch:
        """One batch, as a turn makes and delivers it."""
        self.author.open(wall_us)
        for _ in range(writes):
            self.author.add(WRITE, write_bytes_max(WRITE))
        closed = self.author.close()
        assert closed is not None
        self.cut.advance(closed[0].origin, closed[0].last, {})
        self.chains[closed[0].origin] = chained(closed[0].encoded)
        return closed[0]


def test_writes_are_numbered_from_one_without_gaps() -> None:
    node = Node()
    made = [node.write(writes=count) for count in (1, 3, 2)]
    assert [(batch.first, batch.last) for batch in made] == [(1, 1), (2, 4), (5, 6)]


def test_a_write_is_told_its_dot_its_stamp_and_what_it_saw() -> None:
    node = Node()
    node.deliver(Y1, 4)
    node.author.open(50)
    assert node.author.add(WRITE, 10) == ((X1, 1), 50, {Y1: 4})
    assert node.author.add(WRITE, 10) == ((X1, 2), 50, {Y1: 4})


def test_each_batch_has_its_own_stamp() -> None:
    node = Node()
    assert [node.write(wall_us=7).stamp_us for _ in range(3)] == [7, 8, 9]


def test_the_first_batch_carries_all_that_was_delivered() -> None:
    node = Node()
    node.deliver(Y1, 4)
    node.deliver(X2, 7)
    assert node.write().deps == {Y1: 4, X2: 7}


def test_later_batches_carry_what_changed() -> None:
    node = Node()
    node.deliver(Y1, 4)
    node.write()
    assert node.write().deps == {}
    node.deliver(X2, 7)
    assert node.write().deps == {X2: 7}


def test_what_a_successor_implies_is_not_sent() -> None:
    node = Node()
    node.write()
    node.deliver(Y1, 4)
    node.deliver(Y2, 1, {Y1: 4})
    assert node.write().deps == {Y2: 1}


def test_deps_never_name_the_own_origin() -> None:
    node = Node()
    assert all(X1 not in node.write().deps for _ in range(3))


def test_what_comes_while_a_batch_is_open_belongs_to_the_next() -> None:
    node = Node()
    node.author.open(1)
    row = node.author.add(WRITE, 10)[2]
    node.deliver(Y1, 4)
    assert node.author.add(WRITE, 10)[2] == row == {}
    closed = node.author.close()
    assert closed is not None and closed[0].deps == {}
    node.cut.advance(X1, 2, {})
    assert node.write().deps == {Y1: 4}


def test_with_no_batch_open_there_is_nothing_to_close_and_no_room() -> None:
    author = Node().author
    assert author.close() is None
    assert not author.has_room(1)


def test_a_batch_is_full_at_its_number_of_writes() -> None:
    author = Node().author
    author.open(1)
    for _ in range(BATCH_WRITES_MAX):
        assert author.has_room(1)
        author.add(WRITE, 0)
    assert not author.has_room(1)


@pytest.mark.parametrize("write_bytes", [1000, 5_000, BATCH_BYTES_TARGET])
def test_a_batch_is_full_at_its_size(write_bytes: int) -> None:
    author, size = Node().author, 0
    author.open(1)
    while author.has_room(write_bytes):
        author.add(WRITE, write_bytes)
        size += write_bytes
    assert BATCH_BYTES_TARGET - write_bytes < size <= BATCH_BYTES_TARGET


def test_a_batch_carries_the_bytes_that_everyone_will_decode() -> None:
    node = Node()
    node.deliver(Y1, 4)
    batch = node.write(writes=3)
    assert decode_batch(batch.encoded) == batch


@given(histories())
def test_a_row_is_exactly_what_the_origin_had_delivered(history: History) -> None:
    for process in history.processes:
        for made in process.log:
            assert process.cut.succession.expanded(made.row) == highest(made.past)
            assert process.cut.succession.normal(made.row) == made.row


@given(histories())
def test_the_deps_of_an_origins_batches_add_up_to_its_row(history: History) -> None:
    for process in history.processes:
        rows: dict[str, dict[str, int]] = {}
        for made in process.log:
            batch = made.batch
            assert batch.origin not in batch.deps
            row = rows.setdefault(batch.origin, {})
            row.update(batch.deps)
            if batch.first > 1:
                row[batch.origin] = batch.first - 1
            assert process.cut.succession.normal(row) == made.row


@given(histories())
def test_no_dot_is_ever_made_twice(history: History) -> None:
    dots = [
        (made.batch.origin, seq)
        for made in history.made
        for seq in range(made.batch.first, made.batch.last + 1)
    ]
    assert len(dots) == len(set(dots))


# --- chains


CHAIN, OTHER = b"8 bytes.", b"8 others"


def test_each_batch_names_the_chain_of_the_one_before() -> None:
    node = Node()
    one, other = node.write(), node.write()
    assert (one.previous, other.previous) == (NO_CHAIN, chained(one.encoded))
    assert decode_batch(other.encoded) == other


def test_a_batch_tells_the_checks_of_its_deps_in_their_order() -> None:
    node = Node()
    node.deliver(Y1, 4, chain=CHAIN)
    node.deliver(Y2, 1)
    assert node.write().checks == check_of(CHAIN) + bytes(4)
    node.deliver(Y2, 2, chain=OTHER)
    batch = node.write()
    assert (list(batch.deps), batch.checks) == ([Y2], check_of(OTHER))


def test_a_first_batch_goes_on_from_what_it_ends() -> None:
    node = Node(X2)
    node.deliver(X1, 4, chain=CHAIN)
    assert node.write().previous == CHAIN


def test_one_that_ends_several_goes_on_from_all_of_them_in_their_order() -> None:
    node = Node(new_origin("X", 3, 3))
    node.deliver(X2, 4, chain=OTHER)
    node.deliver(X1, 4, chain=CHAIN)
    assert node.write().previous == chained(CHAIN + OTHER)


def test_one_that_ends_what_is_in_no_chain_goes_on_from_nothing_known() -> None:
    node = Node(new_origin("X", 3, 3))
    node.deliver(X2, 4, chain=OTHER)
    node.deliver(X1, 4)
    assert node.write().previous == NO_CHAIN
