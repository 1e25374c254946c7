"""What snapshots need of a store: views that stand still, and a table that is built aside."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kvnode.codec.records import decode_origin_state, decode_versions
from kvnode.core.messages import OriginState
from kvnode.core.replica import Saved
from kvnode.core.versions import Versions
from kvnode.errors import StorageError
from kvnode.storage.store import Store, View
from tests.storage.commits import X0, X1, X, Y, Z, batch, commit, version
from tests.storage.conftest import Disk

MIB = 1 << 20

OLD = {b"a": (version(X, 1),), b"b": (version(X, 2), version(Y, 1))}
ORIGINS = {
    X: OriginState(2, 7, {}, {X0: 3}),
    X0: OriginState(3, 6, {}, {}),
    Y: OriginState(1, 8, {X: 1}, {}),
}
NEW = {b"b": (version(Z, 5),), b"c": (version(X, 9),), b"d": (version(Y, 9),)}
SWITCHED = Saved({X: OriginState(9, 70, {}, {}), Z: OriginState(5, 60, {X: 1}, {})}, 99, 42, {X: 9})


def with_data(disk: Disk) -> Store:
    """The store with a table, a log and the states of two origins."""
    batches = batch(X, 1), batch(X, 2), batch(Y, 1)
    turn = commit(*batches, table=OLD, origins=ORIGINS, clock_us=9, digest=77)
    disk.store.commit(turn, sync=True)
    return disk.store


def table_of(store: Store) -> dict[bytes, Versions]:
    return store.page(b"", b"", 1000)


# --- views


def seen(view: View, bytes_max: int = MIB) -> tuple[int, int, object, object]:
    """All that a view shows, read in parts of a size."""
    origins, table = {}, {}
    after = b""
    while records := view.origins(after, bytes_max):
        origins |= {key.decode(): decode_origin_state(record) for key, record in records}
        after = records[-1][0]
    after = b""
    while records := view.table(after, bytes_max):
        table |= {key: decode_versions(record) for key, record in records}
        after = records[-1][0]
    return view.clock_us, view.digest, origins, table


MOVES = {
    "a commit": lambda store: store.commit(
        commit(batch(Z, 1), batch(X, 3), table={b"c": NEW[b"c"], b"a": ()}, digest=1), sync=True
    ),
    "deletes": lambda store: store.commit(commit(table=dict.fromkeys(OLD, ())), sync=True),
    "a truncation": lambda store: store.drop_log(store.log_head(9, MIB), {X: 2, Y: 1}),
    "staging": lambda store: store.stage(NEW),
    "a switch": lambda store: (store.stage(NEW), store.switch(SWITCHED)),
    "two switches": lambda store: (
        store.switch(SWITCHED),
        store.stage(NEW),
        store.switch(SWITCHED),
    ),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_a_view_is_not_moved(disk: Disk, move: Callable[[Store], object]) -> None:
    view = with_data(disk).view()
    move(disk.store)
    assert seen(view) == (9, 77, ORIGINS, OLD)
    view.close()


def test_a_view_of_a_fresh_store_is_empty(disk: Disk) -> None:
    assert seen(disk.store.view()) == (0, 0, {}, {})


def test_a_view_after_a_switch_shows_the_new_table(disk: Disk) -> None:
    store = with_data(disk)
    store.stage(NEW)
    store.switch(SWITCHED)
    assert seen(store.view()) == (99, 42, ORIGINS | SWITCHED.origins, NEW)


@pytest.mark.parametrize("bytes_max", [1, 60, 100, 1000])
def test_a_view_is_read_in_parts_of_any_size(disk: Disk, bytes_max: int) -> None:
    table = {b"%02d" % at: (version(X, at),) for at in range(1, 30)}
    origins = {origin: OriginState(1, 7, {}, {}) for origin in (X, X1, Y, Z)}
    disk.store.commit(commit(table=table, origins=origins), sync=True)
    view = disk.store.view()
    assert seen(view, bytes_max)[2:] == (origins, table)
    part = view.table(b"", bytes_max)
    assert len(part) == 1 or sum(len(key) + len(record) for key, record in part) <= bytes_max


def test_the_cursors_of_a_view_may_go_back(disk: Disk) -> None:
    view = with_data(disk).view()
    table, origins = view.table(b"", MIB), view.origins(b"", MIB)
    assert [key for key, _ in table] == [b"a", b"b"]
    assert view.table(b"b", MIB) == [] and view.origins(Y.encode(), MIB) == []
    assert view.table(b"a", MIB) == table[1:] and view.table(b"", 1) == table[:1]
    assert view.origins(X.encode(), MIB) == origins[2:] and view.origins(b"", MIB) == origins


def test_two_views_stand_where_each_was_taken(disk: Disk) -> None:
    one = with_data(disk).view()
    disk.store.commit(commit(table={b"a": ()}, digest=78, clock_us=10), sync=True)
    other = disk.store.view()
    disk.store.commit(commit(table={b"b": ()}), sync=True)
    assert seen(one) == (9, 77, ORIGINS, OLD)
    assert seen(other) == (10, 78, ORIGINS, {b"b": OLD[b"b"]})


def test_an_open_view_does_not_keep_a_store_from_being_opened_again(disk: Disk) -> None:
    """Else a node that has a commit fail while it sends a snapshot could not go on."""
    view = with_data(disk).view()
    assert table_of(disk.reopen()) == OLD
    for read in (view.table, view.origins):
        with pytest.raises(StorageError, match="closed"):
            read(b"", MIB)
    view.close()


# --- staging


def test_what_is_staged_stands_aside(disk: Disk) -> None:
    store = with_data(disk)
    store.stage(NEW)
    assert table_of(store) == OLD and store.versions(b"c") == ()
    assert {key: store.staged_versions(key) for key in NEW} == NEW
    assert store.staged_versions(b"a") == ()
    assert store.load() == Saved(ORIGINS, 9, 77)


def test_a_commit_does_not_touch_what_is_staged(disk: Disk) -> None:
    store = with_data(disk)
    store.stage(NEW)
    store.commit(commit(table={b"c": OLD[b"a"], b"b": ()}), sync=True)
    assert store.staged_page(b"", 9) == NEW
    assert table_of(store) == {b"a": OLD[b"a"], b"c": OLD[b"a"]}


def test_staging_adds_replaces_and_deletes_keys(disk: Disk) -> None:
    disk.store.stage(NEW)
    disk.store.stage({b"b": (), b"c": OLD[b"a"], b"e": OLD[b"b"], b"never there": ()})
    assert disk.store.staged_page(b"", 9) == {
        b"c": OLD[b"a"],
        b"d": NEW[b"d"],
        b"e": OLD[b"b"],
    }


def test_staged_keys_come_in_pages(disk: Disk) -> None:
    disk.store.stage(NEW)
    assert list(disk.store.staged_page(b"", 2)) == [b"b", b"c"]
    assert list(disk.store.staged_page(b"b", 1)) == [b"c"]
    assert list(disk.store.staged_page(b"c", 9)) == [b"d"]
    assert disk.store.staged_page(b"d", 9) == {}


def test_what_is_staged_can_be_forgotten(disk: Disk) -> None:
    store = with_data(disk)
    store.stage(NEW | {b"\xff" * 4096: NEW[b"b"]})
    store.clear_staged()
    assert store.staged_page(b"", 9) == {} and table_of(store) == OLD
    store.stage({b"c": NEW[b"c"]})
    assert store.staged_page(b"", 9) == {b"c": NEW[b"c"]}


def test_a_reopening_forgets_what_was_staged_and_nothing_else(disk: Disk) -> None:
    before = with_data(disk).load()
    disk.store.stage(NEW)
    store = disk.reopen()
    assert store.staged_page(b"", 9) == {}
    assert (store.load(), table_of(store)) == (before, OLD)
    assert disk.keys("table1") == []


# --- the switch


@pytest.mark.parametrize("again", [False, True], ids=["at once", "after a reopening"])
def test_a_switch_changes_everything_at_once(disk: Disk, *, again: bool) -> None:
    store = with_data(disk)
    log_bytes, log = store.log_bytes, store.since({X: 1, Y: 1}, MIB)
    store.stage(NEW)
    store.switch(SWITCHED)
    if again:
        store = disk.reopen()
    assert table_of(store) == NEW
    assert store.load() == SWITCHED._replace(origins=ORIGINS | SWITCHED.origins)
    assert store.staged_page(b"", 9) == {}
    assert disk.keys("table0") == [] and disk.keys("table1") == sorted(NEW)
    assert (store.log_bytes, store.log_end) == (log_bytes, 3), "it keeps its own log"
    assert store.since({X: 1, Y: 1}, MIB) == log


def test_commits_go_on_in_the_new_table_and_the_log(disk: Disk) -> None:
    store = with_data(disk)
    store.stage(NEW)
    store.switch(SWITCHED)
    store.commit(commit(batch(X, 10), table={b"a": (version(X, 10),), b"d": ()}), sync=True)
    store = disk.reopen()
    assert table_of(store) == {b"a": (version(X, 10),), b"b": NEW[b"b"], b"c": NEW[b"c"]}
    assert store.since({X: 3}, MIB) == [batch(X, 10).encoded]
    assert [each.position for each in store.log_head(9, MIB)] == [0, 1, 2, 3]


def test_a_switch_with_nothing_staged_leaves_an_empty_table(disk: Disk) -> None:
    with_data(disk).switch(SWITCHED)
    assert table_of(disk.store) == {} == table_of(disk.reopen())


def test_one_switch_after_another(disk: Disk) -> None:
    for at in range(1, 6):
        table = {b"%d" % at: (version(X, at),)}
        disk.store.stage(table)
        disk.store.switch(SWITCHED._replace(digest=at))
        if at % 2:
            disk.reopen()
        assert table_of(disk.store) == table and disk.store.load().digest == at
        assert len(disk.keys("table0") + disk.keys("table1")) == 1
