"""The data directory: one node's, and one daemon's at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from kvnode.errors import StorageError
from kvnode.storage import layout
from kvnode.storage.rocks import RocksStore
from kvnode.storage.tuning import CACHE_BYTES

#: What a data directory holds, beside the backups that were made of it.
LOCK: Final = "lock"
OWNER: Final = "node.json"
STORE: Final = "store"
BACKUPS: Final = "backups"
#: Of RocksDB: written when a store is made, and never again.
_IDENTITY: Final = "IDENTITY"
#: Of RocksDB too: names what the store is made of.
_CURRENT: Final = "CURRENT"
#: In node.json: what the store may hold.
_FORMAT: Final = "format"
#: In node.json, once the store was made. A start that finds none then does not make another.
_HAS_STORE: Final = "has_store"
#: What is being made and not whole yet; no backup's name starts with a dot.
PARTIAL: Final = ".partial"
#: Of a store whose node.json does not tell it: it was made before that was told.
_FORMAT_UNTOLD: Final = 3
#: In a backup: what it must have.
CONTENTS: Final = "backup.json"


#: What to do where node.json is lost, which tells whose data this is.
_NEEDED: Final = (
    "put that of a backup of this node in its place, or write it: "
    f'{{"name": NAME, "cluster": CLUSTER, "format": {layout.STORE_FORMAT}}}, with the name and the '
    "cluster that the node had"
)


class WrongDirectory(StorageError):
    """A directory that was given is not what is needed there."""


class InUse(StorageError):
    """Another process holds the lock of the data directory."""


class DataDirectory:
    """A locked data directory.

    lock        held by the process that uses it, with its id
    node.json   whose data this is, the format of the store, and whether that was made
    store/      the store
    backups/    copies of these, made by `kvnode backup`
    """

    def __init__(self, path: Path, *, name: str, cluster: str) -> None:
        self.path = path
        with ExitStack() as opened:
            try:
                self._expect_no_copy()
                make_directory(path)
                self._lock = locked(path)
                opened.callback(os.close, self._lock)
                self._opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                opened.callback(os.close, self._opened)
                self._owner = self._checked_owner(name, cluster)
                make_directory(self.store)
            except OSError as error:
                message = f"can't use the data directory {path}: {error.strerror}"
                raise StorageError(message) from error
            self._files = opened.pop_all()
        #: The file that tells the open store from any other. It stays open, so that no other file
        #: can have its number.
        self._identity: os.stat_result | None = None

    @property
    def store(self) -> Path:
        """Where the store is."""
        return self.path / STORE

    def open_store(
        self,
        *,
        read_only: bool = False,
        first_position: int = 0,
        cache_bytes: int = CACHE_BYTES,
    ) -> RocksStore:
        """Open the store. Once it was made, it is never made anew; and what was opened before is
        opened for writing again only where it was, and for reading only in the directory that is
        still open, wherever that went. Raises StorageError.

        All that is looked at before anything is opened, since rocksdict makes a directory and a
        file of its own wherever it opens anything, for reading too."""
        if read_only:
            self._expect_at(self._anchored_store())
        else:
            self.expect_in_place()
        store = RocksStore(
            self._anchored_store(),
            read_only=read_only,
            first_position=first_position,
            create=self._may_create(),
            expect_in_place=self.expect_in_place,
            cache_bytes=cache_bytes,
        )
        try:
            self._remember_store()
        except BaseException:
            store.close()
            raise
        return store

    def expect_in_place(self) -> None:
        """Raise StorageError unless the path still leads to the store that was opened.

        One `stat` is enough: it follows the whole path, and no other file has this number.
        """
        self._expect_at(self.store)

    def _expect_at(self, store: Path) -> None:
        if self._identity is None:
            return
        try:
            is_there = os.path.samestat((store / _IDENTITY).stat(), self._identity)
        except OSError:
            is_there = False
        if not is_there:
            raise StorageError(
                f"the data directory {self.path} is not the one that this node opened: that was "
                f"moved, unmounted, deleted or replaced. Put it back, and the node writes again; "
                f"to go on with what is there now, start the node again"
            )

    def close(self) -> None:
        """Let another daemon use it."""
        self._files.close()

    def _anchored_store(self) -> Path:
        """The store by the open directory, not by its path. RocksDB creates, overwrites and removes
        files by their paths, also in the background: it must not do so in what somebody has put
        in the place of the directory."""
        anchor = Path(f"/proc/self/fd/{self._opened}")
        return (anchor if anchor.exists() else self.path) / STORE

    def _may_create(self) -> bool:
        if not self._owner.get(_HAS_STORE):
            return True
        if self._identity is None and not (self.store / _CURRENT).exists():
            is_empty = not any(self.store.iterdir())
            what = "is empty" if is_empty else f"has no {_CURRENT}, which is in every store"
            raise StorageError(
                f"the store of this node is gone: {self.store} {what}. Mount it, or put back what "
                f"was there, or restore a backup; to begin with nothing, move {self.path} away"
            )
        return False

    def _remember_store(self) -> None:
        """From now on the store is this one."""
        if self._identity is not None:
            return
        try:
            identity = os.open(self._anchored_store() / _IDENTITY, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise StorageError(f"can't read {self.store / _IDENTITY}: {error.strerror}") from error
        self._files.callback(os.close, identity)
        self._identity = os.fstat(identity)
        now = self._owner | {_HAS_STORE: True, _FORMAT: layout.STORE_FORMAT}
        if now != self._owner:  # made, or of an older version, which may not read what comes now
            self._write_owner(now)

    def _write_owner(self, owner: dict[str, Any]) -> None:
        _write_durably(self.path / OWNER, json.dumps(owner) + "\n")
        self._owner = owner

    def _expect_no_copy(self) -> None:
        """Raise StorageError before anything is made in a backup, or amid another node's data."""
        if (self.path / CONTENTS).exists():
            raise StorageError(
                f"{self.path} is a backup, and a node that starts on it would change it: make a "
                f"data directory of it with kvnode restore {self.path} --data DIR"
            )
        expect_outside(self.path)

    def _checked_owner(self, name: str, cluster: str) -> dict[str, Any]:
        """Names are in every write's origin: another node must not go on under this one."""
        try:
            found = owner_of(self.path)
        except WrongDirectory:
            if self.store.exists():
                raise StorageError(
                    f"the data directory {self.path} has a store, but no {OWNER} that tells whose "
                    f"it is. A restore that was interrupted leaves this: then restore into another "
                    f"directory. If {OWNER} was lost, put it back, from a backup of this node; "
                    f"this directory may be the only copy of its data, so keep it"
                ) from None
            if (self.path / PARTIAL).exists():
                raise StorageError(
                    f"a restore into the data directory {self.path} did not come to its end: "
                    f"restore it again"
                ) from None
            owner = {"name": name, "cluster": cluster, _FORMAT: layout.STORE_FORMAT}
            _write_durably(self.path / OWNER, json.dumps(owner) + "\n")
            return owner
        if found != (name, cluster):
            raise StorageError(
                f"the data directory {self.path} belongs to {found[0]!r} of cluster {found[1]!r}, "
                f"not to {name!r} of cluster {cluster!r}; "
                f"start with that name and cluster, or with another directory"
            )
        return _owner_in(self.path)


