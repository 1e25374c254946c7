"""How long a put takes that waits for other nodes' disks, beside one that does not.

    .venv/bin/python tests/bench/concerns.py

Three idle nodes on loopback with the usual heartbeats, one client that puts 100-byte values one
after the other, `replicas` in turns. Medians and 99th percentiles.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from kvnode import Client
from kvnode.cli.cluster import LocalCluster, until

PUTS = 1_000
WARM_UP = 100
ROUNDS = 3
VALUE = bytes(100)


def times_ms(client: Client, replicas: int | None, puts: int) -> list[float]:
    times = []
    for number in range(puts):
        start = time.perf_counter()
        client.put(f"key {number % 500}", VALUE, replicas=replicas)
        times.append(1000 * (time.perf_counter() - start))
    return times


def main() -> None:
    times: dict[int | None, list[float]] = {None: [], 1: [], 2: [], 3: []}
    with (
        tempfile.TemporaryDirectory() as directory,
        LocalCluster("XYZ", Path(directory)) as cluster,
        cluster["X"].client() as client,
    ):
        cluster.wait_for_mesh()
        until("all agree", cluster.agree)
        times_ms(client, 3, WARM_UP)
        for _ in range(ROUNDS):
            for replicas, measured in times.items():
                measured += times_ms(client, replicas, PUTS)
    for replicas, measured in times.items():
        what = "no replicas" if replicas is None else f"replicas={replicas}"
        p50, p99 = statistics.median(measured), statistics.quantiles(measured, n=100)[98]
        print(f"{what}: median {p50:.2f} ms, 99th percentile {p99:.2f} ms")


if __name__ == "__main__":
    main()
