"""Snapshots: what two nodes' states become together, and how one comes in part by part."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.messages import Chunk, Fetch, OriginState, Saved, Snapshot
from kvnode.core.snapshot import (
    PATIENT_ATTEMPTS_MAX,
    Staging,
    is_credible,
    merged_state,
    merged_versions,
)
from kvnode.core.succession import Cut
from kvnode.core.vector import Vector, new_origin
from kvnode.core.versions import Version
from tests.histories import History
from tests.states import digest_of, state_of, union_of
from tests.strategies import histories

X, X2, Y, Z = (new_origin(name, 1, at) for at, name in enumerate(["X", "X", "Y", "Z"]))


def version(origin: str, seq: int, stamp_us: int = 1) -> Version:
    return Version(stamp_us, origin, seq, b"value")


XS, YS, ZS = version(X, 1), version(Y, 1), version(Z, 1)

# --- the versions of a key


@pytest.mark.parametrize(
    ("why", "mine", "theirs", "my_entries", "their_entries", "merged"),
    [
        ("neither has any", (), (), {X: 1}, {Y: 1}, ()),
        ("both have it", (XS,), (XS,), {X: 1}, {X: 1}, (XS,)),
        ("they have not seen mine", (XS,), (), {X: 1}, {}, (XS,)),
        ("they have seen mine and deleted it", (XS,), (), {X: 1}, {X: 1, Y: 1}, ()),
        ("they have replaced mine", (XS,), (YS,), {X: 1}, {X: 1, Y: 1}, (YS,)),
        ("I have not seen theirs", (), (YS,), {X: 1}, {Y: 1}, (YS,)),
        ("I have seen theirs and deleted it", (), (YS,), {X: 1, Y: 1}, {Y: 1}, ()),
        ("I have replaced theirs", (XS,), (YS,), {X: 1, Y: 1}, {Y: 1}, (XS,)),
        ("concurrent ones stay side by side", (XS,), (YS,), {X: 1}, {Y: 1}, (YS, XS)),
        ("each deleted the other's", (XS,), (YS,), {X: 1, Y: 1}, {X: 1, Y: 1}, ()),
        ("one common, one of each", (YS, XS), (ZS, YS), {X: 1, Y: 1}, {Y: 1, Z: 1}, (ZS, YS, XS)),
        ("I settled two siblings", (ZS,), (YS, XS), {X: 1, Y: 1, Z: 1}, {X: 1, Y: 1}, (ZS,)),
        (
            "they have seen an earlier write of the origin, and not this one",
            (version(X, 2),),
            (XS,),
            {X: 2},
            {X: 1},
            (version(X, 2),),
        ),
        (
            "the winner comes first, whoever has it",
            (version(X, 1, stamp_us=1),),
            (version(Y, 1, stamp_us=9),),
            {X: 1},
            {Y: 1},
            (version(Y, 1, stamp_us=9), version(X, 1, stamp_us=1)),
        ),
    ],
)
def test_a_version_of_one_side_is_kept_if_the_other_has_not_seen_it(
    why: str,
    mine: tuple[Version, ...],
    theirs: tuple[Version, ...],
    my_entries: Vector,
    their_entries: Vector,
    merged: tuple[Version, ...],
) -> None:
    assert merged_versions(mine, theirs, my_entries, their_entries) == merged, why
    assert merged_versions(theirs, mine, their_entries, my_entries) == merged, "from their side"


@given(histories(), st.integers(), st.integers())
def test_two_states_become_that_of_all_their_writes(history: History, one: int, other: int) -> None:
    mine, theirs = history.process(one), history.process(other)
    ours, yours = state_of(mine.log), state_of(theirs.log)
    union = union_of(mine, theirs)
    table = {
        key: merged
        for key in ours.table.keys() | yours.table.keys()
        if (
            merged := merged_versions(
                ours.table.get(key, ()), yours.table.get(key, ()), ours.entries, yours.entries
            )
        )
    }
    assert table == union.table
    saved = merged_state(ours.saved(), yours.snapshot(), digest_of(table))
    assert saved.origins == union.origins
    assert saved.clock_us == union.clock_us
    assert saved.digest == union.digest


# --- all beside the table


def state(delivered: int, **others: Any) -> OriginState:
    return OriginState(delivered, others.get("stamp_us", delivered), {}, others.get("ends", {}))


def test_of_each_origin_the_side_that_is_further_on_is_believed() -> None:
    mine = Saved({X: state(2), Y: state(5), X2: state(1, ends={X: 2})}, 10, 0)
    theirs = Snapshot({X: state(3), Y: state(4), Z: state(1)}, 20, 0)
    merged = merged_state(mine, theirs, 7)
    assert merged.origins == {X: state(3), Y: state(5), X2: state(1, ends={X: 2}), Z: state(1)}
    assert (merged.clock_us, merged.digest) == (20, 7)
    assert merged_state(Saved(mine.origins, 30, 0), theirs, 7).clock_us == 30


def test_the_floor_rises_over_what_only_the_snapshot_brought() -> None:
    mine = Saved({X: state(5), Y: state(5), Z: state(5)}, 1, 0, {X: 1, Y: 2})
    theirs = Snapshot({X: state(9), Y: state(4), X2: state(3)}, 1, 0)
    assert merged_state(mine, theirs, 0).floor == {X: 9, Y: 2, X2: 3}


def test_a_snapshot_with_nothing_new_changes_nothing() -> None:
    mine = Saved({X: state(5), Y: state(5)}, 9, 4, {X: 1})
    assert merged_state(mine, Snapshot({X: state(5), Y: state(3)}, 2, 0), 4) == mine


# --- part by part

TABLE = {b"a": (XS,), b"b": (ZS, YS)}
ORIGINS = {X: state(1), Y: state(1), Z: state(1)}
FIRST = Chunk("Y", 7, b"", 9, digest_of(TABLE), ORIGINS, {}, b"o")
SECOND = FIRST._replace(start=b"o", origins={}, table={b"a": TABLE[b"a"]}, next=b"ta")
LAST = SECOND._replace(start=b"ta", table={b"b": TABLE[b"b"]}, next=None)


def test_parts_are_asked_for_one_after_the_other() -> None:
    staging = Staging("Y")
    assert staging.question() == Fetch("Y", None, b"")
    assert staging.take(FIRST) is None
    assert staging.question() == Fetch("Y", 7, b"o")
    assert staging.take(SECOND) is None
    assert staging.question() == Fetch("Y", 7, b"ta")
    assert staging.take(LAST) == Snapshot(ORIGINS, 9, digest_of(TABLE))


def test_a_snapshots_digest_is_that_of_what_came() -> None:
    staging = Staging("Y")
    staging.take(FIRST)
    staging.take(SECOND._replace(table={}))
    found = staging.take(LAST)
    assert found is not None
    assert found.digest == digest_of({b"b": TABLE[b"b"]}) != LAST.digest


@pytest.mark.parametrize(
    ("why", "chunk", "expected"),
    [
        ("the one that was asked for", SECOND, True),
        ("again the one before", FIRST, False),
        ("the one after it", LAST, False),
        ("of another of its snapshots", SECOND._replace(number=8), False),
        ("of another peer", SECOND._replace(name="Z"), False),
    ],
)
def test_only_what_was_asked_for_last_is_expected(why: str, chunk: Chunk, expected: bool) -> None:
    staging = Staging("Y")
    staging.take(FIRST)
    assert staging.expects(chunk) == expected, why


def test_each_part_may_be_asked_for_as_often() -> None:
    staging = Staging("Y")
    assert staging.in_vain(is_silent=True) and staging.in_vain(is_silent=True)
    staging.take(FIRST)
    assert staging.in_vain(is_silent=True) and staging.in_vain(is_silent=True)
    assert not staging.in_vain(is_silent=True)


def test_who_is_heard_is_given_more_time_than_who_is_silent() -> None:
    staging = Staging("Y")
    answers = [staging.in_vain(is_silent=False) for _ in range(PATIENT_ATTEMPTS_MAX)]
    assert answers == [True] * (PATIENT_ATTEMPTS_MAX - 1) + [False]


def test_a_snapshot_of_nothing_is_one() -> None:
    empty = Chunk("Y", 1, b"", 0, 0, {}, {}, None)
    assert Staging("Y").take(empty) == Snapshot({}, 0, 0)


# --- whether to believe it

X3 = new_origin("X", 3, 3)


@pytest.mark.parametrize(
    ("why", "origins", "expected"),
    [
        ("it has less", {X: state(2)}, True),
        ("it has more", {X: state(2), X2: state(1, ends={X: 2}), X3: state(1, ends={X2: 1})}, True),
        ("it ends what it lacks", {X: state(2), X3: state(1, ends={X: 3})}, False),
        ("two end each other", {X: state(9, ends={X3: 1}), X3: state(1, ends={X: 1})}, False),
        ("another name is ended", {X: state(2), Y: state(1, ends={X: 2})}, False),
        ("what is known ends something else", {X: state(2), X2: state(1, ends={X: 1})}, False),
        ("what is known ends nothing", {X: state(2), X2: state(1)}, False),
        ("what is known to end nothing does", {X: state(2, ends={X3: 1}), X3: state(1)}, False),
    ],
)
def test_only_what_a_node_can_have_delivered_is_believed(
    why: str, origins: dict[str, OriginState], expected: bool
) -> None:
    mine = Cut.restored({X: 2, X2: 1}, {X2: {X: 2}})
    snapshot = Snapshot(origins, 9, 7)
    assert is_credible(snapshot, 7, mine) == expected, why
    assert not is_credible(snapshot, 8, mine), "its digest is another"
