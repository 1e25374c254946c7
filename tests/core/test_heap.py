"""A heap from which anything can be removed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.heap import RemovableHeap


def pushed(*priorities: int) -> RemovableHeap[int]:
    """A heap of items that are named like their priorities."""
    heap = RemovableHeap[int]()
    for priority in priorities:
        heap.push(priority, priority)
    return heap


def test_an_empty_heap_has_no_least() -> None:
    assert pushed().least() is None
    assert len(pushed()) == 0


def test_the_least_stays_until_it_is_discarded() -> None:
    heap = pushed(3, 1, 2)
    assert heap.least() == heap.least() == (1, 1)
    heap.discard(1)
    assert heap.least() == (2, 2)


def test_what_is_not_there_is_discarded_in_silence() -> None:
    heap = pushed(1)
    heap.discard(7)
    assert len(heap) == 1


def test_equal_priorities_go_by_insertion() -> None:
    heap = RemovableHeap[str]()
    for item in "cab":
        heap.push(item, 5)
    assert heap.least() == (5, "c")


def test_an_item_may_come_back_with_another_priority() -> None:
    heap = pushed(1, 2)
    heap.discard(1)
    heap.push(1, 9)
    assert heap.least() == (2, 2)
    heap.discard(2)
    assert heap.least() == (9, 1)


def test_an_item_that_came_back_comes_after_its_equals() -> None:
    heap = RemovableHeap[str]()
    heap.push("a", 1)
    heap.push("b", 1)
    heap.discard("a")
    heap.push("a", 1)
    assert heap.least() == (1, "b")


def test_the_dead_beneath_a_live_item_are_cleared_away() -> None:
    heap = pushed(0)
    for item in range(1, 1000):
        heap.push(item, item)
        heap.discard(item)
        assert len(heap._heap) <= 2 * len(heap) + 8


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=200), st.data())
def test_it_agrees_with_a_sorted_list(steps, data) -> None:
    heap, model = RemovableHeap[int](), dict[int, tuple[int, int]]()
    for at, (item, priority) in enumerate(steps):
        if item in model:
            del model[item]
            heap.discard(item)
        else:
            model[item] = priority, at
            heap.push(item, priority)
        if priority == 0 and model:
            least = min(model, key=model.__getitem__)
            assert heap.least() == (model[least][0], least)
        assert len(heap) == len(model)
    for item in sorted(model, key=model.__getitem__):
        assert heap.least() == (model[item][0], item)
        heap.discard(item)
    assert heap.least() is None
