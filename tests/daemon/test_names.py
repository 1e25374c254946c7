"""Peers that are known by names, where nobody can say what these stand for."""

from __future__ import annotations

import socket
import subprocess
import time

import pytest

from kvnode.cli.cluster import PATIENCE_S, LocalNode, until
from kvnode.client.sync import Client
from tests.conftest import FLAGS

#: A name is asked for twice, five seconds each: this is well below what is left of that.
AT_ONCE_S = 4

MOUNTED = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


@pytest.fixture
def name_server():
    """One that is asked, and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        try:
            server.bind(("127.0.74.11", 53))
        except PermissionError:
            pytest.skip("not root: a name server can't be played")
        server.settimeout(PATIENCE_S)
        yield server


@pytest.fixture
def lost(name_server, tmp_path):
    """A node that asks this name server for its peer."""
    address, _ = name_server.getsockname()
    file = tmp_path / "resolv.conf"
    file.write_text(f"nameserver {address}\n")
    alone = ["unshare", "--mount", "sh", "-c", MOUNTED, str(file)]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this root may not mount: the name server can't be changed")
    node = LocalNode("X", tmp_path, FLAGS, prefix=alone)
    node.peers = ["tcp://peer.example.net:7411"]
    node.start()
    yield node
    if node.process is not None:
        node.stop()


def heard(name_server):
    """Until the node has asked, and waits."""
    question, _ = name_server.recvfrom(1024)
    assert b"example" in question


def test_clients_are_answered_while_the_node_asks_for_a_name_in_vain(name_server, lost):
    heard(name_server)
    with Client(lost.listen, timeout_s=AT_ONCE_S, wait_s=0) as client:
        for n in range(10):
            client.put(f"k/{n}", n)
        assert client.count("k/") == 10


def test_a_node_that_asks_for_a_name_in_vain_ends_at_once(name_server, lost):
    heard(name_server)
    until("it answers", lambda: lost.status())
    started = time.monotonic()
    assert lost.stop() == 0
    assert time.monotonic() - started < AT_ONCE_S
