"""SIGTERM and SIGINT: a daemon answers what waits, and goes in order."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from kvnode.cli.cluster import until
from kvnode.codec.token import encode_token
from kvnode.core.vector import new_origin
from kvnode.errors import Unavailable

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)

#: A session that has seen what no node has.
AHEAD = encode_token("kvnode", {new_origin("Z", 1, 1): 1})

#: Far less than the deadlines of the requests that wait, far more than it takes.
SOON_S = 5.0


@SIGNALS
def test_a_stopped_node_answers_its_parked_requests_and_exits_with_0(number, make_node):
    node = make_node("X")
    node.start()
    with ThreadPoolExecutor(3) as pool, node.client(AHEAD) as one, node.client(AHEAD) as other:
        parked = [pool.submit(one.get, "k"), pool.submit(other.put, "k", "v")]
        until("both are parked", lambda: node.status()["parked_requests"] == 2)
        start = time.monotonic()
        assert node.stop(number) == 0
        took_s = time.monotonic() - start
        for waiting in parked:
            with pytest.raises(Unavailable, match="shutting down; nothing was done"):
                waiting.result()
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
    with node.client(AHEAD) as client, ThreadPoolExecutor(1) as pool:
        parked = pool.submit(client.get, "k")
        until("it is parked", lambda: node.status()["parked_requests"])
        node.process.send_signal(signal.SIGINT)
        assert node.stop(signal.SIGTERM) == 0
        with pytest.raises(Unavailable):
            parked.result()


def test_a_stopped_node_goes_on_where_it_was(make_node):
    node = make_node("X")
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
