"""Where a daemon will not start: it says so in one clear line."""

from __future__ import annotations

import signal

import pytest

from kvnode.cli.cluster import until


def refusal_to_start(node):
    """Start it in vain: the one line that it leaves, and exit code 1."""
    node.start()
    until("it ends", lambda: node.process.poll() is not None)
    assert node.stop() == 1
    (line,) = node.log.read_text().splitlines()
    assert " ERROR " in line
    return line


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
