"""Backups: whole or not at all, sound, and restored as they were made."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from kvnode.core.succession import Cut
from kvnode.errors import Refused, StorageError
from kvnode.storage import backups, layout
from kvnode.storage.backups import (
    BACKUPS_MAX,
    Contents,
    expect_room,
    remove_partial,
    restore,
    save,
    size_bytes,
)
from kvnode.storage.check import check
from kvnode.storage.directory import DataDirectory, InUse, WrongDirectory
from kvnode.storage.rocks import RocksStore
from kvnode.storage.soundness import Findings
from tests.storage.commits import X, batch, commit, version
from tests.storage.sound import families_of


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def contents_of(store: RocksStore) -> Contents:
    """What a node that runs on it would say that it has."""
    found = store.load()
    ends = {origin: state.ends for origin, state in found.origins.items()}
    cut = Cut.restored({origin: state.delivered for origin, state in found.origins.items()}, ends)
    return Contents(cut.heads, found.digest)


def saved(directory: Path, name: str = "monday") -> Path:
    """A backup of a data directory that no daemon uses."""
    store = RocksStore(directory / "store")
    try:
        return save(directory, name, store.checkpoint, contents_of(store))
    finally:
        store.close()


def findings(directory: Path) -> Findings:
    return check(directory).findings


# --- making one


def test_a_backup_has_what_the_directory_has(directory: Path) -> None:
    before = findings(directory)
    path = saved(directory)
    assert path == directory / "backups" / "monday"
    assert names(path) == {"node.json", "backup.json", "store"}
    assert findings(path) == before and before.problems == []
    assert size_bytes(path) == sum(file.stat().st_size for file in (path / "store").iterdir())


def test_a_backup_stays_as_it_was_made(directory: Path) -> None:
    before = findings(directory)
    store = RocksStore(directory / "store")
    path = save(directory, "monday", store.checkpoint, contents_of(store))
    log = store.log_head(99, 1 << 20)
    store.drop_log(log, {each.origin: each.last for each in log})
    store.commit(commit(batch(X, 1), table={b"a": (version(X, 1),)}), sync=True)
    store.close()
    assert findings(path) == before != findings(directory)


def test_a_flush_beforehand_comes_to_its_end(directory: Path) -> None:
    store = RocksStore(directory / "store")
    store.commit(commit(batch(X, 1, value=bytes(1 << 22))), sync=True)
    store.begin_flush()
    while not store.is_flushed:
        pass
    store.close()


def test_names_are_taken_once(directory: Path) -> None:
    expect_room(directory, "monday")
    saved(directory)
    with pytest.raises(Refused, match=r"there is a backup 'monday' already, in .*/backups"):
        expect_room(directory, "monday")
    expect_room(directory, "tuesday")


def test_there_may_be_so_many_and_no_more(directory: Path) -> None:
    for at in range(BACKUPS_MAX):
        expect_room(directory, f"b{at}")
        (directory / "backups" / f"b{at}").mkdir(parents=True)
    (directory / "backups" / ".partial").mkdir()
    with pytest.raises(Refused, match=f"there are {BACKUPS_MAX} backups already .*; move some"):
        expect_room(directory, "one more")
    shutil.rmtree(directory / "backups" / "b0")
    expect_room(directory, "one more")


@pytest.mark.parametrize("fails", ["checkpoint", "_sync"])
def test_a_backup_that_fails_is_not_there_nor_is_what_was_made_of_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def failing(path: Path) -> None:
        path.mkdir(exist_ok=True)
        (path / "half").write_text("half")
        raise OSError(28, "no space left")

    with monkeypatch.context() as patch, pytest.raises(StorageError, match="no space left"):
        if fails == "_sync":
            patch.setattr(backups, "_sync", failing)
            saved(directory)
        else:
            save(directory, "monday", failing, Contents({}, 0))
    assert names(directory / "backups") == set()
    path = saved(directory)
    assert names(directory / "backups") == {"monday"} and names(path) == {
        "node.json",
        "backup.json",
        "store",
    }


def test_a_store_that_fails_makes_no_backup(directory: Path) -> None:
    store = RocksStore(directory / "store")
    store.close()
    with pytest.raises(StorageError, match="can't make a checkpoint"):
        save(directory, "monday", store.checkpoint, Contents({}, 0))
    with pytest.raises(StorageError, match="can't flush"):
        store.begin_flush()


# --- restoring it


def test_a_restored_directory_has_what_the_backup_has_and_files_of_its_own(
    directory: Path, tmp_path: Path
) -> None:
    backup = saved(directory).rename(tmp_path / "elsewhere")
    data = tmp_path / "a" / "b"
    checked = restore(backup, data)
    assert (checked.directory, checked.name, checked.cluster) == (data, "X", "c")
    assert checked.findings == findings(backup) == findings(data)
    assert names(data) == {"lock", "node.json", "store"}
    for file in (data / "store").iterdir():
        assert file.stat().st_nlink == 1
    DataDirectory(data, name="X", cluster="c").close()
    RocksStore(data / "store").close()
    assert findings(backup).problems == []


def test_another_node_does_not_start_on_it(directory: Path, tmp_path: Path) -> None:
    restore(saved(directory), tmp_path / "data")
    with pytest.raises(StorageError, match="belongs to"):
        DataDirectory(tmp_path / "data", name="Y", cluster="c")


def test_the_data_directory_of_a_stopped_node_can_be_restored_too(
    directory: Path, tmp_path: Path
) -> None:
    used = DataDirectory(directory, name="X", cluster="c")
    with pytest.raises(InUse):
        restore(directory, tmp_path / "data")
    used.close()
    assert restore(directory, tmp_path / "data").findings == findings(directory)


@pytest.mark.parametrize("inside", ["node.json", "store", "anything"])
def test_a_directory_that_is_not_empty_is_refused(
    directory: Path, tmp_path: Path, inside: str
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / inside).touch()
    with pytest.raises(WrongDirectory, match=f"data is not empty: it has '{inside}'"):
        restore(saved(directory), tmp_path / "data")
    assert names(tmp_path / "data") == {inside}


@pytest.mark.parametrize("inside", ["lock", ".partial", "lost+found"])
def test_what_an_empty_directory_may_have_is_no_hindrance(
    directory: Path, tmp_path: Path, inside: str
) -> None:
    if inside == "lock":
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "lock").touch()
    else:
        (tmp_path / "data" / inside / "store").mkdir(parents=True)
    assert restore(saved(directory), tmp_path / "data").findings.problems == []
    assert ".partial" not in names(tmp_path / "data")


def test_a_directory_that_another_process_uses_is_refused(directory: Path, tmp_path: Path) -> None:
    used = DataDirectory(tmp_path / "data", name="X", cluster="c")
    for name in ("node.json", "store"):
        path = tmp_path / "data" / name
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(InUse, match=f"in use by process {os.getpid()}"):
        restore(saved(directory), tmp_path / "data")
    used.close()


@pytest.mark.parametrize("name", ["nowhere", "X/store"])
def test_what_is_no_backup_is_refused(directory: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(WrongDirectory, match=r"nor a backup: it has no node\.json"):
        restore(tmp_path / name, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_damaged_backup_is_not_put_in_place(directory: Path, tmp_path: Path) -> None:
    backup = saved(directory)
    with families_of(backup) as families:
        del families["table0"][b"c"]
    checked = restore(backup, tmp_path / "data")
    assert checked.findings.problems_count == 1
    assert names(tmp_path / "data") == {"lock"}


@pytest.mark.parametrize("fails", ["_copy", "_put_in_place", "_sync"])
def test_a_restore_that_fails_leaves_no_data_directory(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    backup = saved(directory)

    def failing(*_: Path) -> None:
        raise OSError(28, "no space left")

    with monkeypatch.context() as patch, pytest.raises(StorageError, match="no space left"):
        patch.setattr(backups, fails, failing)
        restore(backup, tmp_path / "data")
    assert names(tmp_path / "data") == {"lock"}
    assert restore(backup, tmp_path / "data").findings.problems == []


def test_a_restore_that_is_killed_half_way_leaves_nothing_that_starts(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two renames the store is there, and not yet whose it is."""
    backup = saved(directory)

    class Killed(BaseException):
        pass

    def killed(path: Path) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(backups, "sync_directory", killed)
        patch.setattr(backups, "_sync", lambda path: None)
        patch.setattr(backups, "_remove", lambda path: None)
        restore(backup, tmp_path / "data")
    assert names(tmp_path / "data") == {"lock", "store", ".partial"}
    with pytest.raises(StorageError, match=r"has a store, but no node\.json"):
        DataDirectory(tmp_path / "data", name="X", cluster="c")
    with pytest.raises(WrongDirectory, match="is not empty"):
        restore(backup, tmp_path / "data")


