"""A data directory that goes away beneath a running node: moved, deleted, or something else put in
its place. Nothing is acknowledged that nobody can find again."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from kvnode.cli.cluster import until
from kvnode.client.sync import Client
from kvnode.errors import CommitFailed, Unavailable
from kvnode.storage.backups import restore

GONE = "is not the one that this node opened"


@pytest.fixture
def node(make_node):
    """A node that has a key, a backup that has another one, and a client of it."""
    node = make_node("X")
    node.start()
    with Client(node.listen, timeout_s=10.0, wait_s=0) as node.asker:
        node.asker.put("precious", "v")
        node.asker.put("removed", "v")
        backup = Path(node.asker.backup("monday")["path"])
        node.backup = backup.rename(node.data.parent / "monday")
        node.asker.delete("removed")
        yield node


def moved(node):
    return node.data.rename(node.data.parent / "elsewhere")


def refused_write(node):
    with pytest.raises((CommitFailed, Unavailable)) as raised:
        node.asker.put("later", 1)
    return str(raised.value)


def storage_when_noticed(node):
    """What status says of the storage, once the node takes no writes."""

    def storage():
        told = node.asker.status()["storage"]
        return None if told["writable"] else told

    return until("the node takes no writes", storage)


def test_the_first_write_after_it_was_moved_is_not_acknowledged(node):
    moved(node)
    assert f"the data directory {node.data} {GONE}" in refused_write(node)
    assert not node.data.exists()


def test_an_idle_node_notices_and_says_why(node):
    moved(node)
    told = storage_when_noticed(node)
    assert f"the data directory {node.data} {GONE}" in told["last_error"]
    with pytest.raises(Unavailable, match=GONE):
        node.asker.ping()
    assert GONE in node.log.read_text()
    assert not node.data.exists(), "nothing is made in its place"


def test_reads_go_on_where_the_files_can_still_be_reached(node):
    moved(node)
    storage_when_noticed(node)
    assert node.asker.get("precious") == "v"


def test_a_directory_that_comes_back_is_written_to_again(node):
    elsewhere = moved(node)
    refused_write(node)
    elsewhere.rename(node.data)
    until("it takes writes", lambda: node.asker.status()["storage"]["writable"])
    node.asker.put("later", 2)
    assert node.asker.get("precious") == "v"
    assert node.stop(signal.SIGKILL) == -signal.SIGKILL
    node.start()
    with node.client() as client:
        assert client.get_many(["precious", "later"]) == ["v", 2]


def test_a_deleted_directory_ends_the_writes_and_is_not_made_anew(node):
    shutil.rmtree(node.data)
    refused_write(node)
    told = storage_when_noticed(node)
    assert GONE in told["last_error"]
    assert not node.data.exists()
    assert node.stop() == 0


def test_a_store_whose_files_were_deleted_ends_the_writes(node):
    for file in (node.data / "store").iterdir():
        file.unlink()
    refused_write(node)
    assert GONE in storage_when_noticed(node)["last_error"]


def test_a_store_that_was_moved_within_the_directory_can_be_moved_back(node):
    store = node.data / "store"
    gone = store.rename(node.data / "gone")
    refused_write(node)
    storage_when_noticed(node)
    assert not store.exists(), "or it would be moved into what is there"
    gone.rename(store)
    until("it takes writes", lambda: node.asker.status()["storage"]["writable"])
    node.asker.put("later", 2)
    assert node.asker.get("precious") == "v"


def test_an_end_without_the_directory_is_not_called_clean(node):
    moved(node)
    storage_when_noticed(node)
    assert node.stop() == 0
    last = node.log.read_text().splitlines()[-1]
    assert "X: closed without its disk (the data directory" in last and GONE in last


def test_an_empty_directory_in_its_place_stays_empty(node):
    """As the directory over which a volume was mounted, that is mounted no longer."""
    moved(node)
    node.data.mkdir()
    refused_write(node)
    storage_when_noticed(node)
    with pytest.raises(Unavailable):
        node.asker.backup("tuesday")
    assert list(node.data.iterdir()) == []


def test_another_store_in_its_place_is_neither_written_to_nor_shown(node):
    elsewhere = moved(node)
    restore(node.backup, node.data)
    files = {file: file.read_bytes() for file in node.data.rglob("*") if file.is_file()}
    refused_write(node)
    told = storage_when_noticed(node)
    assert GONE in told["last_error"]
    assert node.asker.get("removed") is None
    assert node.stop() == 0
    found = {file: file.read_bytes() for file in node.data.rglob("*") if file.is_file()}
    assert found == files
    node.start()
    with node.client() as client:
        assert client.get("removed") == "v", "a start takes what is there"
    assert elsewhere.exists()


def test_an_older_copy_that_was_put_into_the_same_directory_is_refused(node):
    copy = shutil.copytree(node.data / "store", node.data.parent / "copy")
    node.asker.put("newer", 1)
    store = node.data / "store"
    for file in store.iterdir():
        file.unlink()
    for file in copy.iterdir():
        shutil.copy(file, store)
    refused_write(node)
    assert GONE in storage_when_noticed(node)["last_error"]
