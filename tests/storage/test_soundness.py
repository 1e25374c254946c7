"""What is sound, on memory disks; test_check_damages.py tells damage after damage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvnode.core.succession import Cut
from kvnode.core.vector import new_origin
from kvnode.errors import StorageError
from kvnode.storage import layout
from kvnode.storage.memory import MemoryDisk, MemoryStore
from kvnode.storage.soundness import PROBLEMS_TOLD, Findings, examined
from kvnode.storage.store import Record
from tests.storage.commits import X, version
from tests.storage.sound import sound_disk


def test_an_empty_disk_is_sound() -> None:
    assert examined(MemoryDisk()) == Findings()


def test_a_disk_that_has_only_the_beginning_of_a_snapshot_is_sound() -> None:
    """Its node died while it joined."""
    disk = MemoryDisk()
    MemoryStore(disk).stage({b"a": (version(X, 1),)})
    found = examined(disk)
    assert found.problems == [] and found.staged == 1


def test_a_sound_disk_is_counted_as_its_node_would() -> None:
    disk = sound_disk()
    findings, saved = examined(disk), MemoryStore(disk).load()
    assert findings.problems == []
    assert findings.digest == saved.digest
    entries = {origin: state.delivered for origin, state in saved.origins.items()}
    ends = {origin: state.ends for origin, state in saved.origins.items()}
    assert findings.vector == Cut.restored(entries, ends).heads
    assert findings.batches == len(disk.families["log"])


@pytest.mark.parametrize("family", ["log", "index", "table0"])
def test_a_record_that_is_gone_is_told(family: str) -> None:
    count = len(sound_disk().families[family])
    for at in range(count):
        disk = sound_disk()
        del disk.families[family][sorted(disk.families[family])[at]]
        assert examined(disk).problems, f"record {at} of {family}"


def test_an_origin_that_is_gone_is_told() -> None:
    disk = sound_disk()
    meta = disk.families["meta"]
    for key in [key for key in meta if key.startswith(layout.ORIGIN)]:
        other = sound_disk()
        other.families["meta"].clear()
        other.families["meta"].update({at: meta[at] for at in meta if at != key})
        assert examined(other).problems, key


def test_all_problems_are_counted_and_the_first_ones_told() -> None:
    disk = MemoryDisk()
    for at in range(PROBLEMS_TOLD + 5):
        disk.families["meta"][layout.ORIGIN + new_origin("X", 1, at).encode()] = b"torn"
    findings = examined(disk)
    assert len(findings.problems) == PROBLEMS_TOLD
    assert findings.problems_count >= PROBLEMS_TOLD + 5


class Unreadable(MemoryDisk):
    """One family can't be read."""

    family = ""

    def scan(self, family: str) -> Iterator[Record]:
        if family == self.family:
            raise StorageError(f"{family} is torn")
        return super().scan(family)


@pytest.mark.parametrize("family", [*layout.FAMILIES])
def test_what_can_not_be_read_is_a_problem_and_the_rest_is_examined(family: str) -> None:
    disk = Unreadable()
    disk.families = sound_disk().families
    disk.family = family
    findings = examined(disk)
    assert f"{family} is torn" in findings.problems
    assert (findings.keys > 0) == (family not in ("meta", "table0"))