# --- what a copy lost


def test_a_backup_whose_store_opens_with_less_than_it_was_made_of_is_damaged(
    directory: Path, tmp_path: Path
) -> None:
    """A short MANIFEST, as an interrupted copy leaves it, opens as an older store or an empty one,
    and nothing is wrong with that one itself."""
    backup = saved(directory).rename(tmp_path / "monday")
    (manifest,) = (backup / "store").glob("MANIFEST-*")
    whole, truth = manifest.read_bytes(), findings(backup)
    damaged = 0
    for length in range(0, len(whole), 40):
        manifest.write_bytes(whole[:length])
        found = findings(backup)
        assert found.problems or found == truth, length
        if found.problems:
            damaged += 1
            assert restore(backup, tmp_path / "new").findings.problems
            assert names(tmp_path / "new") <= {"lock"}
    assert damaged > 5


@pytest.mark.parametrize("contents", ["", "{}", '{"vector": {}, "digest": "00"}', "[]"])
def test_a_backup_that_does_not_tell_what_it_has_is_damaged(
    directory: Path, tmp_path: Path, contents: str
) -> None:
    backup = saved(directory).rename(tmp_path / "monday")
    (backup / "backup.json").write_text(contents)
    assert findings(backup).problems


def test_a_restore_that_was_killed_leaves_no_directory_to_start_from(tmp_path: Path) -> None:
    (tmp_path / ".partial" / "store").mkdir(parents=True)
    with pytest.raises(
        StorageError, match=r"a restore .* did not come to its end: restore it again"
    ):
        DataDirectory(tmp_path, name="X", cluster="c")


