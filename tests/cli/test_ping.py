"""`kv ping --alive` and `--ready`: what probes ask."""

from __future__ import annotations

import json
import threading

import pytest

from kvnode.cli.cluster import until
from tests.client.fake_node import FakeNode, answering, silent
from tests.client.test_sync_failures import nobodys_address
from tests.conftest import start_with_data
from tests.daemon.fake_peer import FakePeer
from tests.daemon.test_bad_gossip import ORIGIN

FULL = {"serving": True, "writable": False, "failures": 1, "last_error": "no space left"}

# What a node's status has, and why that is not ready.
UNREADY = [
    ({"storage": FULL}, "its disk takes no writes: no space left"),
    ({"folding": True}, "it is putting a snapshot in place"),
    (
        {"joining": True, "caught_up": False},
        "it is joining: its disk was empty, and it has not yet what its peers have",
    ),
    ({"caught_up": False}, "it has started, and has not yet what its peers had then"),
    (
        {
            "peers": [{"name": None}],
            "unheard": [{"address": "tcp://y:1", "reason": "refused: no", "refused": True}],
        },
        "all its peers refuse it: tcp://y:1 refused: no",
    ),
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


def test_a_write_at_a_node_that_lacks_what_its_peer_has_does_not_make_it_ready(kv, make_node):
    node = make_node("X", "--heartbeat-ms", "5000")  # rare, as above
    with FakePeer() as peer:  # which claims what it never gives
        node.peers = [peer.listen]
        start_with_data(node)
        until("it lacks that", lambda: peer.claim({ORIGIN: 1}) or peer.pulls)
        ended = kv("--node", node.listen, "ping", "--ready")
    assert ended.code == 5 and "has not yet what its peers had then" in ended.errors


def test_a_node_that_was_away_is_ready_when_it_has_what_was_written_meanwhile(kv, make_cluster):
    cluster = make_cluster("XY")
    with cluster:
        cluster.wait_for_mesh()
        y = cluster["Y"]
        y.stop()
        with cluster["X"].client() as client:
            client.put_many({f"k/{n}": n for n in range(1000)})
            client.put_many({f"k/{n}": n for n in range(1000, 2000)})
        y.start()
        assert kv("--node", y.listen, "ping", "--ready", "--within", "60").code == 0
        with y.client() as client:
            assert client.count("k/", wait_s=0) == 2000


def test_a_node_whose_peers_are_away_is_ready_when_they_were_waited_for(kv, make_node):
    node = make_node("X")
    node.peers = [nobodys_address()]
    start_with_data(node)
    assert kv("--node", node.listen, "ping", "--ready").code == 5
    assert kv("--node", node.listen, "ping", "--ready", "--within", "60").code == 0


def test_a_node_that_all_its_peers_refuse_is_not_ready_and_answers_all_the_same(kv, make_node):
    x, y = make_node("X", "--cluster", "red"), make_node("Y", "--cluster", "blue")
    x.peers = [y.listen]
    start_with_data(x)
    y.start()
    until("it is refused", lambda: x.status()["peers"][0]["refusal"])
    assert kv("--node", x.listen, "put", "k", "v").code == 0
    ended = kv("--node", x.listen, "ping", "--ready", "--within", "5")
    assert ended.code == 5 and "all its peers refuse it: " in ended.errors
    assert "'blue'" in ended.errors


def test_who_is_pinged_within_a_time_is_asked_again_until_it_is_well(kv, status):
    states = iter([status | {"caught_up": False}, status | {"joining": True}, status])
    with FakeNode(lambda asked: answering(("ok", next(states)))(asked)) as node:
        ended = kv("--node", node.listen, "ping", "--ready", "--within", "60")
    assert ended == (0, b"X\n", "") and next(states, None) is None


@pytest.mark.parametrize("flags", [[], ["--alive"], ["--ready"]])
def test_a_node_that_is_not_there_yet_can_be_waited_for(flags, kv, make_node):
    node = make_node("X")
    starter = threading.Timer(0.5, node.start)
    starter.start()
    ended = kv("--timeout", "0.2", "--node", node.listen, "ping", *flags, "--within", "60")
    starter.join()
    assert ended == (0, b"X\n", "")


def test_a_node_that_has_no_peers_is_ready_at_once(kv, make_node):
    node = make_node("X")
    node.start()
    assert kv("--node", node.listen, "ping", "--ready").code == 0
