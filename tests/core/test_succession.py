"""Vectors stay small though incarnations come and go, and still mean the same cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise, product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.batch import Change
from kvnode.core.succession import Cut, Ends, Succession, contradiction, ends_of
from kvnode.core.vector import Vector, joined, name_of, new_origin
from kvnode.core.versions import Version, merged
from tests.histories import History, highest
from tests.strategies import histories
from tests.work import lines_run

X1, X2, X3, X4 = (new_origin("X", number, number) for number in range(1, 5))
Y1 = new_origin("Y", 1, 1)
WRITE = (Change(b"key", b"value"),)


def value(ends: Mapping[str, Vector], vector: Vector, origin: str) -> int:
    """The definition, word for word."""
    implied = [
        ended[origin] for k, ended in ends.items() if origin in ended and value(ends, vector, k)
    ]
    return max([vector.get(origin, 0), *implied])


#: Incarnations of two names.
TWO_NAMES = [new_origin("XXXY"[at % 4], at, at) for at in range(14)]
ANY_VECTORS = st.dictionaries(st.sampled_from(TWO_NAMES), st.integers(1, 5), max_size=8)


@st.composite
def any_ends(draw: st.DrawFn) -> dict[str, dict[str, int]]:
    """What incarnations may end, told by anybody: with branches, with ends that lie below what
    others say, and of incarnations that ended nothing or were never heard of."""
    ends: dict[str, dict[str, int]] = {}
    for at, origin in enumerate(TWO_NAMES):
        before = [it for it in TWO_NAMES[:at] if name_of(it) == name_of(origin)]
        if before:
            chosen = st.just(before[-1]) | st.sampled_from(before)
            ends[origin] = draw(st.dictionaries(chosen, st.integers(1, 5), max_size=3))
    return ends


def succession_of(ends: Ends) -> Succession:
    succession = Succession()
    for origin, ended in ends.items():
        succession.add(origin, ended)
    return succession


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


# --- whatever anybody says


@given(any_ends(), ANY_VECTORS)
def test_any_vector_is_read_as_the_definition_says(
    ends: dict[str, dict[str, int]], vector: dict[str, int]
) -> None:
    succession = succession_of(ends)
    expected = {origin: value(ends, vector, origin) for origin in TWO_NAMES}
    for origin, seq in expected.items():
        assert succession.value(vector, origin) == seq
        assert not succession.covers(vector, origin, seq + 1)
        assert not seq or succession.covers(vector, origin, seq)
    assert succession.expanded(vector) == {o: seq for o, seq in expected.items() if seq}
    spelled_out = succession.expanded(vector)
    for form in (succession.normal(vector), succession.normal(spelled_out), spelled_out):
        assert {o: succession.value(form, o) for o in TWO_NAMES} == expected


@given(any_ends(), ANY_VECTORS)
def test_a_reading_answers_as_often_as_it_is_asked(
    ends: dict[str, dict[str, int]], vector: dict[str, int]
) -> None:
    reading = succession_of(ends).reading(vector)
    for origin in (*TWO_NAMES, *reversed(TWO_NAMES)):
        seq = value(ends, vector, origin)
        assert reading.value(origin) == seq
        assert reading.covers_all({origin: max(seq, 1)}) == bool(seq)


@given(any_ends(), st.randoms())
def test_ends_are_put_in_order_whatever_order_they_are_read_in(
    ends: dict[str, dict[str, int]], random: Random
) -> None:
    entries = dict.fromkeys(TWO_NAMES, 5)
    shuffled = random.sample(sorted(ends.items()), len(ends))
    cut = Cut.restored(entries, dict(shuffled))
    assert cut.heads == succession_of(ends).normal(entries)
    assert contradiction(entries, dict(shuffled)) is None


@pytest.mark.parametrize(
    ("entries", "ends", "why"),
    [
        ({X1: 3, X2: 1}, {X2: {X1: 4}}, "not delivered"),
        ({X2: 1}, {X2: {X1: 4}}, "not delivered"),
        ({X1: 4, X2: 4}, {X2: {X1: 4}, X1: {X2: 1}}, "ends what ends it"),
        ({X1: 4}, {X1: {X1: 1}}, "ends what ends it"),
        ({X1: 4, X2: 4, X3: 1}, {X2: {X1: 4}, X1: {X2: 1}, X3: {X2: 1}}, "ends what ends it"),
        ({X1: 4, Y1: 1}, {Y1: {X1: 4}}, "another name"),
    ],
)
def test_what_no_node_can_have_delivered_is_told(entries: Vector, ends: Ends, why: str) -> None:
    found = contradiction(entries, ends)
    assert found is not None and why in found


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
def test_what_another_cut_lacks_is_found_without_all_being_spelled_out(history: History) -> None:
    for one, other in product(history.processes, repeat=2):
        theirs = other.cut.entries
        expected = {
            origin: theirs.get(origin, 0) + 1
            for origin, seq in one.cut.entries.items()
            if seq > theirs.get(origin, 0)
        }
        if other.cut.heads.keys() <= one.cut.entries.keys():  # else it can't be read here
            assert one.cut.lacking(other.cut.heads) == expected
        assert one.cut.lacking(theirs) == expected


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


# --- what it costs, however many incarnations there were


def chained(length: int) -> Cut:
    """X was started so often; Y and Z only once."""
    cut = Cut(Succession())
    xs = [new_origin("X", at, at) for at in range(length)]
    for before, origin in zip(["", *xs], xs, strict=False):
        cut.advance(origin, 1, {before: 1} if before else {})
    for name in "YZ":
        cut.advance(new_origin(name, 0, 0), 1, {})
    return cut


def copied(length: int) -> Cut:
    """At each start X is at first what it was after the first one, and hears of the others later;
    so that each second incarnation ends two."""
    cut = Cut(Succession())
    xs = [new_origin("X", at, at) for at in range(length)]
    cut.advance(xs[0], 1, {})
    for at in range(1, length, 2):
        cut.advance(xs[at], 1, {xs[0]: 1})
        if at + 1 < length:
            cut.advance(xs[at + 1], 1, {xs[at]: 1, xs[at - 1]: 1})
    cut.advance(new_origin("Y", 0, 0), 1, {})
    return cut


def taking_up(cut: Cut, row: Vector, origin: str) -> Callable[[], object]:
    """A write that was made where `row` was visible meets a value that `origin` put."""
    old = (Version(1, origin, 1, b"old"),)
    own = Version(2, new_origin("Y", 0, 0), 2, b"new")
    return lambda: merged(old, cut.succession, row, own, deleted=False)


@pytest.mark.parametrize("shape", [chained, copied])
def test_to_replace_a_value_costs_the_same_after_any_number_of_restarts(
    shape: Callable[[int], Cut],
) -> None:
    def work(length: int) -> list[int]:
        cut = shape(length)
        origins = list(cut.entries)
        behind = {origins[length // 2]: 1, new_origin("Y", 0, 0): 1}
        return [
            lines_run(taking_up(cut, row, origins[at]))
            for row in (cut.heads, behind)
            for at in (1, length // 4, length // 2 + 1, length - 2)
        ]

    few, many = work(16), work(2048)
    assert all(later <= before + 60 for before, later in zip(few, many, strict=True)), (few, many)


@pytest.mark.parametrize("shape", [chained, copied])
def test_so_do_reading_a_vector_of_heads_and_finding_that_nothing_lacks(
    shape: Callable[[int], Cut],
) -> None:
    def work(length: int) -> list[int]:
        cut = shape(length)
        heads = dict(cut.heads)
        return [
            lines_run(lambda: cut.succession.normal(heads)),
            lines_run(lambda: cut.lacking(heads)),
            lines_run(lambda: cut.advance(new_origin("X", length, 1), 1, heads_of(cut, "X"))),
        ]

    few, many = work(16), work(2048)
    assert all(later <= before + 60 for before, later in zip(few, many, strict=True)), (few, many)


def heads_of(cut: Cut, name: str) -> dict[str, int]:
    return {origin: seq for origin, seq in cut.heads.items() if name_of(origin) == name}


def test_to_find_what_another_lacks_costs_what_it_lacks() -> None:
    cut = chained(4096)
    origins = list(cut.entries)[:4096]
    costs = [lines_run(lambda at=at: cut.lacking({origins[-at]: 1})) for at in (10, 100, 1000)]
    assert costs[2] < 12 * costs[1] < 144 * costs[0]
    assert len(cut.lacking({origins[-100]: 1})) == 99 + 2
