"""Requests that were done once, on both kinds of disk: with the commit, in order, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from kvnode.core.messages import Commit
from kvnode.core.once import Span
from kvnode.core.results import WriteResults, Written
from kvnode.core.vector import Dot
from kvnode.errors import StorageError
from kvnode.storage.frozen import FrozenStore, before
from kvnode.storage.memory import MemoryDisk, MemoryStore
from kvnode.storage.once import POSITION, position_key, position_of
from kvnode.storage.rocks import RocksStore
from kvnode.storage.soundness import examined
from kvnode.storage.store import Store
from tests.storage.commits import X, batch, commit, version
from tests.storage.conftest import Disk


def id_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def results_of(seq: int) -> WriteResults:
    return (Written(Dot(X, seq), 7),)


def did(*numbers: int, kept: int = 3) -> Commit:
    """A commit that did these requests, each by the write of its number."""
    done: Mapping[bytes, WriteResults] = {id_of(number): results_of(number) for number in numbers}
    written = batch(X, numbers[0], writes=len(numbers))
    return replace(commit(written), done=done, remembered_max=kept)


def remembered(disk: Disk) -> list[int]:
    """The numbers of the requests that are remembered, of the first ten."""
    return [
        number
        for number in range(1, 11)
        if disk.store.remembered(id_of(number)) == results_of(number)
    ]


def test_a_fresh_disk_remembers_none(disk: Disk) -> None:
    assert disk.store.remembered_span == Span(0, 0)
    assert disk.store.remembered(id_of(1)) is None


@pytest.mark.parametrize("kind", [MemoryStore, RocksStore])
def test_a_new_disk_counts_from_where_it_is_told_and_goes_on_from_there(
    kind: Callable[..., Store], tmp_path: Path
) -> None:
    medium = MemoryDisk() if kind is MemoryStore else tmp_path / "store"

    def span(first_position: int, *, doing: Commit) -> Span:
        store = kind(medium, first_position=first_position)
        store.commit(doing, sync=True)
        store.close()
        return store.remembered_span

    assert span(40, doing=commit(batch(X, 1))) == Span(40, 40)
    assert span(70, doing=did(2, 3)) == Span(40, 42)
    assert span(90, doing=did(4, 5, kept=3)) == Span(41, 44)


@pytest.mark.parametrize("again", [False, True], ids=["at once", "after a reopening"])
def test_what_was_done_is_remembered_in_order(disk: Disk, *, again: bool) -> None:
    disk.store.commit(did(1, 2), sync=True)
    disk.store.commit(commit(), sync=True)
    if again:
        disk.reopen()
    assert disk.store.remembered_span == Span(0, 2)
    assert remembered(disk) == [1, 2]


@pytest.mark.parametrize("again", [False, True], ids=["at once", "after a reopening"])
def test_the_oldest_are_forgotten_and_leave_nothing(disk: Disk, *, again: bool) -> None:
    for numbers in ((1, 2), (3, 4), (5,)):
        disk.store.commit(did(*numbers), sync=True)
        if again:
            disk.reopen()
    assert remembered(disk) == [3, 4, 5]
    assert disk.store.remembered_span == Span(2, 5)
    assert len(disk.keys("once")) == 1 + 6


def test_of_more_than_may_be_remembered_in_one_commit_the_last_are(disk: Disk) -> None:
    disk.store.commit(did(1, 2), sync=True)
    disk.store.commit(did(3, 4, 5, 6, 7, kept=2), sync=True)
    assert remembered(disk) == [6, 7]
    assert disk.reopen().remembered_span == Span(5, 7)
    assert len(disk.keys("once")) == 1 + 4


def test_a_node_that_remembers_fewer_than_before_forgets_with_its_next(disk: Disk) -> None:
    disk.store.commit(did(1, 2, 3), sync=True)
    disk.store.commit(did(4, kept=1), sync=True)
    assert remembered(disk) == [4]


def test_a_commit_without_such_requests_touches_none(disk: Disk) -> None:
    disk.store.commit(did(1, 2, 3), sync=True)
    disk.store.commit(commit(batch(X, 4)), sync=True)
    assert remembered(disk) == [1, 2, 3]


def test_a_snapshot_that_is_put_in_place_changes_nothing_of_it(disk: Disk) -> None:
    disk.store.commit(did(1, 2), sync=True)
    disk.store.stage({b"staged": (version(X, 2),)})
    disk.store.switch(disk.store.load())
    assert disk.store.versions(b"staged") == (version(X, 2),)
    assert remembered(disk) == [1, 2]
    disk.reopen()
    assert remembered(disk) == [1, 2]


def test_a_backup_has_what_was_done(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "store")
    store.commit(did(1, 2), sync=True)
    store.checkpoint(tmp_path / "backup")
    store.close()
    backup = RocksStore(tmp_path / "backup")
    assert backup.remembered_span == Span(0, 2)
    assert backup.remembered(id_of(2)) == results_of(2)
    backup.close()


def test_position_keys_sort_and_say_where_they_stand() -> None:
    keys = [position_key(position) for position in (0, 1, 255, 256, (1 << 63) - 1)]
    assert keys == sorted(keys)
    assert [position_of(key) for key in keys] == [0, 1, 255, 256, (1 << 63) - 1]
    assert position_of(POSITION + b"short") == -1


# --- when a commit fails


def test_a_failed_commit_is_not_remembered_while_nobody_knows() -> None:
    disk = MemoryDisk()
    store = MemoryStore(disk)
    store.commit(did(1), sync=True)
    disk.fail_next_commit = True
    failed = did(2)
    with pytest.raises(StorageError):
        store.commit(failed, sync=True)
    assert store.remembered_span == Span(0, 1)
    was = before(store, failed)
    shown = FrozenStore(MemoryStore(disk, read_only=True), was)
    assert shown.remembered(id_of(1)) == results_of(1)
    assert shown.remembered(id_of(2)) is None
    assert shown.remembered_span.end >= 1


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "lost"])
def test_a_failed_commit_is_remembered_if_the_disk_has_it(*, kept: bool) -> None:
    disk = MemoryDisk()
    store = MemoryStore(disk)
    disk.fail_next_commit = kept
    with pytest.raises(StorageError):
        store.commit(did(1), sync=True)
    reopened = MemoryStore(disk)
    assert reopened.remembered(id_of(1)) == (results_of(1) if kept else None)
    assert bool(reopened.since({X: 1}, 1)) == kept


# --- what is sound


def sound() -> MemoryDisk:
    disk = MemoryDisk()
    MemoryStore(disk).commit(did(1, 2, 3), sync=True)
    return disk


def test_requests_are_counted() -> None:
    findings = examined(sound())
    assert findings.problems == [] and findings.remembered == 3


DAMAGES = {
    "a request is gone": lambda once: once.pop(b"id/" + id_of(2)),
    "a position is gone": lambda once: once.pop(position_key(1)),
    "a request can't be read": lambda once: once.update({b"id/" + id_of(2): b"\xc1"}),
    "something else is there": lambda once: once.update({b"what": b""}),
    "a position has another request": lambda once: once.update({position_key(1): id_of(7)}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damage_is_told(damage: object) -> None:
    disk = sound()
    assert callable(damage)
    damage(disk.families["once"])
    assert examined(disk).problems


def test_a_request_whose_write_is_not_delivered_is_told() -> None:
    disk = MemoryDisk()
    done = {id_of(2): results_of(2)}
    lost = replace(commit(batch(X, 1)), done=done, remembered_max=3)
    MemoryStore(disk).commit(lost, sync=True)
    assert any("not delivered" in problem for problem in examined(disk).problems)
