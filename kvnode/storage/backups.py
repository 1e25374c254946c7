"""Backups: what a data directory had at one moment, in a directory that can be carried away.

node.json     whose data this is, and the format of the store
backup.json   what it has: its vector and its digest, as the node knew them
store/        a store of its own; its table files are shared with the node's until either goes
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from kvnode.core.vector import Vector
from kvnode.errors import Refused, StorageError
from kvnode.storage.check import Checked, check
from kvnode.storage.directory import (
    BACKUPS,
    CONTENTS,
    LOCK,
    OWNER,
    PARTIAL,
    STORE,
    WrongDirectory,
    expect_outside,
    held,
    locked_directory,
    make_directory,
    owner_of,
    sync_directory,
    sync_file,
)

#: Each pins the table files that it shares, as much as the store had then: the disk should not
#: fill because somebody forgot a timer.
BACKUPS_MAX: Final = 100

#: What an empty directory may hold: what a restore left, and what file systems put there.
_NOTHING: Final = {LOCK, PARTIAL, "lost+found"}

_TABLE_FILE: Final = ".sst"


def expect_room(data: Path, name: str) -> None:
    """Raise Refused if there can be no backup of this name now."""
    backups = data / BACKUPS
    try:
        names = {path.name for path in backups.iterdir()} if backups.exists() else set()
    except OSError as error:
        raise StorageError(f"can't read {backups}: {error.strerror}") from error
    if name in names:
        raise Refused(f"there is a backup {name!r} already, in {backups}")
    if len(names - {PARTIAL}) >= BACKUPS_MAX:
        raise Refused(f"there are {BACKUPS_MAX} backups already in {backups}; move some elsewhere")


class Contents(NamedTuple):
    """What a backup must have."""

    #: In normal form.
    vector: Vector
    digest: int


def save(data: Path, name: str, checkpoint: Callable[[Path], None], contents: Contents) -> Path:
    """Make a backup, whole or not at all; where it is. `checkpoint` makes its store."""
    backups = data / BACKUPS
    partial = backups / PARTIAL
    try:
        if not backups.exists():  # without its parents: they are there, or the data is gone
            backups.mkdir()
            sync_directory(data)
        _remove(partial)
        partial.mkdir()
        checkpoint(partial / STORE)
        shutil.copyfile(data / OWNER, partial / OWNER)
        told = {"vector": dict(contents.vector), "digest": f"{contents.digest:032x}"}
        (partial / CONTENTS).write_text(json.dumps(told) + "\n")
        _sync(partial)
        partial.rename(backups / name)
        sync_directory(backups)
    except (OSError, StorageError) as error:
        with suppress(OSError):  # its links keep table files, on a disk that may be full
            _remove(partial)
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"can't make the backup {name!r}: {error.strerror}") from error
    return backups / name


def remove_partial(data: Path) -> None:
    """Forget a backup that did not come to its end: it would keep table files for ever."""
    try:
        _remove(data / BACKUPS / PARTIAL)
    except OSError as error:
        raise StorageError(f"can't remove a partial backup: {error.strerror}") from error


def size_bytes(backup: Path) -> int:
    """What a copy of it would take."""
    try:
        return sum(file.stat().st_size for file in (backup / STORE).iterdir())
    except OSError as error:
        raise StorageError(f"can't read {backup}: {error.strerror}") from error


def restore(backup: Path, data: Path) -> Checked:
    """Copy a backup into a new data directory, if the copy is sound: see its findings.

    Raises WrongDirectory, or StorageError; then there is no data directory either.
    """
    owner_of(backup)
    if not (backup / STORE).is_dir():
        raise WrongDirectory(f"{backup} is no backup: it has no {STORE}")
    if data.resolve().is_relative_to(backup.resolve()):
        raise WrongDirectory(f"{data} is in the backup itself")
    expect_outside(data)  # no node would start there
    partial = data / PARTIAL
    try:
        make_directory(data)
        if found := {path.name for path in data.iterdir()} - _NOTHING:
            raise WrongDirectory(f"{data} is not empty: it has {min(found)!r}")
        with held(backup), locked_directory(data):
            try:
                _remove(partial)
                _copy(backup, partial)
                checked = check(partial)
                if not checked.findings.problems_count:
                    _put_in_place(partial, data)
            finally:
                _remove(partial)
    except OSError as error:
        raise StorageError(f"can't restore into {data}: {error.strerror}") from error
    return replace(checked, directory=data)


def _copy(backup: Path, copy: Path) -> None:
    """Bytes of its own: a restored node must not change what the backup has."""
    (copy / STORE).mkdir(parents=True)
    for file in (backup / STORE).iterdir():
        if not file.is_file():
            raise WrongDirectory(f"{file} is none of a store's files")
        shutil.copyfile(file, copy / STORE / file.name)
        sync_file(copy / STORE / file.name)
    for name in (OWNER, CONTENTS):
        if (backup / name).exists():  # a data directory can be restored from, too
            shutil.copyfile(backup / name, copy / name)
    _sync(copy)


def _put_in_place(copy: Path, data: Path) -> None:
    """Its owner comes last: a store without one is not started from."""
    (copy / STORE).rename(data / STORE)
    sync_directory(data)
    (copy / OWNER).rename(data / OWNER)
    sync_directory(data)


def _sync(copy: Path) -> None:
    """Have it survive a power failure; table files are synced when they are made."""
    for file in (copy / STORE).iterdir():
        if file.suffix != _TABLE_FILE:
            sync_file(file)
    for file in copy.iterdir():
        if file.is_file():
            sync_file(file)
    sync_directory(copy / STORE)
    sync_directory(copy)


def _remove(partial: Path) -> None:
    if partial.exists():
        shutil.rmtree(partial)
