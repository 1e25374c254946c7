"""RocksDB: what only a real disk can do."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.core.messages import OriginState
from kvnode.core.replica import Saved
from kvnode.errors import StorageError
from kvnode.storage.memory import MemoryDisk, MemoryStore
from kvnode.storage.rocks import RocksStore
from kvnode.storage.store import Store
from tests.histories import History
from tests.storage.commits import X, batch, commit, version
from tests.strategies import histories

MIB = 1 << 20


def test_two_stores_cannot_share_a_directory(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "store")
    with pytest.raises(StorageError, match="can't open"):
        RocksStore(tmp_path / "store")
    store.close()


def test_a_closed_store_lets_go_of_its_directory_though_it_is_still_known(tmp_path: Path) -> None:
    """After a failed commit the old replica holds the old store while the new one opens."""
    store = RocksStore(tmp_path / "store")
    store.commit(commit(batch(X, 1)), sync=True)
    store.close()
    again = RocksStore(tmp_path / "store")
    assert again.since({X: 1}, MIB) == [batch(X, 1).encoded]
    again.close()


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("something else")
    with pytest.raises(StorageError, match="can't open"):
        RocksStore(tmp_path / "store")


def test_a_damaged_store_is_not_opened(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "store")
    store.commit(commit(batch(X, 1)), sync=True)
    store.close()
    for manifest in (tmp_path / "store").glob("MANIFEST-*"):
        manifest.write_bytes(b"damage")
    with pytest.raises(StorageError, match="can't open"):
        RocksStore(tmp_path / "store")


def test_a_directory_without_a_store_is_not_opened_for_reading(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="can't open"):
        RocksStore(tmp_path / "store", read_only=True)


def test_openings_that_fail_again_and_again_leave_no_heap_of_logs(tmp_path: Path) -> None:
    RocksStore(tmp_path / "store").close()
    for manifest in (tmp_path / "store").glob("MANIFEST-*"):
        manifest.write_bytes(b"damage")
    for _ in range(10):
        with pytest.raises(StorageError, match="can't open"):
            RocksStore(tmp_path / "store")
    assert len(list((tmp_path / "store").glob("LOG*"))) == 2


class Broken:
    """A database whose disk fails, whatever is asked of it."""

    def __getattr__(self, name: str) -> Callable[..., object]:
        return self._fail

    def _fail(self, *arguments: object, **options: object) -> object:
        raise OSError("the disk failed")

    __getitem__ = _fail


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.load(),
        lambda store: store.versions(b"key"),
        lambda store: store.commit(commit(batch(X, 1)), sync=True),
        lambda store: store.sync(),
        lambda store: store.since({X: 1}, MIB),
        lambda store: store.page(b"", b"", 1),
        lambda store: store.log_head(1, 1),
        lambda store: store.drop_log([], {}),
        lambda store: store.view(),
        lambda store: store.stage({}),
        lambda store: store.staged_page(b"", 1),
        lambda store: store.staged_versions(b"key"),
        lambda store: store.switch(Saved({}, 0, 0)),
    ],
    ids=[
        "load",
        "versions",
        "commit",
        "sync",
        "since",
        "page",
        "log_head",
        "drop_log",
        "view",
        "stage",
        "staged_page",
        "staged_versions",
        "switch",
    ],
)
def test_a_disk_that_fails_is_a_storage_error(
    tmp_path: Path, use: Callable[[Store], object]
) -> None:
    store = RocksStore(tmp_path / "store")
    with pytest.MonkeyPatch.context() as patch:
        for part in ("_db", "_table", "_staged", "_log", "_index", "_meta"):
            patch.setattr(store, part, Broken())
        with pytest.raises(StorageError, match=r"can't .* the disk failed"):
            use(store)
    store.close()


@pytest.mark.parametrize("sync", [True, False])
def test_a_killed_process_loses_no_commit(tmp_path: Path, *, sync: bool) -> None:
    store = RocksStore(tmp_path / "store")
    for seq in range(1, 4):
        store.commit(commit(batch(X, seq), table={b"a": (version(X, seq),)}), sync=sync)
    shutil.copytree(tmp_path / "store", tmp_path / "as it was left")
    survivor = RocksStore(tmp_path / "as it was left")
    assert survivor.versions(b"a") == (version(X, 3),)
    assert len(survivor.since({X: 1}, MIB)) == 3
    survivor.close()
    store.close()


@pytest.mark.parametrize("switched", [False, True], ids=["before", "after"])
def test_a_process_killed_before_or_after_a_switch_has_one_state_or_the_other(
    tmp_path: Path, *, switched: bool
) -> None:
    old, new = {b"a": (version(X, 1),)}, {b"b": (version(X, 9),)}
    store = RocksStore(tmp_path / "store")
    store.commit(commit(batch(X, 1), table=old, digest=1), sync=True)
    store.stage(new)
    if switched:
        store.switch(Saved({X: OriginState(9, 7, {}, {})}, 7, 9, {X: 9}))
    shutil.copytree(tmp_path / "store", tmp_path / "as it was left")
    store.close()
    survivor = RocksStore(tmp_path / "as it was left")
    assert survivor.page(b"", b"", 9) == (new if switched else old)
    assert survivor.staged_page(b"", 9) == {}
    saved = survivor.load()
    assert (saved.digest, saved.floor) == ((9, {X: 9}) if switched else (1, {}))
    assert saved.origins[X].delivered == (9 if switched else 1)
    survivor.close()


@settings(max_examples=20)
@given(histories(), st.integers())
def test_the_memory_store_answers_like_this_one(history: History, seed: int) -> None:
    random = Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        stores = RocksStore(Path(directory) / "store"), MemoryStore(MemoryDisk())
        for made in history.made:
            seq = made.batch.last
            table = {b"%d" % random.randrange(5): (version(made.batch.origin, seq),) * (seq % 3)}
            for store in stores:
                store.commit(commit(made.batch, table=table, digest=seq), sync=False)
        lasts = {made.batch.origin: made.batch.last for made in history.made}
        for _ in range(10):
            asked = random.sample(sorted(lasts), random.randint(0, len(lasts)))
            lacking = {origin: random.randint(1, lasts[origin]) for origin in asked}
            bytes_max = random.choice((1, 100, 500, MIB))
            rocks, memory = (store.since(lacking, bytes_max) for store in stores)
            assert rocks == memory
        rocks, memory = ([store.versions(b"%d" % at) for at in range(5)] for store in stores)
        assert rocks == memory
        assert stores[0].load() == stores[1].load()
        stores[0].close()
