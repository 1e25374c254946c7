"""How many durable puts a second one node takes, and how many gets.

    .venv/bin/python tests/bench/puts.py

One node, one client process on a raw DEALER with 64 requests in flight, 100-byte values,
durability `always` and `never` in turns; medians.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import zmq

from kvnode.cli.cluster import LocalCluster
from kvnode.codec import client as ask
from kvnode.codec.client import decode_answer, encode_request

REQUESTS = 20_000
IN_FLIGHT = 64
KEYS = 5_000
ROUNDS = 3
VALUE = b"\xc4\x64" + b"v" * 100


def rate(address: str, operations: list[ask.Operation]) -> float:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.connect(address)
        payloads = [encode_request(n, None, 0, [op]) for n, op in enumerate(operations)]
        start = time.perf_counter()
        sent = received = 0
        while received < len(payloads):
            while sent < len(payloads) and sent - received < IN_FLIGHT:
                socket.send(payloads[sent])
                sent += 1
            answer = decode_answer(socket.recv())
            assert answer.results[0][0] == "ok"
            received += 1
        return len(payloads) / (time.perf_counter() - start)


def main() -> None:
    puts = [ask.put(b"key %d" % (n % KEYS), VALUE) for n in range(REQUESTS)]
    gets = [ask.get(b"key %d" % (n % KEYS)) for n in range(REQUESTS)]
    rates: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for durability in ("always", "never"):
            with (
                tempfile.TemporaryDirectory() as directory,
                LocalCluster(["X"], Path(directory), "--durability", durability) as cluster,
            ):
                address = cluster["X"].listen
                rate(address, puts[:1000])
                rates.setdefault(f"put, {durability}", []).append(rate(address, puts))
                rates.setdefault(f"get, {durability}", []).append(rate(address, gets))
    for what, measured in rates.items():
        print(f"{what}: {statistics.median(measured):,.0f} requests/s")


if __name__ == "__main__":
    main()
