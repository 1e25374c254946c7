"""Writes that wait for other nodes' disks, on real nodes."""

from __future__ import annotations

import asyncio
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from kvnode import AsyncClient, Overloaded, Unreplicated
from kvnode.cli.cluster import PATIENCE_S, LocalCluster, LocalNode, until
from kvnode.core.limits import GOSSIP_BYTES_MAX
from kvnode.core.vector import name_of

#: Rare enough that what came in time did not come by heartbeats.
HEARTBEAT_S = 4
WRITES = 20

#: By heartbeats alone, so many writes in a row need twice as long at least: each waits for the next
#: heartbeat of one of two nodes.
SOON_S = (WRITES - 1) * HEARTBEAT_S / 2 / 2

MODES = pytest.mark.parametrize("replicas", [2, 3])


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """Three nodes whose heartbeats are rare; all are members."""
    flags = ("--heartbeat-ms", str(1000 * HEARTBEAT_S))
    with LocalCluster("XYZ", tmp_path_factory.mktemp("quiet"), *flags) as cluster:
        for node in cluster.nodes.values():
            with node.client() as client:
                until(f"{node.name} answers", lambda c=client: c.ping())
        cluster.wait_for_mesh()
        yield cluster


def names_told(node, **options):
    """Who had a write that waited in vain."""
    with node.client() as client:
        client.ping()  # to connect is a part of the time
        with pytest.raises(Unreplicated) as raised:
            client.put("k", "v", **options)
    assert name_of(raised.value.dot[0]) == node.name
    with node.client() as client:
        assert client.get("k") == "v", "the write is there"
    return raised.value.names


# --- quickly


@MODES
def test_between_heartbeats_reports_bring_it_about(quiet, replicas):
    with quiet["X"].client() as client:
        start = time.monotonic()
        for number in range(WRITES):
            client.put("quick", number, replicas=replicas, timeout_s=PATIENCE_S)
        assert time.monotonic() - start < SOON_S


def test_a_write_too_large_for_gossip_is_pulled_and_reported(quiet):
    with quiet["Y"].client() as client:
        start = time.monotonic()
        for number in range(WRITES):
            value = bytes([number]) * (GOSSIP_BYTES_MAX + 1)
            client.put("large", value, replicas=3, timeout_s=PATIENCE_S)
        assert time.monotonic() - start < SOON_S
    with quiet["Z"].client() as client:
        assert client.get("large") == value, "who is counted has it"


def test_every_kind_of_write_can_wait(quiet):
    concern = {"replicas": 3, "timeout_s": PATIENCE_S}
    with quiet["X"].client() as client:
        client.put_many({"a": 1, "b": 2}, **concern)
        client.put("a", 2, if_version=client.read("a"), **concern)
        assert client.transact(puts={"c": 3}, reads=["a", "c"], **concern).values == [2, 3]
        client.delete("b", **concern)
        client.delete_many(["c"], **concern)
        with client.pipeline(**concern) as pipeline:
            pipeline.put("d", 4)
            read = pipeline.get("a")
        assert read.result() == 2
    with quiet["Z"].client() as client:
        assert client.get_many(["a", "b", "c", "d"]) == [2, None, None, 4]


def test_many_coroutines_wait_at_once(quiet):
    async def write():
        async with AsyncClient(quiet["X"].listen, timeout_s=PATIENCE_S) as client:
            writes = (client.put(f"n/{n}", n, replicas=3, timeout_s=PATIENCE_S) for n in range(200))
            await asyncio.gather(*writes)

    asyncio.run(write())
    assert quiet["X"].status()["awaiting_replicas"] == 0


# --- in vain


def test_more_than_there_are_is_told_when_the_time_is_up(quiet):
    assert names_told(quiet["X"], replicas=4, timeout_s=3) == ["X", "Y", "Z"]


