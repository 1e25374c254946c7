"""What a node with an empty disk says: nothing, until somebody who may know better was heard."""

from __future__ import annotations

import shutil
import signal

import pytest

from kvnode import Client, Unavailable
from kvnode.cli.cluster import until
from tests.conftest import FLAGS
from tests.daemon.test_bad_gossip import ORIGIN, written

#: Longer than a node takes to doubt, and to wait for peers that it does not hear.
LONG_S = 4


def joins(node):
    return node.status()["joining"]


def has_joined(node):
    return not joins(node) and node.status()["caught_up"]


def waits(node):
    """Why it still joins, by the address that it waits for."""
    return {it["address"]: it["reason"] for it in node.status()["unheard"]}


def expect_nothing_of(node, token=None):
    """It answers no session, and takes no write."""
    with Client(node.listen, token=token, timeout_s=30, wait_s=0) as client:
        for asked in (
            lambda: client.get("k"),
            lambda: client.put("k", "another", if_absent=True),
            lambda: list(client.scan()),
            lambda: client.watch("k").poll(0),
        ):
            with pytest.raises(Unavailable, match="disk was empty"):
                asked()


def joins_for_long(node):
    until("it has waited for long", lambda: node.status()["uptime_s"] >= LONG_S)
    return joins(node)


@pytest.fixture
def three(make_node):
    """X, which founded the cluster, Y and Z, who all have X's write; and the session of it."""
    nodes = [make_node(name) for name in "XYZ"]
    for node in nodes:
        node.peers = [] if node is nodes[0] else [it.listen for it in nodes if it is not node]
        node.start()
    for node in nodes:
        until(f"{node.name} is ready", lambda node=node: has_joined(node))
    with nodes[0].client() as client:
        client.put("k", "v", replicas=3)
        return nodes, client.token


def test_a_wiped_node_that_is_cut_off_believes_no_emptiness_and_calls_nothing_lost(three):
    (x, y, z), token = three
    y.stop(signal.SIGKILL)
    shutil.rmtree(y.data)
    for node in (x, z):
        node.process.send_signal(signal.SIGSTOP)
    y.start()
    assert joins_for_long(y)
    expect_nothing_of(y)
    expect_nothing_of(y, token)
    for node in (x, z):
        node.process.send_signal(signal.SIGCONT)
    until("it has joined", lambda: has_joined(y))
    with y.client(token=token) as client:
        assert client.get("k") == "v"
        assert [it.value for it in client.read("k")] == ["v"]


def test_an_empty_node_believes_no_other_that_waits_itself(three, make_node):
    """It was told of that one alone, which knows who has the data."""
    (x, y, z), _ = three
    y.stop(signal.SIGKILL)
    shutil.rmtree(y.data)
    for node in (x, z):
        node.process.send_signal(signal.SIGSTOP)
    y.start()
    late = make_node("W")
    late.peers = [y.listen]
    late.start()
    until("it is told whom Y waits for", lambda: waits(late).keys() == {x.listen, z.listen})
    assert joins_for_long(late)
    for node in (y, late):
        expect_nothing_of(node)
    for node in (x, z):
        node.process.send_signal(signal.SIGCONT)
    until("it has joined", lambda: has_joined(late))
    with late.client() as client:
        assert client.get("k") == "v"


def test_a_founder_goes_on_serving_whoever_is_there_before_it(make_node):
    """Their records come before its own is written."""
    x, y, z = (make_node(name, "--heartbeat-ms", "1000") for name in "XYZ")
    for node in (y, z):
        node.peers = [x.listen]
        node.start()
    x.start()
    with x.client() as client:
        until("all are members", lambda: client.put("k", "v") and x.knows({"X", "Y", "Z"}))
    assert "joining" not in x.log.read_text()


def test_a_founder_goes_on_serving_though_a_second_node_of_its_name_greets_it(make_node, tmp_path):
    x = make_node("X", "--heartbeat-ms", "1000")
    second = type(x)("X", tmp_path / "second", FLAGS)
    second.data.parent.mkdir()
    second.peers = [x.listen]
    try:
        second.start()
        x.start()
        with x.client() as client:
            until("it hears of the second", lambda: client.put("k", "v") and waits(x))
            client.put("k", "w")
        assert joins(second)
    finally:
        second.stop(signal.SIGKILL)


def test_nodes_that_are_told_their_own_addresses_by_another_name_found_a_cluster(make_node):
    nodes = [make_node(name) for name in "XYZ"]
    for node in nodes:
        node.peers = [it.listen.replace("127.0.0.1", "localhost") for it in nodes]
        node.launch()
    for node in nodes:
        node.wait_until_it_listens()
        until(f"{node.name} serves", lambda node=node: has_joined(node))
        assert waits(node) == {}


