"""The data directory: one node's, and one daemon's at a time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kvnode.errors import StorageError
from kvnode.storage.backups import Contents, save
from kvnode.storage.directory import DataDirectory, WrongDirectory, owner_of
from kvnode.storage.layout import STORE_FORMAT, STORE_FORMAT_READ_MIN


def opened(path: Path, name: str = "X", cluster: str = "c") -> DataDirectory:
    return DataDirectory(path, name=name, cluster=cluster)


def test_a_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    directory = opened(tmp_path / "a" / "b")
    assert directory.path.is_dir()
    assert directory.store.parent == directory.path
    directory.close()


def test_a_directory_in_use_is_refused_with_the_process_that_uses_it(tmp_path: Path) -> None:
    directory = opened(tmp_path)
    with pytest.raises(StorageError, match=f"in use by process {os.getpid()}"):
        opened(tmp_path)
    directory.close()
    opened(tmp_path).close()


@pytest.mark.parametrize("owner", [("Y", "c"), ("X", "other")])
def test_the_directory_of_another_node_is_refused(tmp_path: Path, owner: tuple[str, str]) -> None:
    opened(tmp_path).close()
    with pytest.raises(StorageError, match="belongs to"):
        opened(tmp_path, *owner)
    opened(tmp_path).close()


@pytest.mark.parametrize("damage", ["", "{", "\0\xff"])
def test_a_directory_whose_owner_cannot_be_read_is_refused(tmp_path: Path, damage: str) -> None:
    opened(tmp_path).close()
    (tmp_path / "node.json").write_bytes(damage.encode("latin-1"))
    with pytest.raises(StorageError, match=r"can't read .*node\.json") as raised:
        opened(tmp_path)
    assert ("it is empty; put that of a backup" in str(raised.value)) == (damage == "")
    assert f'{{"name": NAME, "cluster": CLUSTER, "format": {STORE_FORMAT}}}' in str(raised.value)


def test_what_is_advised_where_the_owner_is_lost_is_all_that_it_takes(tmp_path: Path) -> None:
    directory = opened(tmp_path)
    directory.open_store().close()
    directory.close()
    (tmp_path / "node.json").unlink()
    with pytest.raises(WrongDirectory, match=r"has a store, but no node\.json; put that") as raised:
        owner_of(tmp_path)
    advised = str(raised.value)[str(raised.value).index("{") : str(raised.value).index("}") + 1]
    written = advised.replace("NAME", '"X"').replace("CLUSTER", '"c"')
    (tmp_path / "node.json").write_text(written)
    directory = opened(tmp_path)
    directory.open_store().close()
    directory.close()


def test_it_tells_the_format_of_its_store_before_that_is_opened(tmp_path: Path) -> None:
    opened(tmp_path).close()
    owner = json.loads((tmp_path / "node.json").read_text())
    assert owner == {"name": "X", "cluster": "c", "format": STORE_FORMAT}


@pytest.mark.parametrize("other", [STORE_FORMAT_READ_MIN - 1, STORE_FORMAT + 1, "4", True, None])
def test_a_store_of_another_format_is_refused(tmp_path: Path, other: object) -> None:
    opened(tmp_path).close()
    owner = {"name": "X", "cluster": "c", "format": other}
    (tmp_path / "node.json").write_text(json.dumps(owner))
    with pytest.raises(StorageError, match=f"has format {other}; this version of kvnode reads"):
        opened(tmp_path)


def test_a_store_of_an_older_format_that_is_read_has_the_latest_once_it_is_open(
    tmp_path: Path,
) -> None:
    """Before anything is written into it: the older version must not read that."""
    owner = {"name": "X", "cluster": "c", "format": STORE_FORMAT_READ_MIN, "has_store": True}
    directory = opened(tmp_path)
    directory.open_store().close()
    directory.close()
    (tmp_path / "node.json").write_text(json.dumps(owner))
    directory = opened(tmp_path)
    assert json.loads((tmp_path / "node.json").read_text()) == owner
    directory.open_store().close()
    assert json.loads((tmp_path / "node.json").read_text()) == owner | {"format": STORE_FORMAT}
    directory.close()


def test_a_store_whose_format_is_not_told_has_the_one_that_was_not_told(tmp_path: Path) -> None:
    (tmp_path / "node.json").write_text('{"name": "X", "cluster": "c"}')
    with pytest.raises(
        StorageError, match="has format 3; this version of kvnode reads formats 4 to 5"
    ):
        opened(tmp_path)


def test_a_store_without_an_owner_is_refused(tmp_path: Path) -> None:
    """A restore that did not come to its end leaves such."""
    opened(tmp_path).close()
    (tmp_path / "node.json").unlink()
    with pytest.raises(StorageError, match=r"has a store, but no node\.json") as raised:
        opened(tmp_path)
    assert "may be the only copy of its data, so keep it" in str(raised.value)
    (tmp_path / "store").rmdir()
    opened(tmp_path).close()


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="can't use the data directory"):
        opened(tmp_path / "file")


def test_no_partial_file_is_left(tmp_path: Path) -> None:
    opened(tmp_path).close()
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "node.json", "store"}


# --- the store in it


def test_a_store_is_made_once(tmp_path: Path) -> None:
    """A start that finds none where there was one must not begin with nothing."""
    directory = opened(tmp_path / "X")
    directory.open_store().close()
    directory.close()
    shutil.rmtree(tmp_path / "X" / "store")
    directory = opened(tmp_path / "X")
    with pytest.raises(StorageError, match=r"X/store is empty. Mount it, or put back"):
        directory.open_store()
    directory.close()


def test_what_is_in_the_place_of_a_store_and_is_none_is_left_as_it_is(tmp_path: Path) -> None:
    """As the root of a file system that was just made."""
    directory = opened(tmp_path / "X")
    directory.open_store().close()
    directory.close()
    store = tmp_path / "X" / "store"
    shutil.rmtree(store)
    (store / "lost+found").mkdir(parents=True)
    directory = opened(tmp_path / "X")
    with pytest.raises(StorageError, match=r"X/store has no CURRENT, which is in every store"):
        directory.open_store()
    assert [path.name for path in store.iterdir()] == ["lost+found"]
    directory.close()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_store_that_was_moved_away_can_be_moved_back(tmp_path: Path, read_only: bool) -> None:
    """Where anything were made in its place meanwhile, `mv` would put it in there."""
    directory = opened(tmp_path)
    directory.open_store().close()
    directory.store.rename(tmp_path / "gone")
    with pytest.raises(StorageError, match="not the one that this node opened"):
        directory.open_store(read_only=read_only)
    assert not directory.store.exists()
    (tmp_path / "gone").rename(directory.store)
    directory.open_store(read_only=read_only).close()
    directory.close()


def test_another_store_is_not_opened_for_reading_either(tmp_path: Path) -> None:
    directory, other = opened(tmp_path / "X"), opened(tmp_path / "Y")
    directory.open_store().close()
    other.open_store().close()
    directory.store.rename(tmp_path / "gone")
    other.store.rename(directory.store)
    before = {path.name: path.read_bytes() for path in directory.store.iterdir()}
    with pytest.raises(StorageError, match="not the one that this node opened"):
        directory.open_store(read_only=True)
    assert {path.name: path.read_bytes() for path in directory.store.iterdir()} == before
    directory.close()
    other.close()


def test_a_start_that_was_killed_before_it_made_its_store_makes_it(tmp_path: Path) -> None:
    opened(tmp_path).close()
    directory = opened(tmp_path)
    directory.open_store().close()
    directory.close()


def test_a_store_is_not_opened_again_for_writing_where_it_is_not(tmp_path: Path) -> None:
    directory = opened(tmp_path / "X")
    directory.open_store().close()
    (tmp_path / "X").rename(tmp_path / "elsewhere")
    opened(tmp_path / "X").open_store().close()
    with pytest.raises(StorageError, match="not the one that this node opened"):
        directory.open_store()
    directory.open_store(read_only=True).close()
    directory.close()


def test_what_rocksdb_says_names_the_files_as_people_know_them(tmp_path: Path) -> None:
    directory = opened(tmp_path / "X")
    directory.open_store().close()
    for manifest in (tmp_path / "X" / "store").glob("MANIFEST-*"):
        manifest.unlink()
    with pytest.raises(StorageError, match=f"{tmp_path}/X/store/MANIFEST-") as raised:
        directory.open_store()
    assert "/proc/" not in str(raised.value)
    directory.close()


# --- what is no node's own directory


def held_in(path: Path) -> dict[str, bytes]:
    """Every file in a directory, and what it holds."""
    return {str(file): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_backup_is_no_data_directory_and_nothing_is_made_in_it(tmp_path: Path) -> None:
    directory = opened(tmp_path / "X")
    store = directory.open_store()
    backup = save(tmp_path / "X", "monday", store.checkpoint, Contents({}, 0))
    store.close()
    directory.close()
    backup = backup.rename(tmp_path / "monday")
    held = held_in(backup)
    with pytest.raises(StorageError, match=r"is a backup, .* kvnode restore .*/monday --data DIR"):
        opened(backup)
    assert held_in(backup) == held


@pytest.mark.parametrize("inside", ["store", "backups", "backups/monday/store", "other"])
def test_nothing_amid_the_data_of_a_node_is_a_data_directory(tmp_path: Path, inside: str) -> None:
    opened(tmp_path / "X").close()
    with pytest.raises(StorageError, match=r"is in the data directory .*/X of another node"):
        opened(tmp_path / "X" / inside, "Y")
    assert not (tmp_path / "X" / "other").exists()


def test_a_directory_above_that_can_not_be_looked_into_is_no_hindrance(tmp_path: Path) -> None:
    """As that of a service which systemd gives a user of its own."""
    path = tmp_path / "shut" / "X"
    path.mkdir(parents=True)
    command = [sys.executable, "-c", _START_WITHOUT_PRIVILEGES, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


#: Root could look everywhere. Who has a directory open already can start in it all the same.
_START_WITHOUT_PRIVILEGES = """
import os, sys
from pathlib import Path
from kvnode.storage.directory import DataDirectory, WrongDirectory, owner_of
os.chdir(sys.argv[1])
os.chmod("..", 0)
if os.geteuid() == 0:
    os.chown(".", 65534, 65534)
    os.setuid(65534)
DataDirectory(Path("."), name="X", cluster="c").close()
"""
