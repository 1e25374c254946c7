"""What is shown while nobody knows whether a failed commit is on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvnode.core.messages import Commit
from kvnode.errors import StorageError
from kvnode.storage.frozen import FrozenStore, before
from kvnode.storage.memory import MemoryDisk, MemoryStore
from kvnode.storage.rocks import RocksStore
from tests.storage.commits import X, Y, batch, commit, version

MIB = 1 << 20

#: Two keys and two origins; one of each is in the commit that fails too.
FIRST = commit(
    batch(X, 1),
    batch(Y, 1),
    table={b"a": (version(X, 1),), b"b": (version(Y, 1),)},
    digest=1,
)
FAILED = commit(
    batch(X, 2), batch(Y, 2, writes=2), table={b"a": (), b"c": (version(X, 2),)}, digest=2
)


def frozen(failed: Commit, *, kept: bool) -> FrozenStore:
    """After FIRST, this commit failed on a disk that then took nothing more."""
    disk = MemoryDisk()
    store = MemoryStore(disk)
    store.commit(FIRST, sync=True)
    disk.fail_next_commit = kept
    with pytest.raises(StorageError):
        store.commit(failed, sync=True)
    was = before(store, failed)
    return FrozenStore(MemoryStore(disk, read_only=True), was)


KEPT_OR_LOST = pytest.mark.parametrize("kept", [True, False], ids=["kept", "lost"])


@KEPT_OR_LOST
def test_a_failed_commit_is_not_shown_whether_it_is_there_or_not(*, kept: bool) -> None:
    store = frozen(FAILED, kept=kept)
    assert [store.versions(key) for key in (b"a", b"b", b"c")] == [
        (version(X, 1),),
        (version(Y, 1),),
        (),
    ]
    assert store.load().digest == 1
    assert {origin: state.delivered for origin, state in store.load().origins.items()} == {
        X: 1,
        Y: 1,
    }


@KEPT_OR_LOST
@pytest.mark.parametrize("reverse", [False, True])
def test_a_failed_commit_is_not_shown_by_a_scan_either(*, kept: bool, reverse: bool) -> None:
    found = list(frozen(FAILED, kept=kept).table_view().records(b"", None, reverse=reverse))
    shown = [(key, versions) for key, versions in found if versions]
    expected = [(b"a", (version(X, 1),)), (b"b", (version(Y, 1),))]
    assert shown == (expected[::-1] if reverse else expected)


@KEPT_OR_LOST
def test_a_failed_commit_is_not_handed_to_peers(*, kept: bool) -> None:
    store = frozen(FAILED, kept=kept)
    assert store.since({X: 1, Y: 1}, MIB) == [batch(X, 1).encoded, batch(Y, 1).encoded]
    assert store.since({X: 2, Y: 2}, MIB) == []


def test_a_frozen_store_takes_nothing() -> None:
    store = frozen(FAILED, kept=False)
    with pytest.raises(StorageError, match="reading only"):
        store.commit(FAILED, sync=True)
    with pytest.raises(StorageError, match="reading only"):
        store.sync()
    store.close()


def test_a_commit_that_went_well_before_a_sync_failed_is_shown() -> None:
    """With the durabilities that do not sync each commit it counts as any other."""
    disk = MemoryDisk()
    store = MemoryStore(disk)
    store.commit(FIRST, sync=False)
    store.commit(FAILED, sync=False)
    shown = FrozenStore(MemoryStore(disk, read_only=True), before(store, FAILED))
    assert shown.versions(b"a") == () and shown.load().digest == 2
    assert len(shown.since({X: 1, Y: 1}, MIB)) == 4


def test_where_no_commit_failed_all_is_shown() -> None:
    disk = MemoryDisk()
    store = MemoryStore(disk)
    store.commit(FIRST, sync=True)
    shown = FrozenStore(MemoryStore(disk, read_only=True), before(store, None))
    assert shown.load() == store.load()
    assert shown.versions(b"b") == (version(Y, 1),)


def test_a_disk_that_lost_what_was_committed_is_not_shown() -> None:
    """It was not synced, and the page that held it could not be written."""
    disk = MemoryDisk()
    store = MemoryStore(disk)
    store.commit(FIRST, sync=False)
    was = before(store, FAILED)
    disk.crash()
    with pytest.raises(StorageError, match="no longer has"):
        FrozenStore(MemoryStore(disk, read_only=True), was).load()


def test_rocksdb_opens_for_reading_with_nothing_but_reading_allowed(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "store")
    store.commit(FIRST, sync=True)
    was = before(store, FAILED)
    store.close()
    shown = FrozenStore(RocksStore(tmp_path / "store", read_only=True), was)
    assert shown.versions(b"a") == (version(X, 1),)
    assert shown.since({X: 1, Y: 1}, MIB) == [batch(X, 1).encoded, batch(Y, 1).encoded]
    shown.close()


@KEPT_OR_LOST
def test_what_a_failed_truncation_dropped_is_below_the_floor(*, kept: bool) -> None:
    """Else a watch would be told of what comes after a gap."""
    disk = MemoryDisk()
    store = MemoryStore(disk)
    store.commit(FIRST, sync=True)
    disk.fail_next_commit = kept
    with pytest.raises(StorageError):
        store.drop_log(store.log_head(1, 1), {X: 1})
    was = before(store, None)
    reading = FrozenStore(MemoryStore(disk, read_only=True), was)
    assert reading.load().floor == ({X: 1} if kept else {})
    assert len(reading.since({X: 1, Y: 1}, MIB)) == (1 if kept else 2)
