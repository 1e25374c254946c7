"""Bit rot: a damaged store is refused or right, and never silently less."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kvnode.codec.batches import encode_batch
from kvnode.core.batch import Batch, Change
from kvnode.core.messages import Commit, OriginState
from kvnode.core.versions import Version
from kvnode.errors import StorageError
from kvnode.storage.rocks import RocksStore

ORIGIN = "X~0000000000000000"
COMMITS = 40


def commit(seq: int) -> Commit:
    """One write of 100 bytes."""
    value = b"%03d" % seq * 33
    writes = ((Change(b"key %d" % seq, value),),)
    batch = Batch(ORIGIN, seq, {}, seq, writes, encode_batch(ORIGIN, seq, {}, seq, writes))
    state = OriginState(seq, seq, {}, {})
    table = {b"key %d" % seq: (Version(seq, ORIGIN, seq, value),)}
    return Commit(table, (batch,), {ORIGIN: state}, seq, seq)


def contents(directory: Path) -> tuple[object, ...]:
    """All that the store has: its state, its log, its table."""
    store = RocksStore(directory)
    try:
        table = [store.versions(b"key %d" % seq) for seq in range(1, COMMITS + 1)]
        return store.load(), store.since({ORIGIN: 1}, 1 << 20), table
    finally:
        store.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A store whose write-ahead log holds all its commits."""
    store = RocksStore(tmp_path / "store")
    for seq in range(1, COMMITS + 1):
        store.commit(commit(seq), sync=True)
    shutil.copytree(tmp_path / "store", tmp_path / "killed")
    store.close()
    return tmp_path / "killed"


def damage(file: Path, at: int) -> None:
    """Flip the bits of a few bytes."""
    data = bytearray(file.read_bytes())
    data[at : at + 3] = bytes(byte ^ 0xFF for byte in data[at : at + 3])
    file.write_bytes(data)


def test_a_damaged_table_file_is_refused_or_does_not_matter(directory: Path) -> None:
    truth = contents(directory)  # recovery moves all into table files
    files = sorted(directory.glob("*.sst"))
    assert len(files) >= 4
    refused = 0
    for file in files:
        for at in range(0, file.stat().st_size - 3, file.stat().st_size // 6):
            copy = directory.parent / f"{file.stem} {at}"
            shutil.copytree(directory, copy)
            damage(copy / file.name, at)
            try:
                assert contents(copy) == truth, f"{file.name} damaged at {at}"
            except StorageError:
                refused += 1
    assert refused >= len(files)


def test_a_write_ahead_log_damaged_in_the_middle_is_refused(directory: Path) -> None:
    (log,) = directory.glob("*.log")
    damage(log, log.stat().st_size // 2)
    with pytest.raises(StorageError):
        contents(directory)


def test_a_write_ahead_log_with_a_torn_end_opens_without_its_last_commit(directory: Path) -> None:
    (log,) = directory.glob("*.log")
    log.write_bytes(log.read_bytes()[:-5])
    saved, batches, _ = contents(directory)
    assert len(batches) == COMMITS - 1  # type: ignore[arg-type]
    assert saved.origins[ORIGIN].delivered == COMMITS - 1  # type: ignore[attr-defined]


def test_a_hole_where_one_write_ahead_log_ends_and_the_next_begins_is_refused(
    tmp_path: Path,
) -> None:
    """RocksDB takes it for a torn end, and goes on with the next."""
    store = RocksStore(tmp_path / "store")
    store.stage({b"staged": commit(1).table[b"key 1"]})
    for seq in range(1, COMMITS + 1):
        store.commit(commit(seq), sync=True)
        if seq == COMMITS // 2:
            store._families["table1"].flush(True)  # as happens by itself when memory is full
    shutil.copytree(tmp_path / "store", tmp_path / "killed")
    store.close()
    older, newer = sorted((tmp_path / "killed").glob("*.log"))
    assert older.stat().st_size and newer.stat().st_size
    older.write_bytes(older.read_bytes()[:-5])
    with pytest.raises(StorageError, match=r"lacks log positions 19 to 19"):
        contents(tmp_path / "killed")


def test_a_scan_over_a_damaged_table_file_ends_with_an_error_and_holds_no_lock(
    directory: Path,
) -> None:
    """RocksDB's iterators just end there. The error, while it is told, must not keep the store from
    being opened again."""
    RocksStore(directory).close()  # recovery moves all into table files
    refused = 0
    for file in sorted(directory.glob("*.sst")):
        copy = directory.parent / file.stem
        shutil.copytree(directory, copy)
        damage(copy / file.name, 10)
        try:
            store = RocksStore(copy)
        except StorageError:
            continue
        for reverse in (False, True):
            try:
                found = list(store.table_view().records(b"", None, reverse=reverse))
                assert len(found) == COMMITS
            except StorageError:
                refused += 1
                store.close()
                store = RocksStore(copy)
        store.close()
    assert refused == 2, "one of the files is the table's"
