"""Memory is bounded, whatever stands still and however large a state is to be sent."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from kvnode.cli.cluster import until
from kvnode.core.limits import GOSSIP_BYTES_MAX, MIB
from kvnode.transport.sockets import GOSSIP_HIGH_WATER
from tests.survival.survivors import (
    TINY_LOG,
    all_agree,
    cut_off,
    expect_sound_disks,
    read_many,
    write_many,
)

#: What a stuck subscriber may cost, and what memory grows by itself meanwhile.
STUCK_BYTES_MAX = GOSSIP_HIGH_WATER * GOSSIP_BYTES_MAX + 40 * MIB

VALUE = "v" * 100_000


def memory_bytes(node, kind="VmRSS"):
    """What it takes now (VmRSS), or took at the most (VmHWM)."""
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(kind))
    return int(line.split()[1]) * 1024


@contextmanager
def standing_still(node):
    """It is stopped as by Ctrl-Z: its connections live, and nobody reads them."""
    os.kill(node.process.pid, signal.SIGSTOP)
    yield
    os.kill(node.process.pid, signal.SIGCONT)


def write(node, prefix, count):
    for at in range(0, count, 20):
        write_many(node, {f"{prefix}/{n}": VALUE for n in range(at, min(at + 20, count))})


@pytest.mark.slow
def test_a_subscriber_that_stands_still_costs_the_others_no_memory(make_cluster):
    cluster = make_cluster("XYZ", "--log-keep-mib", "1", "--log-keep-s", "0")
    x, z = cluster["X"], cluster["Z"]
    with cluster:
        cluster.wait_for_mesh()
        write(x, "warm", 2_000)  # RocksDB's own buffers are full from now on
        all_agree(cluster)
        before_bytes = memory_bytes(x)
        with standing_still(z):
            write(x, "load", 4_000)
            grown_bytes = memory_bytes(x) - before_bytes
        assert grown_bytes < STUCK_BYTES_MAX < 4_000 * len(VALUE)
        all_agree(cluster)
        keys = [f"load/{n}" for n in range(0, 4_000, 100)]
        assert read_many(z, keys) == dict.fromkeys(keys, VALUE)
    expect_sound_disks(cluster)


@pytest.mark.slow
def test_a_snapshot_takes_no_more_memory_at_either_end_however_large_the_state(make_cluster):
    """The state is of 400 MB; the fetching node has one of its own, so that both are folded."""
    cluster = make_cluster("XYZ", *TINY_LOG)
    x, z = cluster["X"], cluster["Z"]
    with cluster:
        cluster.wait_for_mesh()
        all_agree(cluster)
        with cut_off(cluster, "Z"):
            write(z, "theirs", 1_000)
            write(x, "mine", 4_000)
            until("X and Y agree", lambda: cluster["Y"].status()["vector"] == x.status()["vector"])
            served_bytes = memory_bytes(x, "VmHWM")
            fetched_bytes = memory_bytes(z, "VmHWM")
        statuses = all_agree(cluster)
        assert statuses["Z"]["snapshots_taken"] >= 1
        assert memory_bytes(x, "VmHWM") - served_bytes < 150 * MIB
        assert memory_bytes(z, "VmHWM") - fetched_bytes < 150 * MIB
        keys = [f"{whose}/{n}" for whose in ("mine", "theirs") for n in range(0, 1_000, 100)]
        for node in cluster.nodes.values():
            assert read_many(node, keys) == dict.fromkeys(keys, VALUE)
    expect_sound_disks(cluster)
