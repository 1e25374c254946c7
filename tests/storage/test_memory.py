"""The memory disk loses exactly what was not synced, and fails when it is told to."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.messages import Saved
from kvnode.errors import StorageError
from kvnode.storage.memory import MemoryDisk, MemoryStore
from tests.storage.commits import X, batch, commit, version

MIB = 1 << 20


class Machine:
    """A memory disk, and writes that are numbered."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.store = MemoryStore(self.disk)
        self.written = 0

    def write(self, *, sync: bool) -> None:
        """A commit that changes something in every family; each third one deletes a key."""
        seq = self.written + 1
        versions = (version(X, seq),) if seq % 3 else ()
        table = {b"a": versions, b"%d" % seq: (version(X, seq),)}
        self.store.commit(commit(batch(X, seq), table=table, digest=seq), sync=sync)
        self.written = seq

    def crash(self) -> None:
        """The power fails and comes back."""
        self.disk.crash()
        self.reopen()

    def reopen(self) -> None:
        """Another process opens the disk."""
        self.store = MemoryStore(self.disk)
        self.written = len(self.store.since({X: 1}, MIB))


def test_a_crash_loses_what_was_not_synced() -> None:
    machine = Machine()
    machine.write(sync=True)
    machine.write(sync=False)
    machine.crash()
    assert machine.store.versions(b"1") == machine.store.versions(b"a") == (version(X, 1),)
    assert machine.store.versions(b"2") == ()
    assert machine.store.since({X: 1}, MIB) == [batch(X, 1).encoded]
    assert machine.store.load().digest == 1


def test_a_deleted_key_comes_back_if_the_delete_was_not_synced() -> None:
    machine = Machine()
    machine.write(sync=True)
    machine.write(sync=True)
    machine.write(sync=False)
    assert machine.store.versions(b"a") == ()
    machine.crash()
    assert machine.store.versions(b"a") == (version(X, 2),)


def test_a_crash_before_anything_was_synced_leaves_a_fresh_disk() -> None:
    machine = Machine()
    machine.write(sync=False)
    machine.write(sync=False)
    machine.crash()
    assert machine.store.load() == Saved({}, 0, 0)
    assert machine.disk.families == Machine().disk.families


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_crash_may_keep_some_of_the_first_that_were_not_synced(kept: int) -> None:
    machine = Machine()
    machine.write(sync=True)
    machine.write(sync=False)
    machine.write(sync=False)
    assert machine.disk.unsynced == 2
    machine.disk.crash(kept=kept)
    machine.disk.crash()
    store = MemoryStore(machine.disk)
    assert len(store.since({X: 1}, MIB)) == 1 + kept


def test_a_synced_commit_saves_the_ones_before_it() -> None:
    machine = Machine()
    machine.write(sync=False)
    machine.write(sync=True)
    machine.crash()
    assert machine.written == 2


def test_sync_saves_all_commits_before_it() -> None:
    machine = Machine()
    machine.write(sync=False)
    machine.write(sync=False)
    machine.store.sync()
    machine.write(sync=False)
    machine.crash()
    assert machine.written == 2


def test_a_process_that_ends_without_a_crash_loses_nothing() -> None:
    machine = Machine()
    machine.write(sync=False)
    machine.store.close()
    assert MemoryStore(machine.disk).since({X: 1}, MIB) == [batch(X, 1).encoded]


@given(st.lists(st.sampled_from(["write", "synced write", "sync", "crash"]), max_size=30))
def test_any_crash_goes_back_to_the_last_sync_byte_for_byte(steps: list[str]) -> None:
    machine = Machine()
    synced = copy.deepcopy(machine.disk.families)
    for step in steps:
        if step == "crash":
            machine.crash()
            assert machine.disk.families == synced
        elif step == "sync":
            machine.store.sync()
        else:
            machine.write(sync=step == "synced write")
        if step in ("sync", "synced write"):
            synced = copy.deepcopy(machine.disk.families)


# --- failures


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "lost"])
def test_a_failed_commit_is_there_after_all_or_not(*, kept: bool) -> None:
    machine = Machine()
    machine.write(sync=True)
    machine.disk.fail_next_commit = kept
    with pytest.raises(StorageError):
        machine.write(sync=True)
    store = MemoryStore(machine.disk)
    last = 2 if kept else 1
    assert store.versions(b"a") == (version(X, last),)
    assert len(store.since({X: 1}, MIB)) == last
    assert store.load().digest == last


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "lost"])
def test_only_one_commit_fails_and_the_log_goes_on_where_the_disk_is(*, kept: bool) -> None:
    machine = Machine()
    machine.disk.fail_next_commit = kept
    with pytest.raises(StorageError):
        machine.write(sync=True)
    machine.reopen()
    assert machine.written == int(kept)
    machine.write(sync=True)
    assert len(machine.store.since({X: 1}, MIB)) == machine.written == 1 + kept


def test_a_failed_commit_is_not_seen_before_the_disk_is_opened_again() -> None:
    """So it is with RocksDB, which shows in memory only what its log took."""
    machine = Machine()
    machine.write(sync=True)
    machine.disk.fail_next_commit = True
    with pytest.raises(StorageError):
        machine.write(sync=True)
    assert machine.store.versions(b"a") == (version(X, 1),)
    assert machine.store.load().digest == 1


@pytest.mark.parametrize("found", [True, False])
def test_a_failed_commit_that_was_not_synced_since_is_lost_in_a_crash(*, found: bool) -> None:
    machine = Machine()
    machine.write(sync=True)
    machine.disk.fail_next_commit = True
    with pytest.raises(StorageError):
        machine.write(sync=True)
    if found:
        assert len(MemoryStore(machine.disk, read_only=True).since({X: 1}, MIB)) == 2
    machine.crash()
    assert machine.written == 1


def test_a_full_disk_takes_no_commit_and_opens_for_reading_only_until_there_is_room() -> None:
    machine = Machine()
    machine.write(sync=True)
    machine.disk.full = True
    with pytest.raises(StorageError, match="no space"):
        machine.write(sync=True)
    with pytest.raises(StorageError, match="no space"):
        MemoryStore(machine.disk)
    assert MemoryStore(machine.disk, read_only=True).versions(b"a") == (version(X, 1),)
    machine.disk.full = False
    machine.crash()
    machine.write(sync=True)
    assert machine.written == 2
