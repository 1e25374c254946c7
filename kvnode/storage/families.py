"""Reading RocksDB's column families. Whatever goes wrong in it is a StorageError here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rocksdict import Rdict, RdictIter

from kvnode.errors import StorageError
from kvnode.storage.store import Record

#: A directory that this process holds open, as `DataDirectory` names it to RocksDB.
_ANCHOR: Final = re.compile(r"/proc/self/fd/\d+")


def told(message: str) -> str:
    """A message of RocksDB's with the paths that people know: where the files are now."""

    def path(anchor: re.Match[str]) -> str:
        try:
            return str(Path(anchor[0]).readlink())
        except OSError:
            return anchor[0]

    return _ANCHOR.sub(path, message)


def read(family: Rdict, key: bytes) -> bytes | None:
    """The record of a key; None if there is none."""
    try:
        record: bytes | None = family.get(key)
        return record
    except Exception as error:
        raise StorageError(told(f"can't read the store: {error}")) from error


def iterator(family: Rdict) -> RdictIter:
    """It goes on seeing what is there now."""
    try:
        return family.iter()
    except Exception as error:
        raise StorageError(told(f"can't read the store: {error}")) from error


def records_of(records: RdictIter, first: bytes) -> Iterator[Record]:
    """All records from a key on. A damaged block ends RocksDB's iterators without a word:
    only their status tells it from the end."""
    try:
        records.seek(first)
        while records.valid():
            yield records.key(), records.value()
            records.next()
        records.status()
    except Exception as error:
        del records  # or the traceback would hold the database, and its lock
        raise StorageError(told(f"can't read the store: {error}")) from error


def scan(family: Rdict, first: bytes = b"") -> Iterator[Record]:
    """All records from a key on."""
    return records_of(iterator(family), first)


def records_after(records: RdictIter, prefix: bytes, after: bytes) -> Iterator[Record]:
    """The records after a key, as long as their keys start so."""
    for key, record in records_of(records, max(prefix, after)):
        if not key.startswith(prefix):
            return
        if key != after:
            yield key, record


def records_backwards(records: RdictIter, end: bytes | None) -> Iterator[Record]:
    """All records before a key, or from the last one on."""
    try:
        if end is None:
            records.seek_to_last()
        else:
            records.seek_for_prev(end)
            if records.valid() and records.key() == end:
                records.prev()
        while records.valid():
            yield records.key(), records.value()
            records.prev()
        records.status()
    except Exception as error:
        del records  # see `records_of`
        raise StorageError(told(f"can't read the store: {error}")) from error


def keys_backwards(records: RdictIter) -> Iterator[bytes]:
    """All keys, the last one first."""
    try:
        records.seek_to_last()
        while records.valid():
            yield records.key()
            records.prev()
        records.status()
    except Exception as error:
        del records  # see `records_of`
        raise StorageError(told(f"can't read the store: {error}")) from error


def last_key(family: Rdict) -> bytes | None:
    """None if the family is empty."""
    return next(keys_backwards(iterator(family)), None)
