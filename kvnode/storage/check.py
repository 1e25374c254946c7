"""Whether a data directory or a backup is sound, told without changing a byte of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rocksdict import AccessType, Cache, Rdict

from kvnode.core.limits import MIB
from kvnode.core.vector import shown
from kvnode.errors import StorageError
from kvnode.storage.directory import CONTENTS, STORE, held, owner_of
from kvnode.storage.families import read, scan
from kvnode.storage.soundness import Findings, examined
from kvnode.storage.store import Record
from kvnode.storage.tuning import family_options, store_options

#: The binding's own notes on a store: it rewrites them wherever it opens one.
_REWRITTEN: Final = "rocksdict-config.json"

#: Each record is read once, in order: a cache is of next to no use.
_CACHE_BYTES: Final = 8 * MIB


@dataclass
class Checked:
    """Whose data it is, and what was found."""

    directory: Path
    #: The node's, as node.json says.
    name: str
    cluster: str
    findings: Findings


def check(directory: Path) -> Checked:
    """Examine a data directory, which is locked meanwhile, or a backup.

    Raises WrongDirectory, InUse, or StorageError if nothing can be said.
    """
    name, cluster = owner_of(directory)
    with held(directory):
        try:
            with _opened(directory / STORE) as store:
                findings = examined(store)
                shown_as = str(directory / STORE)
                findings.problems = [it.replace(store.path, shown_as) for it in findings.problems]
        except StorageError as error:
            findings = Findings()
            findings.add(str(error))
        _expect_contents(directory / CONTENTS, findings)
        return Checked(directory, name, cluster, findings)


def _expect_contents(file: Path, findings: Findings) -> None:
    """What a backup has must be what it was made of: a store that lost some of its files may open
    as a sound one with less, or with nothing."""
    if findings.problems_count or not file.exists():
        return
    try:
        contents = json.loads(file.read_text())
        if contents["vector"] != dict(findings.vector):
            findings.add(f"it has {shown(findings.vector)}, but was made of {contents['vector']}")
        if contents["digest"] != f"{findings.digest:032x}":
            findings.add(f"it has the digest {findings.digest:032x}, not {contents['digest']}")
    except (OSError, ValueError, TypeError, KeyError) as error:
        findings.add(f"{file.name} can't be read: {error!r}")


class _ReadOnly:
    """See `Readable`."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory)
        cache = Cache(_CACHE_BYTES)
        families = family_options(cache)
        self._db = Rdict(
            str(directory),
            store_options(cache),
            column_families=families,
            access_type=AccessType.read_only(),
        )
        self._families = {name: self._db.get_column_family(name) for name in families}

    def scan(self, family: str) -> Iterator[Record]:
        """See `Readable.scan`."""
        return scan(self._families[family])

    def get(self, family: str, key: bytes) -> bytes | None:
        """See `Readable.get`."""
        return read(self._families[family], key)

    def close(self) -> None:
        """Let go of the files."""
        for family in (*self._families.values(), self._db):
            family.close()


@contextmanager
def _opened(directory: Path) -> Iterator[_ReadOnly]:
    """A store opened by links to its files: RocksDB reads them, and whatever it or its
    binding would write or remove beside them is not the store's."""
    if not directory.is_dir():
        raise StorageError(f"there is no store in {directory.parent}")
    with _temporary_directory() as mirror:
        try:
            for file in directory.iterdir():
                if file.name != _REWRITTEN:
                    Path(mirror, file.name).symlink_to(file.resolve())
            Path(mirror, _REWRITTEN).write_bytes((directory / _REWRITTEN).read_bytes())
            store = _ReadOnly(Path(mirror))
        except Exception as error:
            told = str(error).replace(mirror, str(directory))
            raise StorageError(f"can't open the store in {directory.parent}: {told}") from error
        try:
            yield store
        finally:
            store.close()


@contextmanager
def _temporary_directory() -> Iterator[str]:
    try:
        directory = TemporaryDirectory(prefix="kvnode-check-")
    except OSError as error:
        raise StorageError(f"a check needs a temporary directory: {error.strerror}") from error
    with directory as path:
        yield path
