"""What a scan of a million keys takes, and what another client waits for its gets meanwhile.

    .venv/bin/python tests/bench/scan.py

One node, 100-byte values, durability `never`. One process scans; another gets one key after
another, first alone, then during each kind of scan.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Queue

from kvnode import Client
from kvnode.cli.cluster import LocalCluster

KEYS = 1_000_000
KEYS_PER_WRITE = 4096
VALUE = b"v" * 100
ALONE_S = 2.0


def key(number: int) -> str:
    return f"key/{number:09}"


def get_until(address: str, done: Event, times_ms: Queue[list[float]]) -> None:
    """Gets, one after another: how long each took."""
    found = []
    with Client(address) as client:
        number = 0
        while not done.is_set():
            number = (number + 7919) % KEYS
            start = time.perf_counter()
            assert client.get(key(number)) == VALUE
            found.append((time.perf_counter() - start) * 1000)
    times_ms.put(found)


def measured(address: str, what: str, work: Callable[[], int]) -> None:
    done, times_ms = multiprocessing.Event(), multiprocessing.Queue()
    getter = multiprocessing.Process(target=get_until, args=(address, done, times_ms))
    getter.start()
    start = time.perf_counter()
    found = work()
    took_s = time.perf_counter() - start
    done.set()
    times = sorted(times_ms.get())
    getter.join()
    shares = ", ".join(
        f"{name} {times[min(len(times) - 1, int(len(times) * share))]:.2f} ms"
        for name, share in (("median", 0.5), ("99 %", 0.99), ("99.9 %", 0.999), ("most", 1))
    )
    print(f"{what}: {found:,} keys in {took_s:.2f} s; {len(times):,} gets: {shares}")


def slept() -> int:
    time.sleep(ALONE_S)
    return 0


def length(items: Iterator[object]) -> int:
    return sum(1 for _ in items)


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        LocalCluster(["X"], Path(directory), "--durability", "never") as cluster,
    ):
        address = cluster["X"].listen
        with Client(address, timeout_s=60) as client:
            for first in range(0, KEYS, KEYS_PER_WRITE):
                numbers = range(first, min(first + KEYS_PER_WRITE, KEYS))
                client.put_many({key(number): VALUE for number in numbers})
            measured(address, "no scan", slept)
            measured(address, "scan", lambda: length(client.scan("key/")))
            measured(address, "scan, pages of 1000", lambda: length(client.scan("key/", page=1000)))
            measured(address, "scan in reverse", lambda: length(client.scan("key/", reverse=True)))
            measured(address, "keys", lambda: length(client.keys("key/")))
            measured(address, "count", lambda: client.count("key/"))


if __name__ == "__main__":
    main()
