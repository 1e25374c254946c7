"""Whether a data directory or a backup is sound, told without changing a byte of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rocksdict import AccessType, Options, Rdict

from kvnode.errors import StorageError
from kvnode.storage import layout
from kvnode.storage.directory import OWNER, STORE, WrongDirectory, held
from kvnode.storage.rocks import options, read, scan
from kvnode.storage.soundness import Findings, examined
from kvnode.storage.store import Record

#: The binding's own notes on a store: it rewrites them wherever it opens one.
_REWRITTEN: Final = "rocksdict-config.json"


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
    if not (directory / OWNER).is_file():
        message = f"{directory} is neither a data directory nor a backup: it has no {OWNER}"
        raise WrongDirectory(message)
    with held(directory):
        name, cluster = _owner(directory / OWNER)
        try:
            with _opened(directory / STORE) as store:
                findings = examined(store)
        except StorageError as error:
            findings = Findings()
            findings.add(str(error))
        return Checked(directory, name, cluster, findings)


def _owner(file: Path) -> tuple[str, str]:
    try:
        owner = json.loads(file.read_text())
        return str(owner["name"]), str(owner["cluster"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StorageError(f"can't read {file}: {error!r}") from error


class _ReadOnly:
    """See `Readable`."""

    def __init__(self, directory: Path) -> None:
        families = {name: Options(raw_mode=True) for name in layout.FAMILIES}
        self._db = Rdict(
            str(directory),
            options(),
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
    with TemporaryDirectory(prefix="kvnode-check-") as mirror:
        try:
            for file in directory.iterdir():
                if file.name != _REWRITTEN:
                    Path(mirror, file.name).symlink_to(file.resolve())
            Path(mirror, _REWRITTEN).write_bytes((directory / _REWRITTEN).read_bytes())
            store = _ReadOnly(Path(mirror))
        except Exception as error:
            raise StorageError(f"can't open the store in {directory.parent}: {error}") from error
        try:
            yield store
        finally:
            store.close()