def test_a_backup_that_was_killed_is_forgotten_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "backups" / ".partial" / "store").mkdir(parents=True)
    (tmp_path / "backups" / "monday").mkdir()
    remove_partial(tmp_path)
    assert names(tmp_path / "backups") == {"monday"}
    remove_partial(tmp_path / "backups")


def test_what_is_no_backup_is_told_before_anything_is_copied(
    directory: Path, tmp_path: Path
) -> None:
    backup = saved(directory).rename(tmp_path / "monday")
    with pytest.raises(WrongDirectory, match="in the backup itself"):
        restore(backup, backup / "in")
    DataDirectory(tmp_path / "other", name="Z", cluster="c").close()
    with pytest.raises(WrongDirectory, match=r"is in the data directory .*other of another node"):
        restore(backup, tmp_path / "other" / "backups" / "in")
    assert not (tmp_path / "other" / "backups").exists(), "where no node would start"
    (backup / "store" / "odd").mkdir()
    with pytest.raises(WrongDirectory, match="odd is none of a store's files"):
        restore(backup, tmp_path / "new")
    (backup / "store").rename(tmp_path / "gone")
    with pytest.raises(WrongDirectory, match=r"monday is no backup: it has no store"):
        restore(backup, tmp_path / "new")
    nameless = json.dumps({"name": 1, "format": layout.STORE_FORMAT})
    for owner, told in (
        (
            nameless,
            "does not tell a name and a cluster",
        ),
        ("[]", "does not tell a name and a cluster"),
        ("?", "can't read"),
    ):
        (backup / "node.json").write_text(owner)
        with pytest.raises(StorageError, match=f"{told}") as raised:
            restore(backup, tmp_path / "new")
        assert str(backup / "node.json") in str(raised.value)


def test_a_backup_of_another_format_is_told_before_anything_is_copied(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = saved(directory)
    monkeypatch.setattr(layout, "STORE_FORMAT", layout.STORE_FORMAT + 1)
    monkeypatch.setattr(layout, "STORE_FORMAT_READ_MIN", layout.STORE_FORMAT)
    for read in (check, lambda it: restore(it, tmp_path / "new")):
        with pytest.raises(StorageError, match="start the version that wrote it"):
            read(backup)
    assert not (tmp_path / "new").exists()
