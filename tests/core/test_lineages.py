"""Which incarnations come after which: as a walk from one to the next would find."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.lineages import Lineage, Place, topmost
from tests.work import lines_run

#: For each incarnation those before it that it ends.
Made = list[list[int]]


def graphs() -> st.SearchStrategy[Made]:
    """Each ends any of those before it, most often the last one."""
    ended = st.lists(st.integers(1, 8), max_size=3, unique=True) | st.just([1])
    return st.lists(ended, max_size=30).map(
        lambda steps: [
            [at - back for back in backs if back <= at] for at, backs in enumerate(steps)
        ]
    )


def lineage_of(made: Made) -> tuple[Lineage, list[Place]]:
    lineage, places = Lineage(), list[Place]()
    for at, ended in enumerate(made):
        before = [places[each] for each in ended]
        places.append(lineage.append(str(at), [str(each) for each in ended], before))
    return lineage, places


def those_before(made: Made) -> list[set[int]]:
    """Of each the ones that it comes after, itself among them: found step by step."""
    found: list[set[int]] = []
    for at, ended in enumerate(made):
        found.append({at}.union(*(found[each] for each in ended)))
    return found


def chain(length: int) -> Made:
    return [[at - 1] if at else [] for at in range(length)]


@given(graphs())
def test_one_comes_after_another_if_a_walk_leads_there(made: Made) -> None:
    _, places = lineage_of(made)
    for at, before in enumerate(those_before(made)):
        assert {n for n, other in enumerate(places) if places[at].comes_after(other)} == before


@given(graphs())
def test_the_latest_are_those_that_none_comes_after(made: Made) -> None:
    lineage, places = lineage_of(made)
    ended = {each for those in made for each in those}
    assert lineage.latest == {str(n): places[n] for n in range(len(made)) if n not in ended}


@given(graphs(), st.sets(st.integers(0, 29)))
def test_the_topmost_of_some_are_those_that_no_other_of_them_comes_after(
    made: Made, some: set[int]
) -> None:
    _, places = lineage_of(made)
    before = those_before(made)
    some = {at for at in some if at < len(made)}
    expected = {at for at in some if not any(at in before[it] for it in some - {at})}
    assert {place.number for place in topmost([places[at] for at in some])} == expected


def test_incarnations_of_another_name_come_neither_before_nor_after() -> None:
    (one,), (other,) = (lineage_of([[]])[1] for _ in range(2))
    assert not one.comes_after(other) and not other.comes_after(one)


# --- what it costs


def twins(length: int) -> Made:
    """Two copies of a disk in turn, which never hear of each other."""
    return [[at - 2] if at > 1 else [] for at in range(length)]


def thrown_back(length: int) -> Made:
    """A disk that goes back to its first state at each start, and then hears of the others."""
    made: Made = [[]]
    while len(made) < length:
        made.append([0])
        made.append([len(made) - 1, max(len(made) - 2, 0)])
    return made


@pytest.mark.parametrize("shape", [chain, twins, thrown_back])
def test_to_ask_costs_the_logarithm_of_what_there_is(shape: object) -> None:
    assert callable(shape)

    def most(length: int) -> int:
        _, places = lineage_of(shape(length))
        asked = [places[0], places[1], places[length // 2], places[length - 3]]
        return max(lines_run(lambda it=it: places[-1].comes_after(it)) for it in asked)

    costs = [most(length) for length in (16, 256, 4096)]
    assert costs[-1] <= costs[0] + 3 * 4 * math.log2(4096), costs


@pytest.mark.parametrize("shape", [chain, twins, thrown_back])
def test_one_more_incarnation_costs_as_much_however_many_there_are(shape: object) -> None:
    assert callable(shape)

    def last(length: int) -> int:
        made: Made = shape(length)
        lineage, places = lineage_of(made[:-1])
        before: Sequence[Place] = [places[each] for each in made[-1]]
        return lines_run(lambda: lineage.append("next", [str(each) for each in made[-1]], before))

    assert last(4096) <= last(16) + 10