def test_a_node_that_is_down_is_not_counted_until_it_is_back(make_cluster):
    with make_cluster("XYZ") as cluster:
        cluster.wait_for_mesh()
        cluster["Z"].stop(signal.SIGKILL)
        assert names_told(cluster["X"], replicas=3, timeout_s=3) == ["X", "Y"]
        with ThreadPoolExecutor(1) as pool, cluster["X"].client() as client:
            waiting = pool.submit(client.put, "k", "w", replicas=3, timeout_s=PATIENCE_S)
            until("it waits", lambda: cluster["X"].status()["awaiting_replicas"] == 1)
            cluster["Z"].start()
            assert waiting.result()


def test_who_is_not_heard_is_not_counted_though_it_has_the_write(make_cluster):
    with make_cluster("XY") as cluster, cluster["X"].client() as client:
        cluster.wait_for_mesh()
        client.put("before", 1, replicas=2, timeout_s=PATIENCE_S)
        client.fault("Y", "gossip", "hold")
        assert names_told(cluster["X"], replicas=2, timeout_s=3) == ["X"]
        client.fault("Y", "gossip", "pass")
        client.put("after", 1, replicas=2, timeout_s=PATIENCE_S)


def test_two_processes_of_one_name_are_one_member(make_cluster, tmp_path):
    with make_cluster("XY") as cluster:
        cluster.wait_for_mesh()

        def is_heard():
            peers = cluster["X"].status()["peers"]
            told = any("bears the name" in (peer["refusal"] or "") for peer in peers)
            return told and second.status()["vector"] == cluster["X"].status()["vector"]

        second = LocalNode("Y", tmp_path / "second", ["--heartbeat-ms", "100"])
        second.data.parent.mkdir()
        second.peers = [cluster["X"].listen]
        second.start()
        try:
            until("it is heard, and has all", is_heard)
            assert names_told(cluster["X"], replicas=3, timeout_s=3) == ["X", "Y"]
        finally:
            second.stop(signal.SIGKILL)


def test_who_waits_at_a_node_that_stops_is_told(make_cluster):
    with (
        make_cluster("X") as cluster,
        ThreadPoolExecutor(1) as pool,
        cluster["X"].client() as client,
    ):
        waiting = pool.submit(client.put, "k", "v", replicas=2, timeout_s=600)
        until("it waits", lambda: cluster["X"].status()["awaiting_replicas"] == 1)
        assert cluster["X"].stop() == 0
        with pytest.raises(Unreplicated, match=r"1 of 2 members .*\(X\): .*shutting down"):
            waiting.result()


# --- durability


def test_with_interval_a_write_counts_once_it_is_synced(make_cluster):
    with make_cluster("XY", "--durability", "interval") as cluster:
        cluster.wait_for_mesh()
        with cluster["X"].client() as client:
            client.put("k", "v", replicas=2, timeout_s=PATIENCE_S)


def test_with_never_a_write_waits_in_vain(make_cluster):
    with make_cluster("X", "--durability", "never") as cluster, cluster["X"].client() as client:
        client.put("opens the incarnation", 1)
        assert names_told(cluster["X"], replicas=1, timeout_s=3) == []


# --- abuse


def test_who_waits_leaves_others_their_turn_and_beyond_the_limit_is_refused(make_cluster):
    async def crowd(address):
        clients = [AsyncClient(address, timeout_s=PATIENCE_S) for _ in range(21)]
        try:
            waiting = [
                c.put("k", 1, replicas=9, timeout_s=600) for c in clients for _ in range(500)
            ]
            tasks = [asyncio.ensure_future(each) for each in waiting]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            with pytest.raises(Overloaded, match="nothing was done"):
                done.pop().result()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for client in clients:
                await client.close()

    with make_cluster("X") as cluster, cluster["X"].client() as client:
        client.put("before", 1)
        asyncio.run(crowd(cluster["X"].listen))
        assert client.get("before") == 1
        assert cluster["X"].status()["awaiting_replicas"] == 10_000
