"""Vectors stay small though incarnations come and go, and still mean the same cut."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise, product
from random import Random

import pytest
from hypothesis import given

from kvnode.core.batch import Change
from kvnode.core.succession import Cut, Succession, ends_of
from kvnode.core.vector import Vector, joined, name_of, new_origin
from tests.histories import History, highest
from tests.strategies import histories

X1, X2, X3, X4 = (new_origin("X", number, number) for number in range(1, 5))
Y1 = new_origin("Y", 1, 1)
WRITE = (Change(b"key", b"value"),)


def value(ends: Mapping[str, Vector], vector: Vector, origin: str) -> int:
    """The definition, word for word."""
    implied = [
        ended[origin] for k, ended in ends.items() if origin in ended and value(ends, vector, k)
    ]
    return max([vector.get(origin, 0), *implied])


def vectors_of(history: History) -> list[tuple[Succession, Vector, Vector]]:
    """Vectors in normal form, who reads them, and what they really cover."""
    found = []
    for process in history.processes:
        succession = process.cut.succession
        found.append((succession, process.cut.heads, highest(process.dots)))
        for made in process.log:
            found.append((succession, made.row, highest(made.past)))
        joins = [(joined(a[1], b[1]), joined(a[2], b[2])) for a, b in pairwise(found)]
        known = process.cut.entries.keys()
        found += [(succession, v, true) for v, true in joins if true.keys() <= known]
    return found


# --- by hand


def test_the_first_batch_ends_the_other_incarnations_of_its_name() -> None:
    assert ends_of(X3, {X1: 4, X2: 7, Y1: 9}) == {X1: 4, X2: 7}


def test_a_name_that_starts_like_another_is_another() -> None:
    assert ends_of(X1, {new_origin("X1", 1, 1): 4, new_origin("X.", 1, 1): 4}) == {}


def chain() -> Succession:
    """X3 ends X2 at 7; X2 ends X1 at 4."""
    succession = Succession()
    succession.add(X2, {X1: 4})
    succession.add(X3, {X2: 7})
    return succession


def test_a_successor_implies_what_it_ends_and_what_that_ends() -> None:
    assert chain().expanded({X3: 1}) == {X1: 4, X2: 7, X3: 1}


def test_what_goes_beyond_the_end_stays_explicit() -> None:
    assert chain().normal({X1: 5, X2: 7, X3: 1}) == {X1: 5, X3: 1}
    assert chain().value({X1: 5, X3: 1}, X1) == 5


def test_no_successor_implies_nothing() -> None:
    assert chain().normal({X1: 4}) == {X1: 4}
    assert chain().value({X1: 2}, X2) == 0


def test_the_ends_of_an_origin_never_change() -> None:
    succession = chain()
    succession.add(X2, {X1: 9})
    assert succession.value({X2: 1}, X1) == 4


def test_two_branches_of_a_copied_disk_imply_the_greater_end() -> None:
    succession = Succession()
    succession.add(X2, {X1: 4})
    succession.add(X3, {X1: 6})
    succession.add(X4, {X2: 1, X3: 2})
    assert succession.expanded({X4: 1}) == {X1: 6, X2: 1, X3: 2, X4: 1}
    assert succession.normal({X1: 5, X2: 1, X3: 2}) == {X2: 1, X3: 2}
    assert succession.normal({X1: 6, X2: 1}) == {X1: 6, X2: 1}


# --- on random histories


@given(histories())
def test_a_normal_vector_covers_exactly_what_was_delivered(history: History) -> None:
    for succession, vector, true in vectors_of(history):
        assert succession.expanded(vector) == true
        for origin in succession.ends.keys() | true.keys():
            seq = true.get(origin, 0)
            assert succession.value(vector, origin) == seq
            assert succession.covers(vector, origin, seq)
            assert not succession.covers(vector, origin, seq + 1)


@given(histories())
def test_reading_agrees_with_the_definition(history: History) -> None:
    for succession, vector, true in vectors_of(history):
        for form in (vector, succession.normal(vector), succession.expanded(vector)):
            for origin in true:
                expected = value(succession.ends, vector, origin)
                assert succession.value(form, origin) == expected


@given(histories())
def test_normal_form_is_minimal(history: History) -> None:
    for succession, vector, true in vectors_of(history):
        normal = succession.normal(true)
        assert succession.normal(vector) == normal
        for left_out in normal:
            rest = {origin: seq for origin, seq in normal.items() if origin != left_out}
            assert succession.value(rest, left_out) < normal[left_out]


@given(histories())
def test_the_heads_of_a_cut_are_its_entries_in_normal_form(history: History) -> None:
    for process in history.processes:
        assert process.cut.entries == highest(process.dots)
        assert process.cut.heads == process.cut.succession.normal(process.cut.entries)


@given(histories())
def test_a_restored_cut_goes_on_like_one_that_never_stopped(history: History) -> None:
    for process in history.processes:
        half = len(process.log) // 2
        for stop in (half, len(process.log)):
            entries, ends = dict[str, int](), dict[str, Vector]()
            for made in process.log[:stop]:
                entries[made.batch.origin] = made.batch.last
                ends.setdefault(made.batch.origin, made.ends)
            restored, never_stopped = Cut.restored(entries, ends), Cut(Succession())
            for made in process.log[:stop]:
                never_stopped.advance(made.batch.origin, made.batch.last, made.ends)
            for made in process.log[stop:]:
                for cut in (restored, never_stopped):
                    cut.advance(made.batch.origin, made.batch.last, made.ends)
            assert restored.entries == never_stopped.entries
            assert restored.heads == never_stopped.heads
            assert restored.succession.ends == never_stopped.succession.ends


@given(histories())
def test_a_cut_covers_another_exactly_when_it_has_all_its_writes(history: History) -> None:
    for one, other in product(history.processes, repeat=2):
        assert one.cut.covers(other.cut.heads) == (other.dots <= one.dots)


# --- how small


@pytest.mark.parametrize("seed", range(3))
def test_after_200_restarts_of_three_nodes_vectors_have_three_entries(seed: int) -> None:
    random, history = Random(seed), History("XYZ")
    for _ in range(200):
        index = random.randrange(3)
        history.restart(index)
        history.write(index, [WRITE] * random.randint(1, 2))
        for _ in range(2):
            history.deliver(random.randrange(3), random.randrange(3), random.randint(1, 50))
        for process in history.processes:
            assert len(process.cut.heads) <= 3
        assert len(history.made[-1].batch.deps) <= 3
    for index, source in product(range(3), repeat=2):
        history.deliver(index, source)
    for process in history.processes:
        assert len(process.cut.entries) == 200
        assert sorted(map(name_of, process.cut.heads)) == ["X", "Y", "Z"]
