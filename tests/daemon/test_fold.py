"""The fold: what is staged and what is here become one, and only the switch shows it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.messages import Commit
from kvnode.daemon.fold import fold
from kvnode.errors import StorageError
from kvnode.storage.memory import MemoryDisk, MemoryStore
from tests.histories import History, random_history
from tests.states import State, state_of, union_of
from tests.strategies import histories

SLICES = st.integers(1, 5)


class Node:
    """A disk with a state, where another's is staged."""

    def __init__(self, mine: State, theirs: State, keys_max: int = 1) -> None:
        self.disk = MemoryDisk()
        self.store = MemoryStore(self.disk)
        commit = Commit(mine.table, (), mine.origins, mine.clock_us, mine.digest)
        self.store.commit(commit, sync=True)
        self.store.stage(theirs.table)
        self.slices: Iterator[None] = fold(self.store, theirs.snapshot(), keys_max)

    def finish(self) -> int:
        """All slices, the last of which switches; how many there were before."""
        return sum(1 for _ in self.slices)

    def holds(self, state: State) -> bool:
        """Whether the disk has this state, and no other beside it."""
        store = MemoryStore(self.disk)
        saved = store.load()
        assert store.staged_page(b"", 9) == {}
        return (
            store.page(b"", b"", 999) == state.table
            and saved.origins == state.origins
            and (saved.clock_us, saved.digest) == (state.clock_us, state.digest)
        )


def two(seed: int = 0) -> tuple[State, State, State]:
    """Two states that each have what the other has not, and their union."""
    for at in range(seed, seed + 1000):
        one, other, *_ = random_history("XYZ", 60, at).processes
        mine, theirs, union = state_of(one.log), state_of(other.log), union_of(one, other)
        if union.table not in (mine.table, theirs.table) and len(union.table) > 2:
            return mine, theirs, union
    raise AssertionError("no such history")


@given(histories(), st.integers(), st.integers(), SLICES)
def test_two_states_fold_to_that_of_all_their_writes(
    history: History, one: int, other: int, keys_max: int
) -> None:
    mine, theirs = history.process(one), history.process(other)
    node = Node(state_of(mine.log), state_of(theirs.log), keys_max)
    node.finish()
    assert node.holds(union_of(mine, theirs))


def test_an_empty_node_takes_what_is_staged_at_once() -> None:
    _, theirs, _ = two()
    node = Node(State(), theirs)
    assert node.finish() == 0
    assert node.holds(theirs)


def test_so_does_one_that_has_nothing_of_its_own() -> None:
    mine = random_history("XYZ", 60, seed=1).processes[0].log
    node = Node(state_of(mine[:3]), state_of(mine))
    assert node.finish() == 0
    assert node.holds(state_of(mine))


def test_a_slice_is_of_so_many_keys() -> None:
    mine, theirs, union = two()
    counts = []
    for keys_max in (1, 2, 100):
        node = Node(mine, theirs, keys_max)
        counts.append(node.finish())
        assert node.holds(union)
    assert counts == [
        len(theirs.table) + len(mine.table),
        -(-len(theirs.table) // 2) + -(-len(mine.table) // 2),
        2,
    ]


@pytest.mark.parametrize("seed", range(5))
def test_before_the_switch_the_old_state_stands_whenever_it_ends(seed: int) -> None:
    mine, theirs, union = two(seed)
    slices = Node(mine, theirs).finish()
    for done in range(slices + 1):
        node = Node(mine, theirs)
        for _ in range(done):
            next(node.slices)
        assert node.store.page(b"", b"", 999) == mine.table, "served meanwhile"
        node.disk.crash()
        assert node.holds(mine)
    node = Node(mine, theirs)
    node.finish()
    node.disk.crash()
    assert node.holds(union), "the switch is synced"


@pytest.mark.parametrize("kept", [False, True])
def test_a_switch_that_fails_is_there_or_not_and_nothing_between(kept: bool) -> None:
    mine, theirs, union = two()
    slices = Node(mine, theirs).finish()
    node = Node(mine, theirs)
    for _ in range(slices):
        next(node.slices)
    node.disk.fail_next_commit = kept
    with pytest.raises(StorageError):
        next(node.slices)
    assert node.holds(union if kept else mine)