def test_a_member_that_is_started_without_addresses_is_not_ready_before_it_heard_the_others(three):
    (x, y, z), _ = three
    x.stop()
    for node in (y, z):
        node.process.send_signal(signal.SIGSTOP)
    assert x.peers == []
    x.start()
    assert x.status()["caught_up"] is False
    with x.client() as client:
        assert client.get("k") == "v", "it answers from what it has"
    until("it has waited for long enough", lambda: x.status()["caught_up"])


def test_that_a_peer_has_greeted_it_does_not_count(make_node, fake):
    y = make_node("Y")
    y.peers = [fake.listen]
    y.start()
    told = "answered, but has not said what it has"
    until("it was greeted", lambda: waits(y) == {fake.listen: told})
    assert joins_for_long(y)
    expect_nothing_of(y)


def test_a_node_that_was_killed_while_it_joined_joins_on_though_it_has_something(make_node, fake):
    y = make_node("Y")
    y.peers = [fake.listen]
    y.start()
    until("it hears of two", lambda: fake.claim({ORIGIN: 2}) or not waits(y))
    fake.publish_batch(written(1, b"\x01"))
    until("it has one of them", lambda: y.status()["incarnations"] == 1)
    expect_nothing_of(y)
    y.stop(signal.SIGKILL)
    y.start()
    assert joins_for_long(y)
    assert y.status()["incarnations"] == 1
    expect_nothing_of(y)
    until("it hears of them again", lambda: fake.claim({ORIGIN: 2}) or not waits(y))
    fake.publish_batch(written(2, b"\x02"))
    until("it has both", lambda: has_joined(y))
    with y.client() as client:
        assert client.get("k") == 2


def test_who_is_told_of_nobody_founds_a_cluster_and_serves_at_once(make_node):
    x = make_node("X")
    x.start()
    with x.client() as client:
        client.put("k", "v")
        assert client.get("k") == "v"


def test_nodes_that_are_all_given_the_same_addresses_found_one_together(make_node):
    nodes = [make_node(name) for name in "XYZ"]
    for node in nodes:
        node.peers = [it.listen for it in nodes]
    for node in nodes[:2]:
        node.start()
    for node in nodes[:2]:
        assert joins_for_long(node)
        assert list(waits(node)) == [nodes[2].listen]
    nodes[2].start()
    for node in nodes:
        until(f"{node.name} serves", lambda node=node: has_joined(node))


def test_to_go_on_alone_on_purpose_is_to_start_without_addresses(make_node):
    x, y = make_node("X"), make_node("Y")
    y.peers = [x.listen]
    y.start()
    assert joins_for_long(y)
    y.stop()
    y.peers = []
    y.start()
    with y.client() as client:
        client.put("k", "v")


@pytest.mark.parametrize("told", ["its gossip port", "nobody's", "another cluster's"])
def test_who_is_told_of_the_wrong_address_says_so_and_is_not_ready(make_node, told):
    flags = ["--cluster", "blue"] if told == "another cluster's" else []
    x, y = make_node("X", *flags), make_node("Y")
    if told != "nobody's":
        x.start()
    y.peers = [x.gossip if told == "its gossip port" else x.listen]
    y.start()
    assert joins_for_long(y)
    assert list(waits(y)) == y.peers
    expect_nothing_of(y)
    until("it says so", lambda: "still joining: not heard: " in y.log.read_text())
    assert "start it without --join" in y.log.read_text()


def test_the_second_node_of_a_name_is_not_ready(make_node, tmp_path):
    x, y = make_node("X"), make_node("Y")
    x.start()
    y.peers = [x.listen]
    y.start()
    until("they are two", lambda: has_joined(y))
    second = type(y)("Y", tmp_path / "second", FLAGS)
    second.data.parent.mkdir()
    second.peers = [y.listen]
    try:
        second.start()
        assert joins_for_long(second)
        assert "bears" in waits(second)[y.listen]
        expect_nothing_of(second)
    finally:
        second.stop(signal.SIGKILL)


def test_the_second_node_of_a_name_is_not_ready_though_a_third_one_hears_it(three, tmp_path):
    (x, y, _), _ = three
    second = type(y)("Y", tmp_path / "second", FLAGS)
    second.data.parent.mkdir()
    second.peers = [x.listen]
    try:
        second.start()
        until("it serves", lambda: not joins(second))
        until("Y refuses it", lambda: y.listen in waits(second))
        until("it has waited for long", lambda: second.status()["uptime_s"] >= LONG_S)
        assert not second.status()["caught_up"]
    finally:
        second.stop(signal.SIGKILL)


def test_with_data_a_node_answers_alone_though_its_peers_refuse_it_but_is_not_ready(make_node):
    x = make_node("X", "--cluster", "blue")
    x.start()
    y = make_node("Y")
    y.start()
    with y.client() as client:
        client.put("k", "v")
    y.stop()
    y.peers = [x.listen]
    y.start()
    with y.client() as client:
        assert client.get("k") == "v"
    until("it has waited for long", lambda: y.status()["uptime_s"] >= LONG_S)
    assert not y.status()["caught_up"]
    assert not joins(y)
