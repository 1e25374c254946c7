"""`check` says nothing of a sound store, and tells every damage for what it is."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import msgpack
import pytest

from kvnode.codec.packing import pack
from kvnode.errors import StorageError
from kvnode.storage import check as storage_check
from kvnode.storage.check import check
from kvnode.storage.directory import DataDirectory, InUse, WrongDirectory
from kvnode.storage.rocks import RocksStore
from kvnode.storage.soundness import PROBLEMS_TOLD, Findings
from tests.storage.sound import by_dot, families_of, renumber_without


def found(directory: Path) -> Findings:
    return check(directory).findings


def contents(directory: Path) -> dict[str, tuple[str, int]]:
    """Each file's content and when it was changed, but for the lock's."""
    return {
        str(file): (hashlib.md5(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in directory.rglob("*")
        if file.is_file() and file.name != "lock"
    }


# --- what is sound


def test_a_sound_directory_has_no_problems_and_is_counted(directory: Path) -> None:
    checked = check(directory)
    assert (checked.name, checked.cluster, checked.directory) == ("X", "c", directory)
    findings = checked.findings
    assert findings.problems == [] and findings.problems_count == 0
    assert (findings.origins, findings.batches, findings.writes) == (3, 6, 8)
    assert (findings.keys, findings.versions, findings.staged) == (6, 7, 0)
    with families_of(directory) as families:
        log = families.records("log")
    assert findings.log_bytes == sum(len(encoded) for _, encoded in log)
    store = RocksStore(directory / "store")
    assert findings.digest == store.load().digest
    store.close()
    assert sorted(findings.vector.values()) == [3, 3]


def test_it_changes_nothing(directory: Path) -> None:
    before = contents(directory)
    names = sorted(path.name for path in directory.rglob("*"))
    check(directory)
    assert contents(directory) == before
    assert sorted(path.name for path in directory.rglob("*")) == names


def test_a_fresh_store_is_sound(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path, name="X", cluster="c")
    RocksStore(directory.store).close()
    directory.close()
    assert found(tmp_path) == Findings()


def test_what_a_snapshot_left_half_is_counted_and_no_problem(directory: Path) -> None:
    with families_of(directory) as families:
        families["table1"][b"half"] = b"whatever"
    findings = found(directory)
    assert findings.problems == [] and findings.staged == 1


def test_batches_below_the_floor_may_have_gaps(directory: Path) -> None:
    """A snapshot raises the floor over what the node's own log has."""
    with families_of(directory) as families:
        ((_, y_last),) = [item for item in by_dot(families).items() if item[0] == ("Y", 3)]
        origin = msgpack.unpackb(families["log"][y_last])[1]
        floor = msgpack.unpackb(families["meta"][b"floor"])
        families["meta"][b"floor"] = pack(floor | {origin: 3})
        removed = by_dot(families)["Y", 1]
        renumber_without(families, removed)
    assert found(directory).problems == []


def test_a_log_that_was_dropped_whole_is_sound(directory: Path) -> None:
    store = RocksStore(directory / "store")
    saved = store.load()
    store.drop_log(
        store.log_head(99, 1 << 20), {o: state.delivered for o, state in saved.origins.items()}
    )
    store.close()
    findings = found(directory)
    assert (findings.problems, findings.batches, findings.log_bytes) == ([], 0, 0)


# --- what can't be checked


def test_a_directory_in_use_is_refused(directory: Path) -> None:
    used = DataDirectory(directory, name="X", cluster="c")
    with pytest.raises(InUse, match=f"in use by process {os.getpid()}"):
        check(directory)
    used.close()
    assert found(directory).problems == []


def test_the_lock_is_held_meanwhile_and_let_go(directory: Path) -> None:
    check(directory)
    DataDirectory(directory, name="X", cluster="c").close()


@pytest.mark.parametrize("name", ["nowhere", "X/store"])
def test_what_is_no_directory_of_ours_is_refused(directory: Path, name: str) -> None:
    with pytest.raises(WrongDirectory, match="neither a data directory nor a backup"):
        check(directory.parent / name)


def test_an_owner_that_cannot_be_read_is_refused(directory: Path) -> None:
    (directory / "node.json").write_text("{")
    with pytest.raises(StorageError, match=r"can't read .*node\.json"):
        check(directory)


def test_the_first_problems_are_told_and_all_are_counted(directory: Path) -> None:
    with families_of(directory) as families:
        for at in range(2 * PROBLEMS_TOLD):
            families["table0"][b"key %03d" % at] = b"\xc1"
    findings = found(directory)
    assert findings.problems_count == 2 * PROBLEMS_TOLD
    assert len(findings.problems) == PROBLEMS_TOLD
    assert findings.keys == 6 + 2 * PROBLEMS_TOLD


def test_a_problem_is_one_line_whatever_the_key(directory: Path) -> None:
    with families_of(directory) as families:
        families["table0"][b"\n" * 4000] = b"\xc1"
    (problem,) = found(directory).problems
    assert "\n" not in problem and len(problem) < 300


# --- damaged files


def test_a_store_that_is_not_there_is_a_problem(directory: Path) -> None:
    shutil.rmtree(directory / "store")
    assert found(directory).problems == [f"there is no store in {directory}"]


def test_a_store_that_cannot_be_opened_is_a_problem(directory: Path) -> None:
    for manifest in (directory / "store").glob("MANIFEST-*"):
        manifest.write_bytes(b"damage")
    (problem,) = found(directory).problems
    assert problem.startswith(f"can't open the store in {directory}: ")


def test_a_damaged_block_is_a_problem_and_the_rest_is_still_examined(directory: Path) -> None:
    RocksStore(directory / "store").close()  # recovery moves all into table files
    told = []
    for file in (directory / "store").glob("*.sst"):
        whole = file.read_bytes()
        file.write_bytes(bytes([whole[0] ^ 255, whole[1] ^ 255]) + whole[2:])
        told.append(found(directory).problems)
        file.write_bytes(whole)
    assert all(told), told
    assert any("can't read the store" in problem for problems in told for problem in problems)
    assert found(directory).problems == []


def test_without_room_for_its_links_a_check_says_so(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(prefix: str) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(storage_check, "TemporaryDirectory", failing)
    (problem,) = found(directory).problems
    assert problem == "a check needs a temporary directory: no space left on device"


def test_a_problem_names_the_files_that_were_checked(directory: Path) -> None:
    for file in (directory / "store").glob("*.sst"):
        file.write_bytes(file.read_bytes()[:-20])
    problems = found(directory).problems
    assert problems and all("kvnode-check-" not in problem for problem in problems)
