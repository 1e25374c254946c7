"""What a mended store is like: one suite for RocksDB and for its in-memory twin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kvnode.codec.packing import pack
from kvnode.core.messages import Commit, Moved, OriginState, OwnPast, Saved
from kvnode.errors import StorageError
from kvnode.storage import layout
from kvnode.storage.check import check
from kvnode.storage.directory import DataDirectory
from kvnode.storage.rocks import RocksStore
from kvnode.storage.store import Store
from tests.core.parted import OPENS, H, J, K, Made, Y, as_it_was, delete, put, v, y
from tests.storage.commits import X0, X1, X, batch, commit
from tests.storage.conftest import Disk

MIB = 1 << 20

#: H's last two batches, all of J's, and two of Y between them.
MADE = Made(
    (v(put("a")), y(put("b"))),
    (
        v(put("a", value="x" * 300)),
        y(put("c")),
        v(put("d", expires_us=9), delete("b")),
        OPENS,
        v(put("e", expires_us=9)),
        y(put("a")),
        v(put("d")),
    ),
    shared=1,
)
MOVED = 3


def mend(store: Store) -> Commit:
    disk, parting = as_it_was(MADE, store)
    return disk.mends(parting)


def dots(disk: Disk) -> list[tuple[int, str, int]]:
    """Position, origin and last seq of each batch in the log."""
    keys = disk.keys("log")
    return [
        (layout.log_position(key), layout.indexed(key)[:-9].decode(), layout.log_last(key))
        for key in keys
    ]


# --- the log


def now_and_later(disk: Disk) -> Iterator[Store]:
    """The store as it is, and as it is opened again."""
    yield disk.store
    yield disk.reopen()


def test_what_is_moved_stands_where_it_was(disk: Disk) -> None:
    was, parting = as_it_was(MADE, disk.store)
    before = dots(disk)
    assert [at for at, *_ in before] == list(range(8))
    commit = was.mends(parting)
    moved = {(it.was.origin, it.was.last): (it.now.origin, it.now.last) for it in commit.moved}
    assert len(moved) == MOVED
    record = (8, K, commit.batches[0].last)
    expected = [(at, *moved.get((origin, last), (origin, last))) for at, origin, last in before]
    for _ in now_and_later(disk):
        assert dots(disk) == [*expected, record]


def test_each_batch_is_found_under_what_it_is_now_and_none_under_what_it_was(disk: Disk) -> None:
    commit = mend(disk.store)
    for store in now_and_later(disk):
        assert store.since({J: 1}, MIB) == []
        assert [it.last for it in store.batches({H: 1}, MIB)] == [1, 2]
        found = store.batches({K: 1}, MIB)
        assert found == [*(it.now for it in commit.moved), *commit.batches]
        for each in found:
            assert store.batches({K: each.last}, 1)[0] == each


def test_the_index_has_just_what_is_in_the_log(disk: Disk) -> None:
    mend(disk.store)
    assert sorted(layout.indexed(key) for key in disk.keys("log")) == disk.keys("index")


def test_the_size_of_the_log_is_what_its_batches_take(disk: Disk) -> None:
    mend(disk.store)
    for store in now_and_later(disk):
        head = store.log_head(99, MIB)
        assert len(head) == 9
        assert store.log_bytes == sum(it.size_bytes for it in head)


def test_the_log_goes_on_after_its_last_batch(disk: Disk) -> None:
    mend(disk.store)
    end = disk.store.log_end
    assert end == 9
    disk.store.commit(commit(batch(X, 1)), sync=True)
    assert dots(disk)[-1] == (end, X, 1)
    assert disk.reopen().log_end == end + 1


def test_its_head_can_be_dropped_as_any_other(disk: Disk) -> None:
    mend(disk.store)
    head = disk.store.log_head(6, MIB)
    disk.store.drop_log(head, {})
    rest = disk.store.log_head(99, MIB)
    assert [it.position for it in rest] == [6, 7, 8]
    assert disk.store.log_bytes == sum(it.size_bytes for it in rest)
    assert {layout.indexed(key) for key in disk.keys("log")} == set(disk.keys("index"))


def test_what_is_not_in_the_log_can_not_be_moved_and_nothing_is_changed(disk: Disk) -> None:
    disk.store.commit(commit(batch(X, 1)), sync=True)
    before = disk.store.load(), dots(disk), disk.store.log_bytes
    moved = (Moved(batch(X, 2), batch(X1, 1)),)
    with pytest.raises(StorageError, match=f"no batch that ends at {X}:2"):
        disk.store.commit(Commit({}, (), {}, 7, 0, moved=moved, gone=(X,)), sync=True)
    assert (disk.store.load(), dots(disk), disk.store.log_bytes) == before


def test_an_examination_finds_a_mended_store_sound(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "V", name="V", cluster="c")
    store = RocksStore(directory.store)
    mend(store)
    saved = store.load()
    store.close()
    directory.close()
    findings = check(tmp_path / "V").findings
    assert findings.problems == []
    assert (findings.batches, findings.digest) == (9, saved.digest)
    assert set(findings.vector) == {K, Y}


# --- origins, and what is confirmed


def test_what_is_gone_is_gone(disk: Disk) -> None:
    mend(disk.store)
    for store in now_and_later(disk):
        assert set(store.load().origins) == {H, K, Y}
        with pytest.raises(StorageError, match="lost its record"):
            store.origin_state(J)


@pytest.mark.parametrize(
    "past",
    [
        OwnPast(),
        OwnPast(opened=(X, X1)),
        OwnPast(X, OriginState(3, 9, {Y: 1, X0: 2}, {X0: 2}, b"8 bytes."), (X1,)),
    ],
)
def test_what_is_confirmed_is_known_after_it_is_opened_again(disk: Disk, past: OwnPast) -> None:
    disk.store.commit(replace(commit(batch(X, 1)), own=past), sync=True)
    assert disk.reopen().load().own == past


def test_a_commit_that_says_nothing_of_it_leaves_it_as_it_was(disk: Disk) -> None:
    own = mend(disk.store).own
    disk.store.commit(commit(batch(X, 1)), sync=True)
    assert disk.reopen().load().own == own


@pytest.mark.parametrize(
    "record", [b"", b"\xc1", pack([1]), pack([X, b"\xc1", []]), pack([[], b""])]
)
def test_what_can_not_be_read_of_it_is_an_error(disk: Disk, record: bytes) -> None:
    disk.set_meta(layout.OWN, record)
    with pytest.raises(StorageError, match="unreadable records"):
        disk.reopen().load()


def test_a_switch_to_a_snapshot_leaves_what_is_confirmed(disk: Disk) -> None:
    own = mend(disk.store).own
    disk.store.switch(Saved(disk.store.load().origins, 7, 0))
    assert disk.reopen().load().own == own
