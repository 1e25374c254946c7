"""What restarts cost: one node of three, one of which was started so often.

    .venv/bin/python tests/bench/restarts.py [RESTARTS ...]

Each start made three writes, the first one more, whose keys are there still. Prints what time of a
processor it takes to start, to overwrite a key of the first start, to serve a peer that lacks the
last write or nearly all, to hear two peers and claim at a heartbeat, and to tell a watch of the
last write; what a pull says; and what a start leaves behind.
"""

from __future__ import annotations

import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from kvnode.codec.batches import encode_batch
from kvnode.core.batch import Batch, Change
from kvnode.core.clock import Now
from kvnode.core.limits import Limits
from kvnode.core.messages import Claim, Commit, Inputs, OriginState
from kvnode.core.repair import spelled_out
from kvnode.core.replica import Identity, Replica
from kvnode.core.requests import Put, Request, Watch
from kvnode.core.vector import new_origin
from kvnode.core.versions import Version
from kvnode.daemon.node import Durability, Node
from kvnode.storage.rocks import RocksStore

HEARTBEAT_US = 500_000
MIB = 1 << 20
KEYS = 100
ROUNDS = 15


class Outbox:
    """Forgets what it is given."""

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_: None


def fill(store: RocksStore, restarts: int) -> list[str]:
    """X was started so often; Y and Z once. The incarnations of X."""
    y, z = (new_origin(name, 0, 0) for name in "YZ")
    xs = [new_origin("X", at, at) for at in range(restarts)]
    origins = {it: OriginState(1, 1, {}, {}) for it in (y, z)}
    batches = [made(it, {}, [b"%s" % it.encode()]) for it in (y, z)]
    table = {}
    for at, x in enumerate(xs):
        ends = {xs[at - 1]: len(batches[-1].writes)} if at else {}
        keys = [b"key %d %d" % (at, n) for n in range(3 if at else 2 * KEYS * ROUNDS)]
        batches.append(made(x, {y: 1, z: 1, **ends}, keys))
        table.update({key: (Version(1, x, n + 1, b"v" * 100),) for n, key in enumerate(keys)})
        origins[x] = OriginState(len(keys), 1, {y: 1, z: 1, **ends}, ends)
    store.commit(Commit(table, tuple(batches), origins, 2, 0), sync=True)
    return xs


def made(origin: str, deps: dict[str, int], keys: list[bytes]) -> Batch:
    writes = tuple((Change(key, b"v" * 100),) for key in keys)
    return Batch(origin, 1, deps, 1, writes, encode_batch(origin, 1, deps, 1, writes))


def timed_ms(action: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        action()
        times.append((time.process_time() - begun) * 1000)
    return median(times)


def measured(restarts: int, directory: Path) -> dict[str, float]:
    store = RocksStore(directory)
    xs = fill(store, restarts)
    store.begin_flush()
    while not store.is_flushed:
        time.sleep(0.01)
    store.close()
    size_bytes = sum(file.stat().st_size for file in directory.glob("*.sst"))
    random = Random(1)

    def opened(*, read_only: bool = False) -> RocksStore:
        return RocksStore(directory, read_only=read_only)

    def replica(saved: Any, store: Any) -> Replica:
        identity = Identity("X", 1, b"record")
        return Replica(
            identity,
            saved,
            store,
            encode_batch,
            random.random,
            new_origin=lambda: new_origin("X", 1 << 30, random.getrandbits(40)),
            limits=Limits(),
            heartbeat_us=HEARTBEAT_US,
            commits_are_synced=False,
        )

    begun = time.process_time()
    node = Node(
        opened,
        replica,
        durability=Durability.NEVER,
        sync_interval_us=0,
        heartbeat_us=HEARTBEAT_US,
        random_number=lambda: 1,
    )
    start_ms = (time.process_time() - begun) * 1000
    tracemalloc.start()
    other = replica(node._store.load(), node._store)  # type: ignore[union-attr]
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del other
    clock = [Now(1_000_000, 1_000_000)]
    outbox: Any = Outbox()

    def turn(inputs: Inputs, after_us: int = 1000) -> None:
        clock[0] = Now(clock[0].wall_us + after_us, clock[0].steady_us + after_us)
        node.turn(inputs, clock[0], outbox)

    numbers, old = iter(range(1 << 30)), iter(range(1 << 30))
    turn(Inputs(requests=[Request("c", next(numbers), {}, None, (Put(b"k", b"v", None),), 9)]))

    def overwrite() -> None:
        """Keys of the first start."""
        at = next(numbers)
        puts = tuple(Put(b"key 0 %d" % next(old), b"new", None) for _ in range(KEYS))
        turn(Inputs(requests=[Request("c", at, {}, None, puts, 9)]))

    def heartbeat() -> None:
        heads = dict(node.replica.cut.heads)
        turn(Inputs(claims=[Claim(name, 1, heads, heads, 0, {}, 0) for name in "YZ"]), HEARTBEAT_US)

    overwritten_us = timed_ms(overwrite) / KEYS * 1000
    heads = dict(node.replica.cut.heads)
    own = node.replica.origin
    behind = heads | {own: heads[own] - 1}
    far_behind = {xs[len(xs) // 10]: 3, new_origin("Y", 0, 0): 1, new_origin("Z", 0, 0): 1}

    def watch() -> None:
        operation = Watch(b"", is_now=False)
        turn(Inputs(requests=[Request("c", next(numbers), behind, None, (operation,), 9)]))

    later = {new_origin("X", 1 << 31, 1): 1, new_origin("Y", 0, 0): 1, new_origin("Z", 0, 0): 1}
    try:
        told = spelled_out(node.replica.cut, later, in_full=False)
    except TypeError:  # as it was before
        told = spelled_out(node.replica.cut, later)  # type: ignore[call-arg]
    figures = {
        "start ms": start_ms,
        "overwrite us/key": overwritten_us,
        "serve the last write ms": timed_ms(lambda: node.since(behind, MIB)),
        "serve 0.1 MiB of most ms": timed_ms(lambda: node.since(far_behind, MIB // 10)),
        "heartbeat ms": timed_ms(heartbeat),
        "watch ms": timed_ms(watch),
        "entries in a pull": len(told),
        "memory bytes/start": memory / restarts,
        "disk bytes/start": size_bytes / restarts,
    }
    node.close(outbox)
    return figures


def main() -> None:
    table: dict[int, dict[str, float]] = {}
    for restarts in [int(it) for it in sys.argv[1:]] or [10, 1_000, 10_000]:
        with tempfile.TemporaryDirectory() as directory:
            table[restarts] = measured(restarts, Path(directory) / "store")
    print(f"{'restarts':<26}", *(f"{restarts:>12,}" for restarts in table))
    for what in next(iter(table.values())):
        print(f"{what:<26}", *(f"{figures[what]:>12,.2f}" for figures in table.values()))


if __name__ == "__main__":
    main()
