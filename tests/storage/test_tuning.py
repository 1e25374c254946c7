"""What RocksDB was told is what it does: as it wrote it down, and as its files show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from rocksdict import Cache

from kvnode.codec.batches import encode_batch
from kvnode.core.batch import Batch, Change
from kvnode.core.limits import KIB, MIB
from kvnode.core.messages import Commit, OriginState
from kvnode.core.vector import new_origin
from kvnode.core.versions import Version
from kvnode.storage import layout, tuning
from kvnode.storage.rocks import RocksStore
from kvnode.storage.tuning import WRITE_AHEAD_BYTES_MAX, family_options

X = new_origin("X", 1, 1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RocksStore]:
    store = RocksStore(tmp_path / "store")
    yield store
    store.close()


def written_down(directory: Path) -> dict[str, list[str]]:
    """RocksDB's options file: each option and its values, one for each section that has it."""
    found: dict[str, list[str]] = {}
    for line in max(directory.glob("OPTIONS-*")).read_text().splitlines():
        option, is_option, value = line.strip().partition("=")
        if is_option:
            found.setdefault(option, []).append(value)
    return found


def on_disk(directory: Path, pattern: str) -> int:
    """RocksDB removes files meanwhile."""
    total = 0
    for file in directory.glob(pattern):
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def told(store: RocksStore, what: str) -> list[int]:
    """What RocksDB says of each family."""
    return [int(it.property_value(f"rocksdb.{what}") or 0) for it in store._families.values()]


class Writer:
    """Overwrites 65 keys, and keeps next to nothing of the log."""

    def __init__(self, store: RocksStore, value_bytes: int) -> None:
        self._store, self._value_bytes = store, value_bytes
        self._random = Random(1)
        self._seq = 0

    def write(self) -> None:
        self._seq += 1
        seq, key = self._seq, b"key %d" % (self._seq % 65)
        value = self._random.randbytes(self._value_bytes)
        writes = ((Change(key, value),),)
        batch = Batch(X, seq, {}, seq, writes, encode_batch(X, seq, {}, seq, writes))
        table = {key: (Version(seq, X, seq, value),)}
        commit = Commit(table, (batch,), {X: OriginState(seq, seq, {}, {})}, seq, 0)
        self._store.commit(commit, sync=False)
        if self._store.log_bytes > MIB:
            dropped = self._store.log_head(256, MIB)
            self._store.drop_log(dropped, {X: dropped[-1].last})


def test_rocksdb_writes_down_what_it_was_told(store: RocksStore, tmp_path: Path) -> None:
    options = written_down(tmp_path / "store")
    families = len(layout.FAMILIES) + 1
    assert options["max_total_wal_size"] == [str(64 * MIB)]
    assert options["db_write_buffer_size"][0] == str(64 * MIB)
    assert options["wal_recovery_mode"] == ["kTolerateCorruptedTailRecords"]
    assert options["cache_index_and_filter_blocks"] == ["true"] * families
    assert options["index_type"] == ["kTwoLevelIndexSearch"] * families
    assert options["partition_filters"] == ["true"] * families
    assert options["filter_policy"].count("bloomfilter") == 3


def test_write_ahead_logs_stay_bounded_however_often_few_keys_are_written(
    store: RocksStore, tmp_path: Path
) -> None:
    """Other families get a few bytes with each write, and keep all logs that they are in. Each
    value is written twice, to the table and to the log."""
    writer = Writer(store, 256 * KIB)
    most = 0
    while store.log_end < 2 * WRITE_AHEAD_BYTES_MAX // (256 * KIB):
        writer.write()
        most = max(most, on_disk(tmp_path / "store", "*.log"))
    slack = 32 * MIB  # what comes while the oldest is written out
    assert 0 < most <= WRITE_AHEAD_BYTES_MAX + slack


def test_families_share_one_cache_which_holds_no_more_than_it_may(tmp_path: Path) -> None:
    """Ten megabytes are read through a cache of one, from two families."""
    store = RocksStore(tmp_path / "store", cache_bytes=MIB)
    writer = Writer(store, 64 * KIB)
    for _ in range(160):
        writer.write()
    store.begin_flush()
    while not store.is_flushed:
        pass
    for _ in range(3):
        assert len(store.page(b"", b"", 1000)) > 10
        assert store.log_head(256, 16 * MIB)
    assert set(told(store, "block-cache-capacity")) == {MIB}
    (usage,) = set(told(store, "block-cache-usage"))
    assert 0 < usage <= 2 * MIB
    store.close()


def test_a_cache_belongs_to_all_families() -> None:
    assert family_options(Cache(tuning.CACHE_BYTES)).keys() == set(layout.FAMILIES)
