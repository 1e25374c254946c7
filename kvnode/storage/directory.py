"""The data directory: one node's, and one daemon's at a time."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from kvnode.errors import StorageError


class DataDirectory:
    """A locked data directory.

    lock        held by the daemon that uses it, with its process id
    node.json   whose data this is
    store/      the store
    """

    def __init__(self, path: Path, *, name: str, cluster: str) -> None:
        self.path = path
        try:
            _make(path)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StorageError(f"can't use the data directory {path}: {error.strerror}") from error
        try:
            self._acquire()
            self._check_owner({"name": name, "cluster": cluster})
            _make(self.store)
        except OSError as error:
            os.close(self._lock)
            raise StorageError(f"can't use the data directory {path}: {error.strerror}") from error
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def store(self) -> Path:
        """Where the store is."""
        return self.path / "store"

    def close(self) -> None:
        """Let another daemon use it."""
        os.close(self._lock)

    def _acquire(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip() or "unknown"
            raise StorageError(
                f"the data directory {self.path} is in use by process {holder}"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _check_owner(self, owner: dict[str, str]) -> None:
        """Names are in every write's origin: another node must not go on under this one."""
        file = self.path / "node.json"
        try:
            found = json.loads(file.read_text())
        except FileNotFoundError:
            _write_durably(file, json.dumps(owner) + "\n")
            return
        except (OSError, ValueError) as error:
            raise StorageError(f"can't read {file}: {error}") from error
        if found != owner:
            raise StorageError(
                f"the data directory {self.path} belongs to {found}, not to {owner}; "
                f"start with that name and cluster, or with another directory"
            )


def _make(path: Path) -> None:
    """Make a directory, and have it there after a power failure too."""
    made = [directory for directory in (path, *path.parents) if not directory.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for directory in made:
        _sync(directory.parent)


def _sync(directory: Path) -> None:
    """Have the entries of a directory survive a power failure."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_durably(file: Path, text: str) -> None:
    """Write it whole or not at all, also when the power fails in between."""
    partial = file.with_suffix(".partial")
    try:
        with partial.open("w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
        _sync(file.parent)
    except OSError as error:
        raise StorageError(f"can't write {file}: {error.strerror}") from error
