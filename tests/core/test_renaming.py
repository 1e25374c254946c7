"""Renaming: what a session or a watch has seen is found where it went.

V's machine went back in time: what it wrote as V1 after V1:3 was moved to V2, and what it had
written as W1, all of it, as well.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.codec.packing import INTEGER_MAX
from kvnode.core.renaming import (
    Renamed,
    as_position,
    as_token,
    renamed,
    renamed_key,
)
from kvnode.core.succession import Cut
from kvnode.core.vector import Dot, Vector, new_origin
from kvnode.core.versions import Version, Versions

V1, W1, V2, V3, V4, Y1 = (new_origin(name, at, at) for at, name in enumerate("VVVVVY"))

PART = Renamed(after=3, last=6, origin=V2, base=0, is_whole=False)
WHOLE = Renamed(after=0, last=2, origin=V2, base=3, is_whole=True)


class Node:
    """What a node has delivered of V, and the records of it."""

    def __init__(self, entries: Vector, ends: dict[str, Vector] | None = None) -> None:
        self.cut = Cut.restored(entries, ends or {})
        self.records: dict[bytes, Versions] = {}

    def learns(self, origin: str, *values: bytes) -> None:
        versions = (Version(1, V2, at, value) for at, value in enumerate(values, 1))
        self.records[renamed_key(origin)] = tuple(versions)

    def versions(self, key: bytes) -> Versions:
        return self.records.get(key, ())

    def token(self, vector: Vector) -> Vector:
        return as_token(vector, self.cut, self.versions)

    def position(self, vector: Vector, *, moved_first: bool = True) -> Vector:
        return as_position(vector, self.cut, self.versions, lambda one, other: moved_first)


@pytest.fixture
def node() -> Node:
    """It has what V2 has, and of V1 what others had, which is two writes more than V2 ended."""
    mended = Node({V1: 5, V2: 6, Y1: 9}, {V2: {V1: 3}})
    mended.learns(V1, PART.encode())
    mended.learns(W1, WHOLE.encode())
    return mended


# --- tokens


def test_a_session_that_saw_what_was_moved_waits_for_it_where_it_is_now(node: Node) -> None:
    assert node.token({V1: 5}) == {V1: 5, V2: 2}


def test_and_for_what_stands_under_the_old_dot_which_it_may_have_seen_elsewhere(node: Node) -> None:
    assert node.token({V1: 6})[V1] == 6


@pytest.mark.parametrize(("seq", "waits_for"), [(3, {}), (4, {V2: 1}), (6, {V2: 3}), (7, {})])
def test_just_what_lies_between_was_moved(node: Node, seq: int, waits_for: Vector) -> None:
    assert node.token({V1: seq}) == {V1: seq} | waits_for


def test_what_stays_is_nowhere_else_though_others_were_moved_before_it(node: Node) -> None:
    node.learns(V1, PART._replace(base=7).encode())
    assert node.token({V1: 3}) == {V1: 3}
    assert node.token({V1: 4}) == {V1: 4, V2: 8}


def test_an_incarnation_of_which_nothing_is_left_is_waited_for_no_more(node: Node) -> None:
    assert node.token({W1: 2}) == {V2: 5}


def test_what_of_two_of_them_was_seen_is_waited_for_to_the_later_one(node: Node) -> None:
    assert node.token({V1: 6, W1: 1, Y1: 7}) == {V1: 6, V2: 4, Y1: 7}
    assert node.token({V1: 6, V2: 6}) == {V1: 6, V2: 6}


def test_whoever_names_a_later_incarnation_that_implies_the_new_one_names_no_more() -> None:
    node = Node({V1: 5, V2: 6, V3: 1}, {V2: {V1: 3}, V3: {V2: 6, V1: 5}})
    node.learns(V1, PART.encode())
    assert node.token({V1: 5, V3: 1}) == {V1: 5, V3: 1}


def test_while_an_incarnation_goes_on_nothing_of_it_is_looked_up() -> None:
    """Nothing was moved of one that no other ends; most tokens name such."""
    node = Node({V1: 5})
    node.learns(V1, PART.encode())
    assert node.token({V1: 5}) == {V1: 5}


def test_a_node_that_knows_of_no_record_waits_for_the_dot_as_it_is() -> None:
    node = Node({V1: 5, V2: 1}, {V2: {V1: 3}})
    assert node.token({V1: 6, W1: 2}) == {V1: 6, W1: 2}


def test_what_was_moved_by_two_processes_is_waited_for_at_both(node: Node) -> None:
    node.learns(V1, PART.encode(), PART._replace(origin=V3, base=7).encode())
    assert node.token({V1: 5}) == {V1: 5, V2: 2, V3: 9}


# --- positions


def test_a_watch_goes_back_to_where_they_part_and_is_told_of_both(node: Node) -> None:
    """It may have been told of either of the two, and nobody knows of which."""
    assert node.position({V1: 5, Y1: 9}) == {V1: 3, Y1: 9}


def test_it_stays_where_it_is_where_what_was_moved_comes_last(node: Node) -> None:
    """It will be told of that. Were it told first of what stands there now, it would go back for
    ever, until it is told of all of it in one answer."""
    assert node.position({V1: 5, Y1: 9}, moved_first=False) == {V1: 5, Y1: 9}


def test_one_that_was_before_that_stays_where_it_is(node: Node) -> None:
    assert node.position({V1: 2}) == {V1: 2}
    assert node.position({V1: 3}) == {V1: 3}


def test_one_that_has_the_new_incarnation_does_not_go_back_again(node: Node) -> None:
    """Else it would be told for ever what it was told already."""
    assert node.position({V1: 5, V2: 2}) == {V1: 5, V2: 2}
    assert node.position({V1: 5, V2: 1}) == {V1: 3, V2: 1}


def test_one_that_saw_what_went_whole_goes_on_from_where_it_is_now(node: Node) -> None:
    assert node.position({W1: 1}) == {V2: 4}


def test_one_that_parts_at_the_very_beginning_names_nothing_of_it() -> None:
    node = Node({V1: 5, V2: 6}, {V2: {}})
    node.cut = Cut.restored({V1: 5, V2: 6, V3: 1}, {V3: {V1: 5, V2: 6}})
    node.learns(V1, PART._replace(after=0).encode())
    assert node.position({V1: 2}) == {}


def test_where_two_processes_moved_it_a_watch_goes_back_to_the_earlier_parting(node: Node) -> None:
    node.learns(V1, PART.encode(), PART._replace(after=2, origin=V3).encode())
    assert node.position({V1: 5}) == {V1: 2}


# --- records


@given(
    st.builds(
        Renamed,
        st.integers(0, INTEGER_MAX // 2),
        st.integers(0, INTEGER_MAX // 2),
        st.sampled_from([V1, V2, Y1]),
        st.integers(0, INTEGER_MAX // 2),
        st.booleans(),
    )
)
def test_a_record_is_read_as_it_was_written(record: Renamed) -> None:
    assert Renamed.decode(record.encode()) == record


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"part",
        b"part 3 6",
        b"other 3 6 %s 0" % V2.encode(),
        b"part 3 6 %s 0 1" % V2.encode(),
        b"part -3 6 %s 0" % V2.encode(),
        b"part 3 six %s 0" % V2.encode(),
        b"part 3 6 %s 0.5" % V2.encode(),
        b"part 3 6 nobody 0",
        b"part 3  %s 0" % V2.encode(),
        b"part 3 %s %s 0" % (b"9" * 5000, V2.encode()),
        b"part 3 6 %s %d" % (V2.encode(), INTEGER_MAX + 1),
        b"part 0 %d %s %d" % (INTEGER_MAX, V2.encode(), INTEGER_MAX),
        "part ³ 6 %s 0".replace("%s", V2).encode(),
        b"\xff\xfe",
        bytes(100),
    ],
)
def test_what_no_honest_node_writes_tells_nothing(node: Node, value: bytes) -> None:
    assert Renamed.decode(value) is None
    node.learns(V1, value, PART.encode())
    assert renamed(Dot(V1, 5), node.versions) == [(PART, Dot(V2, 2))]
    assert node.token({V1: 5}) == {V1: 5, V2: 2}


@given(st.binary(max_size=80))
def test_any_bytes_are_a_record_or_none(value: bytes) -> None:
    record = Renamed.decode(value)
    assert record is None or Renamed.decode(record.encode()) == record
