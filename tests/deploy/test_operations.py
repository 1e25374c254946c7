"""What docs/OPERATIONS.md has one do, done with real daemons: it comes out as it promises."""

from __future__ import annotations

import shutil
import signal

import pytest

from kvnode.cli import kvnode as kvnode_program
from kvnode.cli.cluster import PATIENCE_S, LocalNode, until
from kvnode.cli.kv import main as kv_main
from tests.conftest import FLAGS


@pytest.fixture
def cluster(make_cluster):
    """X, Y and Z, that have what was written at each."""
    cluster = make_cluster("XYZ")
    for node in cluster.nodes.values():
        node.start()
    cluster.wait_for_mesh()
    for name, node in cluster.nodes.items():
        with node.client() as client:
            client.put(f"by {name}", name)
    until("they agree", lambda: has_all(cluster.nodes.values()) and cluster.agree())
    return cluster


def has_all(nodes, names="XYZ"):
    def found(node):
        with node.client() as client:
            return [client.get(f"by {name}") for name in names]

    return all(found(node) == list(names) for node in nodes)


def kv(node, *arguments):
    return kv_main(["--node", node.listen, "--timeout", str(PATIENCE_S), *arguments])


def alive(node):
    with node.client() as client:
        return sorted(member["name"] for member in client.members() if member["alive"])


def kill(node):
    node.stop(signal.SIGKILL)
    shutil.rmtree(node.data)


def test_a_whole_cluster_comes_back_from_one_backup(cluster, tmp_path):
    x, y, z = cluster.nodes.values()
    assert kvnode_program.main(["backup", "monday", "--node", x.listen]) == 0
    backup = tmp_path / "elsewhere"
    shutil.copytree(x.data / "backups" / "monday", backup)
    for node in (x, y, z):
        kill(node)

    assert kvnode_program.main(["check", str(backup)]) == 0
    assert kvnode_program.main(["restore", str(backup), "--data", str(x.data)]) == 0
    x.start()
    assert has_all([x])
    y.start()
    z.start()
    until("all have joined", lambda: all(alive(it) == list("XYZ") for it in (x, y, z)))
    until("all have all", lambda: has_all([x, y, z]) and cluster.agree())
    assert not any(status["alarms"] for status in cluster.statuses().values())
    for node in (x, y, z):
        assert kv(node, "put", "after", node.name) == 0


def test_a_node_that_lost_its_disk_is_started_anew_under_its_name(cluster):
    x, z = cluster["X"], cluster["Z"]
    kill(z)
    z.start()
    until("it is ready", lambda: kv(z, "ping", "--ready") == 0)
    assert has_all([z])
    until("it is a member as before", lambda: alive(x) == list("XYZ"))
    until("all agree", cluster.agree)


def test_a_node_that_is_added_has_all_when_it_is_ready(cluster, tmp_path):
    added = LocalNode("N", tmp_path, FLAGS)
    added.peers = [cluster["X"].listen]
    added.start()
    try:
        until("it is ready", lambda: kv(added, "ping", "--ready") == 0)
        assert has_all([added])
        until("the others know it", lambda: alive(cluster["Y"]) == list("NXYZ"))
    finally:
        added.stop()


def test_a_node_that_is_taken_away_leaves_all_that_it_had(cluster):
    x, y, z = cluster.nodes.values()
    with z.client() as client:
        client.put("by the last", "Z")
    assert kv(z, "lag", "--max", "0", "--within", "60") == 0
    assert z.stop() == 0
    shutil.rmtree(z.data)
    until("it counts as silent", lambda: alive(x) == ["X", "Y"])
    assert kv(x, "forget", "Z") == 0
    assert has_all([x, y])
    for node in (x, y):
        with node.client() as client:
            assert client.get("by the last") == "Z"
    until("no log is kept for it", lambda: kv(y, "lag", "--max", "0") == 0)
