"""One node for all tests of a module that do it no lasting harm; and peers that are no nodes."""

from __future__ import annotations

import pytest

from kvnode.cli.cluster import LocalNode
from tests.conftest import start_with_data
from tests.daemon.fake_peer import FakePeer


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """It must still be there at the end, and go in order."""
    node = LocalNode("X", tmp_path_factory.mktemp("node"), [])
    node.start()
    yield node
    assert node.stop() == 0


@pytest.fixture
def fake():
    with FakePeer() as fake:
        yield fake


@pytest.fixture
def start(make_node):
    """Starts a node with these peers; with data, so that it waits for none of them."""

    def start(*peers, has_data=False):
        node = make_node("X")
        node.peers = list(peers)
        (start_with_data if has_data else LocalNode.start)(node)
        return node

    return start
