"""Nodes that can't all reach each other, as behind firewalls and NAT, are one cluster all the same.

What is closed is closed before the nodes start, and stays so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import pytest

from kvnode.cli.cluster import until
from tests.nemesis.cluster import PEOPLE, NamespacedCluster
from tests.nemesis.network import Network

GOSSIP_PORT = 7412

#: At 200 ms each, and on a machine that is busy.
FEW_HEARTBEATS_S = 1.0

Make = Callable[..., NamespacedCluster]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Starts nodes of which some gossip to nobody, and some are behind NAT."""
    with ExitStack() as stack:

        def make(names: str, *, mute: str = "", behind_nat: str = "") -> NamespacedCluster:
            network = stack.enter_context(Network([*names, PEOPLE]))
            for name in mute:
                drop(network, name, "--dport", str(GOSSIP_PORT))
            for name in behind_nat:
                drop(network, name)
            return stack.enter_context(NamespacedCluster(names, tmp_path, network))

        yield make


def drop(network: Network, name: str, *which: str) -> None:
    """No other node can open a connection to this one; the people's clients can."""
    people = network.address(PEOPLE)
    new = ("-p", "tcp", "--syn", "!", "-s", people, *which)
    network.run(name, "iptables", "-w", "-A", "INPUT", *new, "-j", "DROP")


def come(cluster: NamespacedCluster, source: str, target: str) -> float:
    """How long a write takes from one node to another, in the middle of several."""
    times = []
    with cluster[source].client() as writer, cluster[target].client() as reader:
        for number in range(7):
            key, started = f"{source} to {target} {number}", time.monotonic()
            writer.put(key, number)
            until("it comes", lambda key=key: reader.get(key) is not None)
            times.append(time.monotonic() - started)
    return median(times)


def are_one(cluster: NamespacedCluster) -> None:
    """All are members to each other, none is late, and writes come soon from each to each."""
    names = set(cluster.nodes)
    for node in cluster.nodes.values():
        until("all are members", lambda node=node: node.knows(names))
    for source in names:
        for target in names - {source}:
            assert come(cluster, source, target) < FEW_HEARTBEATS_S, (source, target)
    for node in cluster.nodes.values():
        with node.client() as client:
            client.put("on all", node.name, replicas=len(names))
            until(
                "it hears all",
                lambda client=client: all(it["alive"] for it in client.members()),
            )
        assert node.status()["unheard"] == []
    until("all agree", cluster.agree)
    assert cluster.our_faults() == []


def test_a_node_whose_gossip_comes_to_nobody_is_a_full_member(make: Make) -> None:
    are_one(make("ABC", mute="A"))


def test_a_cluster_where_no_gossip_comes_is_one(make: Make) -> None:
    are_one(make("ABC", mute="ABC"))


def test_a_node_behind_nat_is_a_full_member(make: Make) -> None:
    are_one(make("AB", behind_nat="B"))


def test_a_node_behind_nat_is_a_full_member_though_no_gossip_comes_to_it(make: Make) -> None:
    are_one(make("ABC", mute="ABC", behind_nat="B"))


def test_two_nodes_behind_nat_have_each_others_writes_from_a_third(make: Make) -> None:
    cluster = make("ABC", behind_nat="AB")
    for node in cluster.nodes.values():
        until("all are members", lambda node=node: node.knows(set("ABC")))
    for source, target in ("AB", "BA"):
        assert come(cluster, source, target) < 5 * FEW_HEARTBEATS_S
    until("all agree", cluster.agree)
