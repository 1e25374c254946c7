"""Changes laid over a table: the same as if they had been made in it."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.overlay import Overlay, size_bytes
from kvnode.core.vector import new_origin
from kvnode.core.versions import Version, Versions
from kvnode.storage.memory import MemoryDisk, MemoryStore
from tests.storage.commits import commit

X = new_origin("X", 1, 1)


def versions(number: int) -> Versions:
    return (Version(number, X, number, b"v%d" % number),) if number else ()


KEYS = st.sampled_from([b"", b"a", b"a\0", b"aa", b"b", b"b\xff", b"c", b"\xff"])
TABLES = st.dictionaries(KEYS.filter(bool), st.integers(1, 9).map(versions))
CHANGES = st.dictionaries(KEYS.filter(bool), st.integers(0, 9).map(versions))


def over(table: Mapping[bytes, Versions], changes: Mapping[bytes, Versions]) -> Overlay:
    store = MemoryStore(MemoryDisk())
    store.commit(commit(table=table), sync=True)
    return Overlay(store.table_view(), changes)


@given(
    table=TABLES,
    changes=CHANGES,
    start=KEYS,
    end=st.one_of(st.none(), KEYS),
    reverse=st.booleans(),
)
def test_changes_stand_in_the_place_of_what_they_change(
    table: Mapping[bytes, Versions],
    changes: Mapping[bytes, Versions],
    start: bytes,
    end: bytes | None,
    *,
    reverse: bool,
) -> None:
    changed = {**table, **changes}
    expected = [
        (key, changed[key])
        for key in sorted(changed, reverse=reverse)
        if start <= key and (end is None or key < end)
    ]
    assert list(over(table, changes).records(start, end, reverse=reverse)) == expected


def test_an_overlay_can_lie_over_another() -> None:
    below = over({b"a": versions(1), b"b": versions(1)}, {b"b": (), b"c": versions(2)})
    both = Overlay(below, {b"a": (), b"c": versions(3)})
    found = list(both.records(b"", None, reverse=False))
    assert found == [(b"a", ()), (b"b", ()), (b"c", versions(3))]


def test_what_is_changed_later_does_not_show() -> None:
    changes = {b"a": versions(1)}
    overlay = over({}, changes)
    changes[b"a"], changes[b"b"] = versions(2), versions(2)
    assert list(overlay.records(b"", None, reverse=False)) == [(b"a", versions(1))]


def test_it_weighs_what_its_changes_hold() -> None:
    siblings = versions(1) + versions(2)
    assert over({b"a": versions(1)}, {b"key": siblings, b"b": ()}).size_bytes == 3 + 2 + 2 + 1
    assert size_bytes(b"key", versions(1)) == 5
