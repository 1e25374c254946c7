"""What a node does over and over costs the same, however often its name was started before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from kvnode.codec.batches import encode_batch
from kvnode.core.batch import Batch, Change
from kvnode.core.limits import MIB
from kvnode.core.messages import Commit, OriginState
from kvnode.core.requests import Put, Watch
from kvnode.core.vector import new_origin
from kvnode.core.versions import Version
from kvnode.daemon.status import node_status
from kvnode.storage.rocks import RocksStore
from kvnode.storage.store import Store
from tests.daemon.recorded import HEARTBEAT_US, Recorded
from tests.work import lines_run

Y = new_origin("Y", 0, 0)
KEYS = 5


class Restarted(Recorded):
    """X, started so often, on a real store; each start wrote, and Y once."""

    def __init__(self, directory: Path, starts: int) -> None:
        self._directory = directory
        self.starts = [new_origin("X", at, at) for at in range(starts)]
        store = RocksStore(directory)
        batches = [made(Y, {}, 1)]
        origins = {Y: OriginState(1, 1, {}, {})}
        table = {}
        for at, origin in enumerate(self.starts):
            ends = {self.starts[at - 1]: KEYS} if at else {}
            batches.append(made(origin, {Y: 1, **ends}, KEYS))
            origins[origin] = OriginState(KEYS, 1, {Y: 1, **ends}, ends)
            for n, ((key, *_),) in enumerate(batches[-1].writes):
                table[key] = (Version(1, origin, n + 1, b"v"),)
        store.commit(Commit(table, tuple(batches), origins, 1, 0), sync=True)
        store.close()
        super().__init__()
        self.turn(self.put("k", "its first write opens one more"))

    def open_store(self, *, read_only: bool = False) -> Store:
        """See `Recorded`."""
        return RocksStore(self._directory, read_only=read_only)

    @property
    def heads(self) -> Mapping[str, int]:
        """What it has delivered."""
        return dict(self.node.replica.cut.heads)

    @property
    def behind(self) -> Mapping[str, int]:
        """All but its last write."""
        dot = self.node.replica.origin
        return {**self.heads, dot: self.heads[dot] - 1}


def made(origin: str, deps: Mapping[str, int], keys: int) -> Batch:
    writes = tuple((Change(b"%s %d" % (origin.encode(), n), b"v"),) for n in range(keys))
    return Batch(origin, 1, deps, 1, writes, encode_batch(origin, 1, deps, 1, writes))


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[Restarted, Restarted]]:
    # Enough that an upkeep looks at as many batches of the log in both.
    few, many = Restarted(tmp_path / "few", 300), Restarted(tmp_path / "many", 1500)
    yield few, many
    for each in (few, many):
        each.node.close(each)


def overwrites(node: Restarted) -> object:
    first = node.starts[0].encode()
    puts = [Put(b"%s %d" % (first, n), b"new") for n in range(KEYS)]
    return node.turn(node.request(*puts))


def beats(node: Restarted) -> object:
    node.now_us += HEARTBEAT_US
    heads = node.heads
    return node.turn(claims=(node.others_claim({o: heads[o] for o in heads if o != Y}),))


def serves_a_peer(node: Restarted) -> object:
    found = node.node.since(node.behind, MIB)
    assert len(found) == 1
    return found


def serves_a_watch(node: Restarted) -> object:
    watch = Watch(b"", is_now=False)
    node.turn(node.request(watch, token=node.behind))
    assert node.replies[-1].results[0].events  # type: ignore[union-attr]
    return node.replies[-1]


def takes_in_a_batch(node: Restarted) -> object:
    """Y has seen all but the latest incarnation, and overwrites what the first one wrote."""
    seq = node.node.replica.cut.entries[Y] + 1
    writes = ((Change(b"%s %d" % (node.starts[0].encode(), seq), b"new"),),)
    deps = {node.starts[-1]: KEYS}
    batch = Batch(Y, seq, deps, 10, writes, encode_batch(Y, seq, deps, 10, writes))
    node.turn(batches=(batch,))
    (version,) = node.node.replica.versions(writes[0][0].key)
    assert version.origin == Y
    return version


def tells_of_itself(node: Restarted) -> object:
    return node_status(node.node, node.now_us)


@pytest.mark.parametrize(
    "action",
    [overwrites, beats, serves_a_peer, serves_a_watch, takes_in_a_batch, tells_of_itself],
)
def test_it_costs_the_same_after_any_number_of_starts(
    nodes: tuple[Restarted, Restarted], action: Callable[[Restarted], object]
) -> None:
    few, many = nodes
    for node in nodes:  # what is only there the first time is no matter
        node.turn(node.put("k", "something to serve"))
        beats(node)
    few_lines, many_lines = lines_run(lambda: action(few)), lines_run(lambda: action(many))
    assert 0 < many_lines <= few_lines + 100 + few_lines // 10, (few_lines, many_lines)


def test_of_ended_incarnations_no_row_is_kept_in_memory(
    nodes: tuple[Restarted, Restarted],
) -> None:
    for node in nodes:
        assert node.node.replica.state.origins.keys() == {Y, node.node.replica.origin}
        assert len(node.claims[-1].floor) <= 2


def test_a_truncated_log_leaves_a_floor_of_as_many_entries(
    nodes: tuple[Restarted, Restarted],
) -> None:
    for node in nodes:
        head = node.node._store.log_head(1000, MIB)  # type: ignore[union-attr]
        floor = node.node.replica.state.floor_without(head)
        assert len(floor) == 2 and floor[Y] == 1
