"""How fast a node that was away catches up, and how long its server's clients wait meanwhile.

    .venv/bin/python tests/bench/catchup.py

Node X takes many puts of distinct keys; then node Y starts, empty, and pulls them all, while
one client of X sends single puts and gets in turns at a fixed pace. X, Y and that client
are three processes. Latencies count from when a request was due, so a stall counts for
every request that it held up.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import zmq

from kvnode.cli.cluster import LocalCluster, LocalNode, until
from kvnode.codec import client as ask
from kvnode.codec.client import decode_answer, encode_request

#: Requests that the loader has under way.
LOADING = 8
#: How often the client asks; it uses a tenth of a core at this pace.
PACE_S = 0.005
QUIET_S = 3.0


def value(n: int, value_bytes: int) -> bytes:
    """A msgpack bin 8 or 16, of so many bytes that do not compress."""
    content = hashlib.shake_128(b"%d" % n).digest(value_bytes)
    size = b"\xc4%c" % value_bytes if value_bytes < 256 else b"\xc5" + value_bytes.to_bytes(2)
    return size + content


def key(n: int) -> bytes:
    """16 bytes, in no order."""
    return hashlib.blake2b(b"%d" % n, digest_size=16).digest()


def requests(writes: int, value_bytes: int, puts: int) -> Iterator[bytes]:
    for first in range(0, writes, puts):
        numbers = range(first, min(writes, first + puts))
        operations = [ask.put(key(n), value(n, value_bytes)) for n in numbers]
        yield encode_request(first, None, 0, operations)


def load(node: LocalNode, writes: int, value_bytes: int, puts: int) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.connect(node.listen)
        unanswered = 0
        for payload in requests(writes, value_bytes, puts):
            socket.send(payload)
            unanswered += 1
            if unanswered >= LOADING:
                check(socket.recv())
                unanswered -= 1
        for _ in range(unanswered):
            check(socket.recv())


def check(answer: bytes) -> None:
    assert all(result[0] == "ok" for result in decode_answer(answer).results)


def ask_at_a_pace(address: str, writes: int, value_bytes: int, pipe: Connection) -> None:
    """Until something comes through the pipe; sends back each latency, by kind."""
    taken: dict[str, list[float]] = {"put": [], "get": []}
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.connect(address)
        due = time.perf_counter()
        n = 0
        while not pipe.poll(max(0.0, due - time.perf_counter())):
            kind = ("put", "get")[n % 2]
            if kind == "put":
                operation = ask.put(b"client %d" % n, value(n, value_bytes))
            else:
                operation = ask.get(key(n * 7919 % writes))
            socket.send(encode_request(n, None, 0, [operation]))
            check(socket.recv())
            taken[kind].append(time.perf_counter() - due)
            due += PACE_S
            n += 1
    pipe.recv()
    pipe.send(taken)


class PacedClient:
    """A process of its own, so that nothing here makes it late."""

    def __init__(self, address: str, writes: int, value_bytes: int) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        arguments = (address, writes, value_bytes, theirs)
        self._process = multiprocessing.Process(target=ask_at_a_pace, args=arguments)
        self._process.start()

    def end(self) -> dict[str, list[float]]:
        self._pipe.send("end")
        taken: dict[str, list[float]] = self._pipe.recv()
        self._process.join()
        return taken


def tell(when: str, taken: dict[str, list[float]]) -> None:
    for kind, seconds in taken.items():
        milliseconds = sorted(1000 * second for second in seconds)
        p99 = milliseconds[len(milliseconds) * 99 // 100]
        print(
            f"  {kind}s at X {when}: p50 {statistics.median(milliseconds):.1f} ms, "
            f"p99 {p99:.1f} ms, max {milliseconds[-1]:.1f} ms ({len(seconds)})"
        )


def catch_up(cluster: LocalCluster, lacking: dict[str, int]) -> float:
    """Start Y; the seconds from when it has something until it has all that it lacked."""
    cluster["Y"].start()
    with cluster["Y"].client() as client:
        until("Y has something", lambda: client.status()["vector"] or None)
        start = time.perf_counter()
        had = sum(client.status()["vector"].values())
        while any(client.status()["vector"].get(o, 0) < seq for o, seq in lacking.items()):
            time.sleep(0.02)
        seconds = time.perf_counter() - start
    return (sum(lacking.values()) - had) / seconds


def round_(directory: Path, options: argparse.Namespace) -> float:
    cluster = LocalCluster(["X", "Y"], directory)
    x, y = cluster["X"], cluster["Y"]
    x.start()
    try:
        load(x, options.writes, options.value_bytes, options.puts)
        client = PacedClient(x.listen, options.writes, options.value_bytes)
        time.sleep(QUIET_S)
        tell("alone", client.end())
        client = PacedClient(x.listen, options.writes, options.value_bytes)
        rate = catch_up(cluster, x.status()["vector"])
        tell("while it serves", client.end())
        until("X and Y agree", cluster.agree)
    finally:
        for node in (x, y):
            if node.process is not None:
                node.stop()
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writes", type=int, default=1_000_000)
    parser.add_argument("--value-bytes", type=int, default=100)
    parser.add_argument("--puts", type=int, default=1000, help="in one request, as X gets them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, help="on the disk to measure")
    options = parser.parse_args()
    rates = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(dir=options.directory) as directory:
            rates.append(round_(Path(directory), options))
        print(f"catch-up: {rates[-1]:,.0f} writes/s")
    print(f"catch-up, median: {statistics.median(rates):,.0f} writes/s")


if __name__ == "__main__":
    main()
