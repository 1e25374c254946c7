"""Whatever a client may put comes over whatever link stays up, in about the time that its bytes
take; and who sends it lives."""

from __future__ import annotations

import os
import time

import pytest

from kvnode import Refused
from kvnode.cli.cluster import until
from tests.daemon.slow_link import SlowLink

BYTES_PER_S = 250_000
VALUE = os.urandom(2_500_000)
BYTES_S = len(VALUE) / BYTES_PER_S

#: A link on which no message comes for twenty of them is made anew: sooner than the value comes.
HEARTBEATS = ("--heartbeat-ms", "200")


@pytest.fixture
def link():
    with SlowLink(BYTES_PER_S) as link:
        yield link


@pytest.fixture
def make_pair(link, make_node):
    """X, with more settings, and Y. All that X sends to Y goes over the link, whoever opened the
    connection; the other way is fast."""

    def make(*flags):
        x, y = make_node("X", *HEARTBEATS, *flags), make_node("Y", *HEARTBEATS)
        y.peers = [link.gate(x.listen)]
        x._flags += ["--advertise-listen", *y.peers, "--advertise-gossip", link.gate(x.gossip)]
        y._flags += ["--advertise-listen", link.gate(y.listen, is_towards=True)]
        return x, y

    return make


@pytest.fixture
def pair(make_pair):
    """Both are members."""
    x, y = make_pair()
    x.start()
    y.start()
    until("both are members", lambda: x.knows({"X", "Y"}) and y.knows({"X", "Y"}))
    return x, y


def wait_for(node, key, bytes_s, meanwhile=lambda client: None):
    """How long it takes until the key is there."""
    begun_s = time.monotonic()
    with node.client() as client:
        while client.get(key) is None:
            assert time.monotonic() < begun_s + 5 * bytes_s, "it never comes"
            meanwhile(client)
            time.sleep(0.1)
    return time.monotonic() - begun_s


def expect_alive(client):
    (member,) = (it for it in client.members() if it["name"] == "X")
    assert member["alive"], member
    with pytest.raises(Refused, match="alive"):
        client.forget("X")


def test_a_large_value_comes_in_the_time_that_its_bytes_take(link, pair):
    x, y = pair
    before = link.carried_bytes
    with x.client() as client:
        client.put("large", VALUE)
    assert wait_for(y, "large", BYTES_S, expect_alive) < 2 * BYTES_S
    assert link.carried_bytes - before < 1.5 * len(VALUE)


@pytest.mark.slow
def test_what_came_before_a_link_was_cut_does_not_come_again(link, pair):
    x, y = pair
    before = link.carried_bytes
    with x.client() as client:
        client.put("large", VALUE)
    cuts = [0.3, 0.6, 0.9]

    def cut(_):
        if cuts and link.carried_bytes - before > cuts[0] * len(VALUE):
            del cuts[0]
            link.cut()

    wait_for(y, "large", 2 * BYTES_S, cut)
    assert not cuts
    assert link.carried_bytes - before < 1.5 * len(VALUE)


def test_who_sends_many_writes_lives_though_its_heartbeats_wait_behind_them(link, pair):
    x, y = pair
    link.bytes_per_s = 100_000
    with x.client() as client:
        for number in range(20):
            client.put(f"k{number}", os.urandom(30_000))
        for number in range(4):
            client.put(f"l{number}", os.urandom(100_000))
        client.put("last", "v")
    wait_for(y, "last", 10, expect_alive)


@pytest.mark.slow
def test_a_snapshot_of_large_records_comes_as_well(link, make_pair):
    x, y = make_pair("--log-keep-s", "0", "--log-keep-mib", "0")
    x.start()
    with x.client() as client:
        client.put("large", VALUE)
        client.put("small", "v")
    until("the log is gone", lambda: x.status()["log"]["bytes"] < len(VALUE))
    before = link.carried_bytes
    y.launch()
    y.wait_until_it_listens()
    until("it has joined", lambda: not y.status()["joining"])
    assert y.status()["snapshots_taken"] == 1
    assert link.carried_bytes - before < 1.5 * len(VALUE)
