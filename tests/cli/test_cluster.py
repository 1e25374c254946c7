"""Real daemons on this machine: how they are started, watched and ended."""

from __future__ import annotations

import signal

import pytest

from kvnode.cli import cluster as cluster_module
from kvnode.cli.cluster import LocalCluster, LocalNode, NotSeen, until


def test_waiting_ends_with_what_was_seen():
    glances = iter([None, 0, "", "seen", "too late"])
    assert until("something is seen", lambda: next(glances)) == "seen"


def test_what_does_not_come_about_is_told_with_what_was_seen_instead():
    with pytest.raises(NotSeen, match=r"not within 0 s: a dodo walks by; last seen: \[\]"):
        until("a dodo walks by", list, patience_s=0)


def test_nodes_of_a_cluster_are_each_others_peers_at_addresses_of_their_own(tmp_path):
    cluster = LocalCluster("XYZ", tmp_path)
    listen = {name: cluster[name].listen for name in "XYZ"}
    for name in "XYZ":
        assert cluster[name].peers == [listen[other] for other in "XYZ" if other != name]
    gossip = {node.gossip for node in cluster.nodes.values()}
    assert len(gossip | set(listen.values())) == 6


def test_leaving_a_cluster_ends_what_runs_of_it(tmp_path):
    with LocalCluster("XYZ", tmp_path) as cluster:
        cluster.wait_for_mesh()
        assert until("all agree", cluster.agree).keys() == set("XYZ")
        processes = [node.process for node in cluster.nodes.values()]
        cluster["Y"].stop(signal.SIGKILL)
    assert [process.poll() for process in processes] == [0, -signal.SIGKILL, 0]


def test_ctrl_c_between_the_starts_of_two_nodes_leaves_none(tmp_path, monkeypatch):
    start, processes = LocalNode.launch, []

    def interrupted_at_the_second(node):
        if processes:
            raise KeyboardInterrupt
        start(node)
        processes.append(node.process)

    monkeypatch.setattr(LocalNode, "launch", interrupted_at_the_second)
    with pytest.raises(KeyboardInterrupt), LocalCluster("XY", tmp_path):
        pytest.fail("it was not interrupted")
    assert processes[0].poll() is not None


def test_a_node_that_ends_at_its_start_is_told_with_what_it_said(tmp_path):
    told = pytest.raises(NotSeen, match=r"(?s)X ended at its start:.*'sometimes'")
    with LocalCluster("X", tmp_path, "--durability", "sometimes") as cluster, told:
        until("it is told", cluster["X"].check)


def test_a_node_that_does_not_stop_is_killed_and_that_is_told(tmp_path, monkeypatch):
    node = LocalNode("X", tmp_path, [])
    node.start()
    process = node.process
    until("it answers", node.status)
    process.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(cluster_module, "PATIENCE_S", 0.1)
    with pytest.raises(NotSeen, match="X did not stop"):
        node.stop()
    assert process.returncode == -signal.SIGKILL


def test_a_node_runs_under_a_command_and_at_addresses_that_are_given(tmp_path):
    free = LocalNode("X", tmp_path, [])
    node = LocalNode(
        "X",
        tmp_path,
        [],
        prefix=["env", "KVNODE_CLUSTER=given"],
        addresses=(free.listen, free.gossip),
    )
    node.start()
    try:
        status = node.status()
    finally:
        assert node.stop() == 0
    assert (status["cluster"], status["listen"]) == ("given", free.listen)
