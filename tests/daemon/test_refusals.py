"""What a daemon will not do: it says so in one clear line."""

from __future__ import annotations

import signal

import pytest

from kvnode.cli.cluster import LocalNode, until


def lines(node, text):
    """The lines of its log that have this text."""
    return [line for line in node.log.read_text().splitlines() if text in line]


def refusal_to_start(node):
    """Start it in vain: the one line that it leaves, and exit code 1."""
    node.start()
    until("it ends", lambda: node.process.poll() is not None)
    assert node.stop() == 1
    (line,) = node.log.read_text().splitlines()
    assert " ERROR " in line
    return line


def refusal_by(node):
    """Why it does not take its one peer."""
    node.hears_all()
    return node.status()["peers"][0]["refusal"]


@pytest.fixture
def x(make_node):
    """A node that runs, and writes."""
    node = make_node("X")
    node.start()
    with node.client() as client:
        client.put("k", "v")
    return node


@pytest.fixture
def other(x, make_node):
    """Makes one that is not started: its data directory is X's, if nothing else is said."""

    def other(name, *flags):
        node = make_node(name, *flags)
        node.data, node.log = x.data, x.log.with_name("other.log")
        return node

    return other


def still_serves(node):
    with node.client() as client:
        return client.get("k") == "v"


def test_a_second_daemon_on_one_data_directory_is_refused(x, other):
    line = refusal_to_start(other("X"))
    assert f"the data directory {x.data} is in use by process {x.process.pid}" in line
    assert still_serves(x)


def test_the_data_directory_of_a_killed_daemon_is_free(x, other):
    x.stop(signal.SIGKILL)
    node = other("X")
    node.start()
    assert still_serves(node)


def test_the_data_directory_of_another_node_is_refused(x, other):
    x.stop()
    line = refusal_to_start(other("Y"))
    assert str(x.data) in line and "belongs to" in line and "'X'" in line and "'Y'" in line


def test_the_data_directory_of_another_cluster_is_refused(x, other):
    x.stop()
    line = refusal_to_start(other("X", "--cluster", "elsewhere"))
    assert "belongs to" in line and "'elsewhere'" in line


@pytest.mark.parametrize("socket", ["listen", "gossip"])
def test_a_port_in_use_is_named(socket, x, make_node):
    node = make_node("Y")
    setattr(node, socket, getattr(x, socket))
    line = refusal_to_start(node)
    assert getattr(x, socket) in line and "Address already in use" in line
    assert still_serves(x)


def test_a_data_directory_that_is_a_file_is_refused(make_node):
    node = make_node("X")
    node.data.write_text("")
    assert str(node.data) in refusal_to_start(node)


def test_a_peer_of_another_cluster_is_refused_and_both_logs_say_so(make_node):
    x, y = make_node("X", "--cluster", "red"), make_node("Y", "--cluster", "blue")
    x.peers, y.peers = [y.listen], [x.listen]
    x.start()
    y.start()
    for one, other in ((x, y), (y, x)):
        reason = until("it is refused", lambda one=one: refusal_by(one))
        assert "'red'" in reason and "'blue'" in reason
        assert len(lines(one, f"peer at {other.listen} {reason}")) == 1
    with x.client() as client:
        client.put("k", "v")
    with y.client() as client:
        assert client.get("k") is None


def test_a_node_that_is_greeted_by_another_cluster_says_so_too(make_node):
    x, y = make_node("X", "--cluster", "red"), make_node("Y", "--cluster", "blue")
    x.peers = [y.listen]
    x.start()
    y.start()
    until("X is refused", lambda: refusal_by(x))
    assert [line for line in lines(y, "'red'") if "'blue'" in line]
    assert sum(y.status()["complaints"].values()) >= 1


def test_a_node_among_its_own_peers_is_left_out(make_node):
    x, y = make_node("X"), make_node("Y")
    x.peers, y.peers = [x.listen, y.listen], [x.listen]
    x.start()
    y.start()
    assert until("it knows itself", lambda: refusal_by(x)) == "is this node itself"
    with x.client() as client:
        client.put("k", "v")
    until("Y has it", lambda: still_serves(y))
    until("X knows Y", lambda: [it["name"] for it in x.status()["peers"]] == [None, "Y"])
    assert len(lines(x, "is this node itself")) == 1


def test_two_nodes_of_one_name_are_reported_by_both(make_node, tmp_path):
    one, other = make_node("X"), LocalNode("X", tmp_path / "other", ["--heartbeat-ms", "100"])
    other.data.mkdir(parents=True)
    one.peers, other.peers = [other.listen], [one.listen]
    one.start()
    other.start()
    try:
        for node in (one, other):
            reason = until("it is refused", lambda node=node: refusal_by(node))
            assert "bears this node's name 'X'" in reason
            assert len(lines(node, reason)) == 1
    finally:
        other.stop()


def test_two_peers_of_one_name_are_reported_by_a_third(make_node, tmp_path):
    x, y = make_node("X"), make_node("Y")
    other = LocalNode("Y", tmp_path / "other", ["--heartbeat-ms", "100"])
    other.data.mkdir(parents=True)
    x.peers = [y.listen, other.listen]
    for node in (x, y, other):
        node.start()
    try:
        until("both have answered", lambda: len(lines(x, " peer ")) >= 2)
        refusals = [peer["refusal"] for peer in x.status()["peers"]]
        assert any(refusal and "'Y'" in refusal for refusal in refusals), refusals
    finally:
        other.stop()
