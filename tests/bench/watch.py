"""What watchers cost the clients that write, and how fast one that is behind catches up.

    .venv/bin/python tests/bench/watch.py

One node, 100-byte values, durability `never`. A client puts one key after another while so many
watches wait at the node: for another prefix, and for its own. Then one watch reads a long log,
while another client gets one key after another. Medians and 99th percentiles, all within one run.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path

from kvnode import AsyncClient, Client
from kvnode.cli.cluster import LocalCluster, LocalNode

PUTS = 2_000
WATCHES = (0, 10, 100)
LOGGED = 500_000
KEYS_PER_WRITE = 100
VALUE = bytes(100)


def told(what: str, times_ms: list[float]) -> None:
    ordered = sorted(times_ms)
    p99 = ordered[len(ordered) * 99 // 100]
    print(f"{what:48} median {statistics.median(ordered):6.2f} ms   99 % {p99:6.2f} ms")


def timed(call, count: int) -> list[float]:
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return times


def watch(listen: str, prefix: str, count: int, ready: Event, over: Event) -> None:
    """So many watches in a process of their own."""

    async def follow(client: AsyncClient) -> None:
        async for _ in client.watch(prefix, since=client.token):
            pass

    async def story() -> None:
        async with AsyncClient(listen) as client:
            await client.get("any")
            tasks = [asyncio.create_task(follow(client)) for _ in range(count)]
            while (await client.status())["watches"] < count:
                pass
            ready.set()
            await asyncio.to_thread(over.wait)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(story())


def beside_watches(node: LocalNode, prefix: str, count: int) -> list[float]:
    ready, over = multiprocessing.Event(), multiprocessing.Event()
    process = multiprocessing.Process(target=watch, args=(node.listen, prefix, count, ready, over))
    process.start()
    ready.wait()
    with node.client() as client:
        times = timed(lambda: client.put("put/key", VALUE), PUTS)
    over.set()
    process.join()
    return times


def read_log(listen: str, ready: Event, over: Event) -> None:
    with Client(listen, timeout_s=30) as client:
        client.get("any")
        token = client.token
        for at in range(0, LOGGED, KEYS_PER_WRITE):
            client.put_many({f"log/{at + n}": VALUE for n in range(KEYS_PER_WRITE)})
        changes = client.watch("log/", since=token)
        ready.set()
        start = time.perf_counter()
        for _ in range(LOGGED):
            next(changes)
        took_s = time.perf_counter() - start
        over.set()
    print(
        f"{LOGGED:,} changes read from the log in {took_s:.1f} s: {LOGGED / took_s:,.0f} a second"
    )


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        LocalCluster("X", Path(directory), "--durability", "never") as cluster,
        cluster["X"].client() as client,
    ):
        node = cluster["X"]
        client.put("any", VALUE)
        for prefix, which in (("other/", "for another prefix"), ("put/", "for this one")):
            for count in WATCHES:
                told(f"puts beside {count} watches {which}", beside_watches(node, prefix, count))
        told("gets alone", timed(lambda: client.get("any"), PUTS))
        ready, over = multiprocessing.Event(), multiprocessing.Event()
        reader = multiprocessing.Process(target=read_log, args=(node.listen, ready, over))
        reader.start()
        ready.wait()
        times: list[float] = []
        while not over.is_set():
            times += timed(lambda: client.get("any"), 10)
        reader.join()
        told("gets while a watch reads the log", times)


if __name__ == "__main__":
    main()
