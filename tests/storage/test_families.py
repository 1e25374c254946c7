"""What is read of RocksDB's column families, in both directions and from any place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from kvnode.errors import StorageError
from kvnode.storage.families import (
    iterator,
    keys_backwards,
    last_key,
    read,
    records_after,
    records_backwards,
    records_of,
    scan,
)

RECORDS = {b"a": b"1", b"b/1": b"2", b"b/2": b"3", b"b/3": b"4", b"c": b"5"}


def opened(directory: Path) -> Rdict:
    return Rdict(str(directory), Options(raw_mode=True))


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Rdict]:
    family = opened(tmp_path)
    yield family
    family.close()


@pytest.fixture
def family(empty: Rdict) -> Rdict:
    for key, record in RECORDS.items():
        empty.put(key, record)
    return empty


def test_a_record_is_read_by_its_key(family: Rdict) -> None:
    assert read(family, b"b/2") == b"3"
    assert read(family, b"b") is None


@pytest.mark.parametrize(
    ("first", "keys"),
    [
        (b"", [b"a", b"b/1", b"b/2", b"b/3", b"c"]),
        (b"b/2", [b"b/2", b"b/3", b"c"]),
        (b"b/2+", [b"b/3", b"c"]),
        (b"d", []),
    ],
)
def test_a_scan_starts_at_a_key_or_where_it_would_be(
    family: Rdict, first: bytes, keys: list[bytes]
) -> None:
    found = [(key, RECORDS[key]) for key in keys]
    assert list(scan(family, first)) == list(records_of(iterator(family), first)) == found


@pytest.mark.parametrize(
    ("prefix", "after", "keys"),
    [
        (b"b/", b"", [b"b/1", b"b/2", b"b/3"]),
        (b"b/", b"b/1", [b"b/2", b"b/3"]),
        (b"b/", b"b/3", []),
        (b"", b"b/3", [b"c"]),
        (b"bb", b"", []),
    ],
)
def test_what_is_after_a_key_ends_with_the_prefix(
    family: Rdict, prefix: bytes, after: bytes, keys: list[bytes]
) -> None:
    assert [key for key, _ in records_after(iterator(family), prefix, after)] == keys


@pytest.mark.parametrize(
    ("end", "keys"),
    [
        (None, [b"c", b"b/3", b"b/2", b"b/1", b"a"]),
        (b"b/2", [b"b/1", b"a"]),
        (b"b/2+", [b"b/2", b"b/1", b"a"]),
        (b"a", []),
        (b"", []),
    ],
)
def test_a_scan_backwards_starts_before_its_end(
    family: Rdict, end: bytes | None, keys: list[bytes]
) -> None:
    found = [(key, RECORDS[key]) for key in keys]
    assert list(records_backwards(iterator(family), end)) == found


def test_the_last_key_is_the_first_backwards(family: Rdict) -> None:
    assert list(keys_backwards(iterator(family))) == sorted(RECORDS, reverse=True)
    assert last_key(family) == b"c"


def test_of_an_empty_family_there_is_nothing(empty: Rdict) -> None:
    assert last_key(empty) is None
    assert list(scan(empty)) == list(records_backwards(iterator(empty), None)) == []


def test_an_iterator_goes_on_seeing_what_was_there(family: Rdict) -> None:
    then = iterator(family)
    family.delete(b"a")
    family.put(b"d", b"6")
    assert dict(records_of(then, b"")) == RECORDS
    assert last_key(family) == b"d"


@pytest.mark.parametrize(
    "use",
    [
        lambda family: list(scan(family)),
        lambda family: list(records_backwards(iterator(family), None)),
        lambda family: list(keys_backwards(iterator(family))),
    ],
    ids=["scan", "records_backwards", "keys_backwards"],
)
def test_a_damaged_block_is_an_error_and_not_the_end(
    tmp_path: Path, use: Callable[[Rdict], object]
) -> None:
    family = opened(tmp_path)
    family.put(b"a", b"1")
    family.flush()
    family.close()
    (table,) = tmp_path.glob("*.sst")
    content = bytearray(table.read_bytes())
    content[4] ^= 0xFF
    table.write_bytes(content)
    damaged = opened(tmp_path)
    with pytest.raises(StorageError, match="can't read the store"):
        use(damaged)
    damaged.close()
