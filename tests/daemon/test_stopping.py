"""SIGTERM and SIGINT: a daemon answers what waits, and goes in order."""

from __future__ import annotations

import signal
import time

import pytest

from kvnode.cli.cluster import until
from kvnode.codec import client as ask
from kvnode.codec.client import encode_request
from kvnode.codec.token import encode_token
from kvnode.core.vector import new_origin
from tests.daemon.raw import Raw

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)

#: A session that has seen what no node has.
AHEAD = encode_token("kvnode", {new_origin("Z", 1, 1): 1})

#: Far less than the deadlines of the requests that wait, far more than it takes.
SOON_S = 5.0

SHUTTING_DOWN = "the node is shutting down; nothing was done"


def parked(operation):
    """A request of such a session, which waits for long."""
    return encode_request(7, AHEAD, 60_000, [operation])


@SIGNALS
def test_a_stopped_node_answers_its_parked_requests_and_exits_with_0(number, make_node):
    node = make_node("X")
    node.start()
    with Raw(node) as one, Raw(node) as other:
        one.send(parked(ask.get(b"k")))
        other.send(parked(ask.put(b"k", b"v")))
        until("both are parked", lambda: node.status()["parked_requests"] == 2)
        start = time.monotonic()
        assert node.stop(number) == 0
        took_s = time.monotonic() - start
        for waiting in (one, other):
            assert waiting.error() == (7, "unavailable", SHUTTING_DOWN)
    assert took_s < SOON_S
    log = node.log.read_text()
    assert "closed cleanly" in log and "Traceback" not in log


@SIGNALS
def test_an_idle_node_stops_at_once(number, make_cluster):
    cluster = make_cluster("XY")
    with cluster:
        cluster.wait_for_mesh()
        start = time.monotonic()
        assert [node.stop(number) for node in cluster.nodes.values()] == [0, 0]
        assert time.monotonic() - start < 2 * SOON_S


def test_two_signals_in_a_row_are_as_good_as_one(make_node):
    node = make_node("X")
    node.start()
    with Raw(node) as client:
        client.send(parked(ask.get(b"k")))
        until("it is parked", lambda: node.status()["parked_requests"])
        node.process.send_signal(signal.SIGINT)
        assert node.stop(signal.SIGTERM) == 0
        assert client.error() == (7, "unavailable", SHUTTING_DOWN)


def test_a_stopped_node_goes_on_where_it_was(make_node):
    node = make_node(
        "X", "--heartbeat-ms", "60000"
    )  # so that it is looked at before it says who it is
    for start in range(3):
        node.start()
        with node.client() as client:
            assert client.get("starts", 0) == start
            client.put("starts", start + 1)
        before = node.status()
        assert node.stop() == 0
    node.start()
    after = node.status()
    assert (after["vector"], after["digest"]) == (before["vector"], before["digest"])


@pytest.mark.parametrize("durability", ["interval", "never"])
def test_an_orderly_end_keeps_all_under_every_durability(durability, make_node):
    node = make_node("X", "--durability", durability)
    node.start()
    with node.client() as client:
        client.put("k", "v")
        assert client.status()["durability"] == durability
    assert node.stop() == 0
    node.start()
    with node.client() as client:
        assert client.get("k") == "v"