def expect_outside(path: Path) -> None:
    """Raise WrongDirectory for what lies within a data directory or a backup: it would go where
    that goes."""
    for parent in Path(os.path.realpath(path)).parents:
        with suppress(PermissionError):  # what this user may not look into is not its own
            if (parent / OWNER).exists():
                raise WrongDirectory(
                    f"{path} is in the data directory {parent} of another node; "
                    f"give another one with --data"
                )


def owner_of(directory: Path) -> tuple[str, str]:
    """The name and the cluster of the node whose data a directory or backup has, if it is of the
    format that this version reads. Raises WrongDirectory, or StorageError."""
    owner = _owner_in(directory)
    layout.expect_format(owner.get(_FORMAT, _FORMAT_UNTOLD))
    try:
        return str(owner["name"]), str(owner["cluster"])
    except KeyError:
        file = directory / OWNER
        raise StorageError(f"{file} does not tell a name and a cluster; {_NEEDED}") from None


def _owner_in(directory: Path) -> dict[str, Any]:
    """What node.json says."""
    file = directory / OWNER
    try:
        owner = json.loads(file.read_text())
    except (FileNotFoundError, NotADirectoryError):
        message = f"{directory} is neither a data directory nor a backup: it has no {OWNER}"
        if (directory / STORE).is_dir():
            message = f"{directory} has a store, but no {OWNER}; {_NEEDED}"
        raise WrongDirectory(message) from None
    except OSError as error:
        raise StorageError(f"can't read {file}: {error.strerror}") from error
    except ValueError as error:
        why = str(error) if file.stat().st_size else "it is empty"
        raise StorageError(f"can't read {file}: {why}; {_NEEDED}") from None
    if not isinstance(owner, dict):
        raise StorageError(f"{file} does not tell a name and a cluster; {_NEEDED}")
    return owner


def locked(path: Path) -> int:
    """Lock a data directory: a descriptor that holds the lock until it is closed."""
    lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise InUse(f"the data directory {path} is in use by process {holder}") from None
    except OSError:
        os.close(lock)
        raise
    return lock


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep daemons away meanwhile, if it is a data directory: a backup has no lock."""
    if (path / LOCK).exists():
        with locked_directory(path):
            yield
    else:
        yield


@contextmanager
def locked_directory(path: Path) -> Iterator[None]:
    """Keep daemons away meanwhile."""
    try:
        lock = locked(path)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise StorageError(f"can't lock {path}: {error.strerror}") from error
        yield  # a disk that nobody can write to needs no lock
        return
    try:
        yield
    finally:
        os.close(lock)


def make_directory(path: Path) -> None:
    """Make a directory, and have it there after a power failure too."""
    made = [directory for directory in (path, *path.parents) if not directory.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for directory in made:
        sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Have the entries of a directory survive a power failure."""
    sync_file(directory)


def sync_file(file: Path) -> None:
    """Have what a file holds survive a power failure."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
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
        sync_directory(file.parent)
    except OSError as error:
        raise StorageError(f"can't write {file}: {error.strerror}") from error
