"""Three real nodes: what one writes all have, also those that were not there."""

from __future__ import annotations

import random
import signal
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import msgpack
import pytest

from kvnode.cli.cluster import until
from kvnode.core.limits import VALUE_BYTES_MAX
from kvnode.core.vector import shown


def value_at(node, key):
    with node.client() as client:
        return client.get(key)


def write(node, items):
    with node.client() as client:
        for key, value in items.items():
            client.put(key, value)


def hold_repair(node, peers, action):
    with node.client() as client:
        for peer in peers:
            client.fault(peer, "repair", action)


@pytest.mark.parametrize("writer", "XYZ")
def test_a_write_at_any_node_reaches_all(writer, trio):
    key = f"from {writer}"
    write(trio[writer], {key: writer})
    for name, node in trio.nodes.items():
        until(f"{name} shows it", lambda node=node: value_at(node, key) == writer)


def test_a_delete_reaches_all(trio):
    write(trio["X"], {"mayfly": 1})
    until("all agree", trio.agree)
    with trio["Y"].client() as client:
        client.delete("mayfly")
    until("all agree", trio.agree)
    assert [value_at(node, "mayfly") for node in trio.nodes.values()] == [None, None, None]


def test_three_that_write_at_once_end_with_equal_vectors_and_digests(trio):
    def write_many(name):
        rng = random.Random(name)
        write(trio[name], {f"k{rng.randrange(50)}-{n % 3}": (name, n) for n in range(300)})

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write_many, trio.nodes))
    statuses = until("all agree", trio.agree)
    for one, other in combinations(statuses.values(), 2):
        assert (one["vector"], one["digest"]) == (other["vector"], other["digest"])
    for n in range(50):
        with trio["X"].client() as x, trio["Y"].client() as y, trio["Z"].client() as z:
            key = f"k{n}-1"
            assert x.read(key) == y.read(key) == z.read(key)


def test_the_largest_values_are_pulled_by_all(trio):
    overhead = len(msgpack.packb(bytes(VALUE_BYTES_MAX - 5))) - (VALUE_BYTES_MAX - 5)
    rng = random.Random(1)
    values = {f"large {n}": rng.randbytes(VALUE_BYTES_MAX - overhead) for n in range(3)}
    for (key, value), node in zip(values.items(), trio.nodes.values(), strict=True):
        write(node, {key: value})
    until("all agree", trio.agree)
    for name, node in trio.nodes.items():
        with node.client() as client:
            assert all(client.get(key) == value for key, value in values.items()), name


def test_gossip_alone_brings_small_writes_and_repair_the_large_ones(trio):
    z = trio["Z"]
    hold_repair(z, "XY", "hold")
    write(trio["X"], {"small": "s"})
    until("gossip brings it", lambda: value_at(z, "small"))
    write(trio["X"], {"large": bytes(1 << 20), "after": "a"})
    until("the large one is missed", lambda: z.status()["held_batches"])
    assert value_at(z, "large") is None and value_at(z, "after") is None
    hold_repair(z, "XY", "pass")
    until("all agree", trio.agree)
    assert value_at(z, "large") == bytes(1 << 20) and value_at(z, "after") == "a"


def test_status_says_who_is_there_and_what_they_lack(trio):
    until("all agree", trio.agree)
    status = until(
        "Y and Z lack nothing",
        lambda: next(
            (s for s in [trio["X"].status()] if all(p["lag_updates"] == 0 for p in s["peers"])),
            None,
        ),
    )
    found = {peer["address"]: peer["name"] for peer in status["peers"]}
    assert found == {trio[name].listen: name for name in "YZ"}
    assert all(peer["refusal"] is None for peer in status["peers"])
    ways = [(peer["heard_by"], peer["asked_by"]) for peer in status["peers"]]
    assert ways == 2 * [("gossip", "link")], "where these work, nobody calls"
    assert status["unheard"] == []
    assert (status["name"], status["cluster"], status["durability"]) == ("X", "kvnode", "always")
    assert status["listen"] == trio["X"].listen and status["gossip"] == trio["X"].gossip
    assert status["storage"] == {
        "serving": True,
        "writable": True,
        "failures": 0,
        "last_error": None,
    }


def test_a_late_node_catches_up(make_cluster):
    cluster = make_cluster("XYZ")
    x, y, z = cluster.nodes.values()
    x.start()
    y.start()
    write(x, {f"k{n}": n for n in range(500)})
    until("Y has joined, though Z is away", lambda: not y.status()["joining"])
    write(y, {"from Y": bytes(1 << 20)})
    z.start()
    statuses = until("all agree", cluster.agree)
    assert {"X": 501, "Y": 2}.items() <= shown(statuses["Z"]["vector"]).items()
    with z.client() as client:
        assert [client.get(f"k{n}") for n in range(500)] == list(range(500))


def test_a_node_alone_answers_from_its_own_disk(make_cluster):
    cluster = make_cluster("XYZ")
    with cluster:
        cluster.wait_for_mesh()
        write(cluster["Y"], {"k": "v"})
        until("all agree", cluster.agree)
        for name in "XY":
            cluster[name].stop(signal.SIGKILL)
        write(cluster["Z"], {"l": "w"})
        assert value_at(cluster["Z"], "k") == "v" and value_at(cluster["Z"], "l") == "w"


def test_a_restart_is_no_complaint(make_cluster):
    cluster = make_cluster("XYZ")
    with cluster:
        cluster.wait_for_mesh()
        for number in (signal.SIGTERM, signal.SIGKILL):
            cluster["Y"].stop(number)
            cluster["Y"].start()
            cluster.wait_for_mesh()
            write(cluster["Y"], {"k": str(number)})
            until("all agree", cluster.agree)
        for name, status in cluster.statuses().items():
            assert not {"refused_calls", "failed_calls"} & status["complaints"].keys(), name


def test_a_killed_node_catches_up_when_it_is_back(make_cluster):
    cluster = make_cluster("XYZ")
    x, y, z = cluster.nodes.values()
    with cluster:
        cluster.wait_for_mesh()
        write(z, {"before": 1})
        assert z.stop(signal.SIGKILL) == -signal.SIGKILL
        write(x, {f"x{n}": n for n in range(100)})
        write(y, {f"y{n}": n for n in range(100)})
        z.start()
        until("all agree", cluster.agree)
        assert value_at(z, "before") == 1 and value_at(x, "before") == 1
        write(z, {"after": 2})
        until("all agree", cluster.agree)
        assert [value_at(node, "after") for node in (x, y)] == [2, 2]
        assert value_at(z, "x99") == 99 and value_at(z, "y99") == 99
