"""What a small synced commit costs: RocksDB beside SQLite, table and log in one commit.

    .venv/bin/python tests/bench/storage.py

Prints writes a second, the median of several rounds in which the two take turns.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rocksdict import Options, Rdict, WriteBatch, WriteOptions

VALUE = b"v" * 100
ROUNDS = 5

Commit = Callable[[int, int], None]


def rocksdb(directory: Path) -> Commit:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    families = {name: Options(raw_mode=True) for name in ("table", "log")}
    db = Rdict(str(directory / "rocksdb"), options, column_families=families)
    table, log = (db.get_column_family_handle(name) for name in families)
    synced = WriteOptions()
    synced.sync = True

    def commit(first: int, count: int) -> None:
        batch = WriteBatch(raw_mode=True)
        for n in range(first, first + count):
            batch.put(b"key %d" % n, VALUE, table)
            batch.put(b"%016d" % n, VALUE, log)
        db.write(batch, synced)

    return commit


def sqlite(directory: Path) -> Commit:
    db = sqlite3.connect(directory / "sqlite", isolation_level=None)
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = full")
    db.execute("create table entries (key blob primary key, value blob) without rowid")
    db.execute("create table log (position integer primary key, value blob)")

    def commit(first: int, count: int) -> None:
        numbers = range(first, first + count)
        db.execute("begin")
        db.executemany("replace into entries values (?, ?)", ((b"%d" % n, VALUE) for n in numbers))
        db.executemany("replace into log values (?, ?)", ((n, VALUE) for n in numbers))
        db.execute("commit")

    return commit


def rate(commit: Commit, first: int, count: int, commits: int) -> float:
    start = time.perf_counter()
    for at in range(commits):
        commit(first + at * count, count)
    return commits * count / (time.perf_counter() - start)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        stores = {"RocksDB": rocksdb(Path(directory)), "SQLite": sqlite(Path(directory))}
        for count, commits in ((1, 500), (100, 100)):
            rates: dict[str, list[float]] = {name: [] for name in stores}
            for round_ in range(ROUNDS):
                for name, commit in stores.items():
                    first = (count * 1000 + round_) * 1_000_000
                    rates[name].append(rate(commit, first, count, commits))
            for name, measured in rates.items():
                print(
                    f"{name}, {count} writes a commit: {statistics.median(measured):,.0f} writes/s"
                )


if __name__ == "__main__":
    main()
