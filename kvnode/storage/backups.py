"""Backups: what a data directory had at one moment, in a directory that can be carried away.

node.json   whose data this is
store/      a store of its own; its table files are shared with the node's until either goes
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from kvnode.errors import Refused, StorageError
from kvnode.storage.check import Checked, check
from kvnode.storage.directory import (
    BACKUPS,
    LOCK,
    OWNER,
    STORE,
    WrongDirectory,
    held,
    locked_directory,
    make_directory,
    sync_directory,
    sync_file,
)

#: Each pins the table files that it shares, as much as the store had then: the disk should not
#: fill because somebody forgot a timer.
BACKUPS_MAX: Final = 100

#: What is not whole yet; no backup's name starts with a dot.
_PARTIAL: Final = ".partial"

#: What an empty directory may hold: what a restore left, and what file systems put there.
_NOTHING: Final = {LOCK, _PARTIAL, "lost+found"}

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
    if len(names - {_PARTIAL}) >= BACKUPS_MAX:
        raise Refused(f"there are {BACKUPS_MAX} backups already in {backups}; remove some")


def save(data: Path, name: str, checkpoint: Callable[[Path], None]) -> Path:
    """Make a backup, whole or not at all; where it is. `checkpoint` makes its store."""
    backups = data / BACKUPS
    partial = backups / _PARTIAL
    try:
        make_directory(backups)
        _remove(partial)
        partial.mkdir()
        checkpoint(partial / STORE)
        shutil.copyfile(data / OWNER, partial / OWNER)
        _sync(partial)
        partial.rename(backups / name)
        sync_directory(backups)
    except OSError as error:
        raise StorageError(f"can't make the backup {name!r}: {error.strerror}") from error
    return backups / name


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
    if not (backup / OWNER).is_file():
        raise WrongDirectory(f"{backup} is no backup: it has no {OWNER}")
    partial = data / _PARTIAL
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
        shutil.copyfile(file, copy / STORE / file.name)
        sync_file(copy / STORE / file.name)
    shutil.copyfile(backup / OWNER, copy / OWNER)
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
    sync_file(copy / OWNER)
    sync_directory(copy / STORE)
    sync_directory(copy)


def _remove(partial: Path) -> None:
    if partial.exists():
        shutil.rmtree(partial)
