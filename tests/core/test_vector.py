"""Names of writes: origins, dots, vectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.vector import (
    RANDOM_BITS,
    Dot,
    created_s,
    is_name,
    is_origin,
    joined,
    labels,
    name_of,
    new_origin,
    shown,
)
from tests.strategies import names, origins, vectors

X1, X2, Y1 = (new_origin(name, 1, number) for name, number in [("X", 1), ("X", 2), ("Y", 1)])


@given(names)
def test_an_origin_tells_its_name(name: str) -> None:
    assert name_of(new_origin(name, 1, 2)) == name


@given(origins)
def test_what_new_origin_makes_is_an_origin_and_no_name(origin: str) -> None:
    assert is_origin(origin)
    assert not is_name(origin)


@given(
    *[st.tuples(names, st.integers(0, (1 << 35) - 1), st.integers(0, (1 << RANDOM_BITS) - 1))] * 2
)
def test_incarnations_that_differ_in_anything_differ_in_their_origin(one, other) -> None:
    assert (new_origin(*one) == new_origin(*other)) == (one == other)


def test_every_random_bit_shows_in_the_origin() -> None:
    made = {new_origin("X", 1, 1 << bit) for bit in range(RANDOM_BITS)}
    assert len(made) == RANDOM_BITS


@pytest.mark.parametrize("name", ["X", "a-b.c_d", "0", "x" * 63])
def test_names_fit_into_host_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "-x", ".x", "x" * 64, "a b", "a/b", "a~b", "ä", "x\n"])
def test_other_names_are_refused(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    "origin",
    [
        "X",
        "~" + "0" * 16,
        "X~" + "0" * 15,
        "X~" + "0" * 17,
        "X~" + "w" * 16,
        "X~" + "A" * 16,
        X1 + "\n",
    ],
)
def test_other_origins_are_refused(origin: str) -> None:
    assert not is_origin(origin)


def test_a_dot_is_an_origin_and_a_seq() -> None:
    assert Dot(X1, 5) == (X1, 5)


@given(vectors, vectors)
def test_joining_takes_the_greater_of_each_entry(one, other) -> None:
    both = joined(one, other)
    assert both.keys() == one.keys() | other.keys()
    assert all(both[key] == max(one.get(key, 0), other.get(key, 0)) for key in both)


def test_joining_changes_neither_vector() -> None:
    one, other = {X1: 1}, {X1: 2, Y1: 1}
    joined(one, other)
    assert (one, other) == ({X1: 1}, {X1: 2, Y1: 1})


def test_people_see_names_where_these_tell_origins_apart() -> None:
    assert labels([X1, X2, Y1]) == {X1: X1, X2: X2, Y1: "Y"}
    assert shown({Y1: 2, X1: 5}) == {"X": 5, "Y": 2}


@given(vectors)
def test_shown_vectors_keep_every_entry(vector) -> None:
    assert sorted(shown(vector).values()) == sorted(vector.values())


@given(st.integers(0, 2**35 - 1), st.integers(0, 2**RANDOM_BITS - 1))
def test_an_origin_tells_when_it_began(began_s: int, random_bits: int) -> None:
    assert created_s(new_origin("a-name.b", began_s, random_bits)) == began_s
