"""What a node needs: memory, disk, connections, and the traffic of its heartbeats.

    .venv/bin/python tests/bench/footprint.py

Memory and disk are those of a real node: idle, then with keys of 16 bytes and values of 100 that do
not compress, and with its log shortened to 1 MiB. Then it is the most that a node takes while many
clients put the largest values at once, each of them one after the other. Heartbeats are computed
for clusters of several sizes, from claims as nodes of such a cluster send them; IP, TCP and ZeroMQ
add some 60 bytes to each.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kvnode.cli.cluster import LocalCluster, LocalNode, until
from kvnode.codec.gossip import CLAIM, Header, encode_claim, encode_header
from kvnode.core.limits import MIB, VALUE_BYTES_MAX
from kvnode.core.messages import Claim
from kvnode.core.vector import new_origin
from kvnode.storage.backups import size_bytes
from tests.bench.catchup import load

KEYS = 1_000_000
VALUE_BYTES = 100
PUTS_IN_A_REQUEST = 100
#: So many clients at once, that put so many of the largest values each.
CLIENTS = (1, 16, 32, 64)
LARGE_PUTS = 4
#: Less what the codec adds.
LARGE_BYTES = VALUE_BYTES_MAX - 16
#: As nodes are set if nothing is said.
HEARTBEAT_S = 0.5
CLUSTERS = (3, 10, 30, 100)
#: Each member has written so many times: a seq of five bytes.
SEQ = 1_000_000


def memory_mib(node: LocalNode, line: str = "VmRSS") -> float:
    """What it has in memory now; with VmHWM, the most that it ever had."""
    assert node.process is not None
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return int(status.partition(f"{line}:")[2].split()[0]) / 1024


def put_large_values(node: LocalNode, clients: int) -> None:
    """Have so many clients put at once."""

    def put(number: int) -> None:
        with node.client() as client:
            for _ in range(LARGE_PUTS):
                client.put(f"large {number}", random.randbytes(LARGE_BYTES))

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(put, range(clients)))


def heartbeat_bytes(nodes: int) -> int:
    """Both frames of a heartbeat in a cluster of so many."""
    vector = {new_origin(f"node-{n}", n + 1, n): SEQ for n in range(nodes)}
    claim = Claim("node-0", 1 << 62, vector, vector, 1 << 127, vector, 1 << 50)
    header = Header("kvnode", claim.name, claim.instance, CLAIM)
    return len(encode_header(header)) + len(encode_claim(claim))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keys", type=int, default=KEYS)
    keys = parser.parse_args().keys
    flags = ("--log-keep-s", "0", "--log-keep-mib", "1")
    with (
        tempfile.TemporaryDirectory() as directory,
        LocalCluster(["X"], Path(directory), *flags) as cluster,
    ):
        node = cluster["X"]
        with node.client() as client:
            client.ping()
        print(f"idle: {memory_mib(node):.0f} MiB of memory")
        load(node, keys, VALUE_BYTES, PUTS_IN_A_REQUEST)
        with node.client() as client:
            until("the log is short", lambda: client.status()["log"]["bytes"] <= MIB, 600)
        used = size_bytes(node.data)
        print(
            f"{keys:,} keys: {memory_mib(node):.0f} MiB of memory, "
            f"{used / keys:.0f} bytes of disk each"
        )
    for clients in CLIENTS:
        with (
            tempfile.TemporaryDirectory() as directory,
            LocalCluster(["X"], Path(directory)) as one,
        ):
            put_large_values(one["X"], clients)
            peak = memory_mib(one["X"], "VmHWM")
        print(f"{clients} clients with values of 8 MiB: at most {peak:,.0f} MiB of memory")
    for nodes in CLUSTERS:
        size = heartbeat_bytes(nodes)
        rate = (nodes - 1) * size / HEARTBEAT_S / 1024
        print(f"{nodes} nodes: {size:,} bytes a heartbeat, {rate:,.0f} KiB/s out, and in, each")


if __name__ == "__main__":
    main()
