"""`kv ping --alive` and `--ready`: what probes ask."""

from __future__ import annotations

import json

import pytest

from kvnode.cli.cluster import until
from tests.client.fake_node import FakeNode, answering, silent
from tests.daemon.fake_peer import FakePeer
from tests.daemon.test_bad_gossip import ORIGIN

FULL = {"serving": True, "writable": False, "failures": 1, "last_error": "no space left"}

# What a node's status has, and why that is not ready.
UNREADY = [
    ({"storage": FULL}, "its disk takes no writes: no space left"),
    ({"folding": True}, "it is putting a snapshot in place"),
    ({"joining": True, "registered": False}, "it is joining: it has no data yet, its peers do"),
    ({"registered": False}, "it has just started, and fetches what it has missed"),
]


@pytest.fixture
def status(trio):
    with trio["X"].client() as client:
        return client.status()


def test_a_node_in_full_working_order_is_alive_and_ready(at_x):
    assert at_x("ping", "--alive") == (0, b"X\n", "")
    assert at_x("ping", "--ready") == (0, b"X\n", "")
    assert at_x("ping", "--ready", "--json") == (0, b'{"name": "X"}\n', "")


@pytest.mark.parametrize(("changes", "reason"), UNREADY)
def test_a_node_that_clients_had_better_leave_alone_is_alive_but_not_ready(
    changes, reason, kv, status
):
    said = f"X is not ready: {reason}"
    with FakeNode(answering(("ok", status | changes))) as node:
        assert kv("--node", node.listen, "ping", "--alive") == (0, b"X\n", "")
        assert kv("--node", node.listen, "ping", "--ready") == (5, b"", f"kv: {said}\n")
        code, output, errors = kv("--node", node.listen, "ping", "--ready", "--json")
    assert (code, json.loads(output)["message"], errors) == (5, said, "")


@pytest.mark.parametrize("flag", ["--alive", "--ready"])
def test_a_node_that_says_nothing_is_neither(flag, kv):
    with FakeNode(silent) as node:
        assert kv("--node", node.listen, "--timeout", "0.1", "ping", flag).code == 3


def test_both_at_once_are_a_mistake(at_x):
    assert at_x("ping", "--alive", "--ready").code == 2


def test_a_node_is_not_ready_before_it_has_what_its_peers_have(kv, make_node):
    # Its heartbeats are so rare that its peer does not count as silent before the test is over.
    node = make_node("X", "--heartbeat-ms", "5000")
    with FakePeer() as peer:
        node.peers = [peer.listen]
        node.start()
        until("it hears its peer", lambda: peer.claim({ORIGIN: 1}) or node.status()["joining"])
        assert kv("--node", node.listen, "ping", "--alive").code == 0
        assert kv("--node", node.listen, "ping", "--ready").code == 5


def test_a_node_that_is_alone_is_ready_soon(kv, make_node):
    node = make_node("X")
    node.start()
    until("it is ready", lambda: kv("--node", node.listen, "ping", "--ready").code == 0)
    assert node.status()["vector"], "by then it has written who it is"
