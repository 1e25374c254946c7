"""Member records: who counts, and what becoming or forgetting a member writes."""

from __future__ import annotations

import pytest

from kvnode.core.batch import Change
from kvnode.core.members import MEMBER_PREFIX, Members, all_records, member_key
from kvnode.core.succession import Cut
from kvnode.core.vector import Dot, new_origin
from kvnode.core.versions import Version, Versions

X, X2, X3 = (new_origin("X", at, at) for at in (1, 2, 3))
Y = new_origin("Y", 1, 1)


def record(origin: str, stamp_us: int = 1, seq: int = 1) -> Versions:
    return (Version(stamp_us, origin, seq, b"address"),)


def members(*origins: str) -> Members:
    return Members({member_key(origin): record(origin) for origin in origins})


def test_who_has_a_record_is_a_member() -> None:
    assert members().names() == set()
    assert members(X, Y).names() == {"X", "Y"}
    assert members(X, X2).names() == {"X"}


def test_a_member_ends_with_its_last_record() -> None:
    both = members(X, X2)
    both.changed(member_key(X), ())
    assert both.names() == {"X"}
    both.changed(member_key(X2), ())
    assert both.names() == set()
    assert both.records("X") == []


def test_deleting_what_is_not_there_does_nothing() -> None:
    one = members(Y)
    one.changed(member_key(X), ())
    assert one.names() == {"Y"}


def test_changes_are_counted_for_those_who_follow_them() -> None:
    one = members(Y)
    before = one.changes
    one.changed(member_key(X), record(X))
    one.changed(member_key(X), ())
    assert one.changes == before + 2


def test_the_latest_record_of_a_name_comes_first() -> None:
    both = Members({member_key(X): record(X, 5), member_key(X2): record(X2, 9)})
    assert [version.origin for version in both.records("X")] == [X2, X]


def test_of_a_record_with_siblings_the_winner_counts() -> None:
    siblings = (*record(Y, 9), *record(X, 5))
    assert Members({member_key(X): siblings}).records("X") == [siblings[0]]


@pytest.mark.parametrize("key", [b"", b"X", X.encode()[:-1], b"\xff" + X.encode(), b"~"])
def test_a_key_that_names_no_origin_makes_no_member(key: bytes) -> None:
    assert Members({MEMBER_PREFIX + key: record(X)}).names() == set()


# --- what is written


def test_a_renewal_replaces_the_records_of_all_other_incarnations() -> None:
    assert members().renewal(X, b"new") == (Change(member_key(X), b"new"),)
    assert members(X, Y).renewal(X, b"new") == (Change(member_key(X), b"new"),)
    assert members(X2, X, Y).renewal(X3, b"new") == (
        Change(member_key(X3), b"new"),
        Change(member_key(X), None),
        Change(member_key(X2), None),
    )


def test_to_forget_is_to_delete_all_records_of_the_name() -> None:
    assert members(Y).forgetting("X") == ()
    assert members(X2, X, Y).forgetting("X") == (
        Change(member_key(X), None),
        Change(member_key(X2), None),
    )


# --- who was forgotten


@pytest.mark.parametrize(
    ("why", "present", "dot", "forgotten"),
    [
        ("its record was here and is gone", [Y], Dot(X, 1), True),
        ("its record is here", [X], Dot(X, 1), False),
        ("its name has another record", [X2], Dot(X, 1), False),
        ("its record has not come here", [Y], Dot(X, 3), False),
        ("nothing of it has come here", [Y], Dot(X2, 1), False),
    ],
)
def test_a_record_that_was_here_and_left_none_was_forgotten(
    why: str, present: list[str], dot: Dot, forgotten: bool
) -> None:
    cut = Cut.restored({X: 2, Y: 1}, {})
    assert members(*present).has_forgotten("X", dot, cut) == forgotten, why


# --- from a table


def test_all_records_are_read_however_many() -> None:
    table = {member_key(new_origin("X", at, at)): record(X) for at in range(2500)}

    def page(prefix: bytes, after: bytes, records_max: int) -> dict[bytes, Versions]:
        keys = sorted(key for key in table if key.startswith(prefix) and key > after)
        return {key: table[key] for key in keys[:records_max]}

    assert all_records(page) == table
