"""The mesh: who is a peer, who is none and why, and that peers are followed where they go."""

from __future__ import annotations

import shutil
import signal
from contextlib import ExitStack

import pytest
import zmq

from kvnode.cli.cluster import LocalNode, until
from kvnode.codec.batches import encode_batch
from kvnode.codec.calls import Call
from kvnode.codec.client import Greeting, Introduction
from kvnode.codec.gossip import AWAITED, BATCH, encode_awaited
from kvnode.core.batch import Change
from kvnode.core.messages import Fetch, Inputs, Pull
from kvnode.core.repair import ALIVE_HEARTBEATS
from kvnode.core.vector import Dot, new_origin
from kvnode.daemon.links import Links
from kvnode.daemon.logs import Complaints
from kvnode.daemon.mesh import Mesh
from kvnode.transport.sockets import FRAME_BYTES_MAX
from tests.conftest import FLAGS, start_with_data
from tests.daemon.fake_peer import FakePeer

ORIGIN = new_origin("F", 1, 1)
HEARTBEAT_US = 100_000


def lines(node, text):
    """The lines of its log that have this text."""
    return [line for line in node.log.read_text().splitlines() if text in line]


def refusal(node):
    """Why it does not take its first peer."""
    return node.status()["peers"][0]["refusal"]


@pytest.mark.parametrize("address", ["", "nowhere", "tcp://*:1", "tcp://", "smoke://signals"])
def test_a_peer_with_an_impossible_gossip_address_is_told(address, fake, start):
    fake.gossip = address
    node = start(fake.listen)
    assert repr(address) in until("it is told", lambda: refusal(node))
    assert node.process.poll() is None


def test_a_peer_that_was_refused_is_taken_once_it_is_sound(fake, start):
    fake.cluster = "elsewhere"
    node = start(fake.listen)
    assert "'elsewhere'" in until("it is refused", lambda: refusal(node))
    fake.cluster = "kvnode"
    fake.until_heard(node)
    assert refusal(node) is None


def test_a_peer_that_turns_bad_is_not_heard_any_more(fake, start):
    node = start(fake.listen)
    fake.until_heard(node)
    fake.cluster = "elsewhere"
    until("it is refused", lambda: refusal(node))
    assert node.status()["peers"][0]["name"] is None


@pytest.mark.parametrize("answer", [("ok",), ("error", "unknown_operation", "what?", False), b""])
def test_a_peer_that_waits_for_its_writes_is_told_whatever_it_says_to_that(answer, fake, start):
    node = start(fake.listen)
    fake.until_heard(node)
    fake.reported = answer if isinstance(answer, tuple) else [answer]
    for seq in (1, 2):
        fake.publish(fake.header(AWAITED), encode_awaited(Dot(ORIGIN, seq)))
        write = ((Change(b"k", b"v"),),)
        fake.publish_batch(encode_batch(ORIGIN, seq, {}, seq, write))
        until("it reports", lambda seq=seq: len(fake.reports) == seq)
        report = fake.reports[-1]
        assert (report.name, report.origin, report.seq) == ("X", ORIGIN, seq)
    assert refusal(node) is None
    assert node.status()["peers"][0]["name"] == "F"


def test_a_peer_that_moves_its_gossip_is_followed(fake, start):
    node = start(fake.listen)
    fake.until_heard(node)
    fake.move()
    batch = encode_batch(ORIGIN, 1, {}, 1, (((Change(b"k", b"\x01")),),))

    def heard():
        fake.publish_batch(batch)
        with node.client() as client:
            return client.get("k")

    until("it is followed", heard)


def test_a_peer_known_by_two_addresses_may_move(fake, start):
    node = start(fake.listen, fake.listen.replace("127.0.0.1", "localhost"))
    until("both answer", lambda: all(peer["name"] for peer in node.status()["peers"]))
    fake.move()

    def both_are_followed():
        assert node.process.poll() is None, node.log.read_text()
        return node.log.read_text().count(fake.gossip) == 2

    until("both are followed", both_are_followed)
    fake.until_heard(node)


def test_two_peers_that_gossip_at_one_address_may_part(start):
    with ExitStack() as stack:
        one, other = (stack.enter_context(FakePeer(name)) for name in "FG")
        address, other.gossip = other.gossip, one.gossip
        node = start(one.listen, other.listen)
        until("both answer", lambda: all(peer["name"] for peer in node.status()["peers"]))
        other.gossip = address
        until(
            "it is followed",
            lambda: f"G at {other.listen}, gossip at {address}" in node.log.read_text(),
        )
        one.until_heard(node)
        other.until_heard(node)


# --- ZeroMQ gives a connection up for good after what it could not read


def test_a_peer_is_heard_again_after_gossip_that_no_node_can_read(fake, start):
    node = start(fake.listen)
    fake.until_heard(node)
    fake.publish(fake.header(BATCH), bytes(FRAME_BYTES_MAX + 1))
    batch = encode_batch(ORIGIN, 1, {}, 1, (((Change(b"k", b"\x01")),),))

    def heard():
        fake.publish_batch(batch)
        with node.client() as client:
            return client.get("k")

    until("it is heard", heard)


def test_a_peer_is_asked_again_after_an_answer_that_no_node_can_read(fake, start):
    batch = encode_batch(ORIGIN, 1, {}, 1, (((Change(b"k", b"\x01")),),))
    answers = [[bytes(FRAME_BYTES_MAX + 1)]]
    fake.pulled = lambda _: answers.pop() if answers else ("ok", [batch])
    node = start(fake.listen)
    fake.until_heard(node)

    def answered():
        fake.claim({ORIGIN: 1})
        return ORIGIN in node.status()["vector"]

    until("it answers", answered)
    assert answers == []


# --- whether there is a way to ask


@pytest.fixture
def mesh():
    """Of a node that knows one address, where nobody listens."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as free:
        nobody = f"tcp://127.0.0.1:{free.bind_to_random_port('tcp://127.0.0.1')}"
        free.unbind(nobody)
        mesh = Mesh(
            context,
            zmq.Poller(),
            Introduction("c", "X", 1, "tcp://127.0.0.1:1", "tcp://127.0.0.1:2", None),
            (nobody,),
            Links(),
            Complaints(),
            endpoint="",
            heartbeat_us=HEARTBEAT_US,
        )
        yield mesh
        mesh.close()


QUESTIONS = [Pull("Y", {}), Fetch("Y", None, b"")]


@pytest.mark.parametrize("question", QUESTIONS)
def test_nobody_of_an_unknown_name_can_be_asked(question, mesh):
    assert mesh.pull(question, 0) is False


@pytest.mark.parametrize("question", QUESTIONS)
def test_who_can_not_be_reached_can_not_be_asked(question, mesh):
    (peer,) = mesh.peers
    greeting = Greeting("c", "Y", 2, "tcp://127.0.0.1:3", False, None, False)
    mesh.neighbours.greeted(peer, greeting, 0)
    assert mesh.pull(question, 0) is False


@pytest.mark.parametrize("question", QUESTIONS)
def test_who_calls_can_be_asked_as_long_as_it_does(question, mesh):
    introduction = Introduction("c", "Y", 2, "tcp://10.99.99.99:1", "tcp://10.99.99.99:2", None)
    mesh.neighbours.introduced(introduction, 0)
    mesh.called(Call("Y", 2, True, ()), Inputs(), 0)
    silent_us = ALIVE_HEARTBEATS * HEARTBEAT_US
    assert mesh.pull(question, silent_us - 1) is True
    assert mesh.pull(question, silent_us) is False


# --- other nodes


def test_a_peer_of_another_cluster_is_refused_and_both_logs_say_so(make_node):
    x, y = make_node("X", "--cluster", "red"), make_node("Y", "--cluster", "blue")
    x.peers, y.peers = [y.listen], [x.listen]
    start_with_data(x)
    start_with_data(y)
    for one, other in ((x, y), (y, x)):
        reason = until("it is refused", lambda one=one: refusal(one))
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
    until("X is refused", lambda: refusal(x))
    assert [line for line in lines(y, "'red'") if "'blue'" in line]
    assert sum(y.status()["complaints"].values()) >= 1


def test_all_nodes_may_be_given_the_same_addresses(make_node):
    x, y = make_node("X"), make_node("Y")
    x.peers = y.peers = [x.listen, y.listen]
    x.start()
    y.start()
    for node, other in ((x, "Y"), (y, "X")):
        until("they know each other", lambda node=node: node.hears_all())
        assert [it["name"] for it in node.status()["peers"]] == [other]
        assert not lines(node, "ERROR")


def test_a_node_among_its_own_peers_under_another_address_is_left_out(make_node):
    x, y = make_node("X"), make_node("Y")
    x.peers, y.peers = [x.listen.replace("127.0.0.1", "localhost"), y.listen], [x.listen]
    start_with_data(x)
    y.start()
    with x.client() as client:
        client.put("k", "v")
    with y.client() as client:
        until("Y has it", lambda: client.get("k") == "v")
    until("X knows Y alone", lambda: [it["name"] for it in x.status()["peers"]] == ["Y"])
    assert x.status()["unheard"] == []
    assert not lines(x, "ERROR")


def test_known_addresses_that_are_not_accounted_for_are_told_with_the_reason(make_node):
    x, y, stranger = make_node("X"), make_node("Y"), make_node("Z", "--cluster", "blue")
    x.peers = [y.listen, stranger.listen, "tcp://nowhere.invalid:7411"]
    for node in (x, stranger):
        node.start()

    def unheard():
        return {it["address"].partition(" ")[0]: it["reason"] for it in x.status()["unheard"]}

    def are_all_judged():
        told = unheard()
        kinds = {
            y.listen: "never answered",
            stranger.listen: ("refused: ", "refuses us: "),
            "tcp://nowhere.invalid:7411": "host unknown: ",
        }
        return told.keys() == kinds.keys() and all(told[at].startswith(kinds[at]) for at in kinds)

    until("all are judged", are_all_judged)
    y.start()
    until("Y is heard", lambda: y.listen not in unheard())


def test_two_nodes_of_one_name_are_reported_by_both(make_node, tmp_path):
    one, other = make_node("X"), LocalNode("X", tmp_path / "other", ["--heartbeat-ms", "100"])
    other.data.mkdir(parents=True)
    one.peers, other.peers = [other.listen], [one.listen]
    one.start()
    other.start()
    try:
        for node in (one, other):
            reason = until("it is refused", lambda node=node: refusal(node))
            assert "this node bears the name 'X' too; two live nodes must not" in reason
            assert len(lines(node, f"ERROR   X: peer at {node.peers[0]} {reason}")) == 1
    finally:
        other.stop()


def test_a_copied_directory_that_is_started_twice_keeps_no_write_to_itself(make_node, tmp_path):
    """Both processes are reported, and what either acknowledges reaches all."""
    y, x = make_node("Y"), make_node("X")
    x.peers, y.peers = [y.listen], [x.listen]
    x.start()
    y.start()
    with x.client() as client:
        client.put("before", 0)
    assert x.stop() == 0
    copy = LocalNode("X", tmp_path / "copy", ["--heartbeat-ms", "100"])
    shutil.copytree(x.data, copy.data)
    copy.peers = [y.listen]
    x.start()
    until("Y knows X", lambda: "X" in [peer["name"] for peer in y.status()["peers"]])
    copy.start()
    try:
        nodes = {"x": x, "copy": copy, "y": y}
        for name, node in nodes.items():
            for at in range(20):
                with node.client() as client:
                    client.put(f"{name} {at}", at)
        until(
            "all have all",
            lambda: len({str(sorted(n.status()["vector"].items())) for n in nodes.values()}) == 1,
        )
        for node in nodes.values():
            with node.client() as client:
                for name in nodes:
                    keys = [f"{name} {at}" for at in range(20)]
                    assert client.get_many(keys) == list(range(20)), name
        reported = [peer["refusal"] for peer in y.status()["peers"] if peer["refusal"]]
        assert len(reported) == 1 and "two live nodes must not" in reported[0]
        until("it is told", lambda: "two live nodes must not" in str(copy.status()["peers"]))
        # When the first is gone, the other is X.
        x.stop(signal.SIGKILL)
        until("it is X now", lambda: [p["name"] for p in y.status()["peers"] if p["name"] == "X"])
        with copy.client() as client:
            client.put("after", 1)
        with y.client() as client:
            until("Y has it", lambda: client.get("after") == 1)
    finally:
        copy.stop()


def test_two_peers_of_one_name_are_reported_by_a_third(make_node, tmp_path):
    x, y = make_node("X"), make_node("Y")
    other = LocalNode("Y", tmp_path / "other", ["--heartbeat-ms", "100"])
    other.data.mkdir(parents=True)
    x.peers = [y.listen, other.listen]
    for node in (x, y, other):
        node.start()
    try:

        def refused():
            return [peer["refusal"] for peer in x.status()["peers"] if peer["refusal"]]

        (reason,) = until("one of them is told of", refused)
        assert "'Y'" in reason
    finally:
        other.stop()


# --- what is at an address before a node is


def test_a_peer_is_found_where_another_socket_was_and_what_is_wrong_is_told(make_node):
    """ZeroMQ gives a connection to another kind of socket up for good."""
    x, y = make_node("X"), make_node("Y")
    x.peers = [y.gossip]
    y.start()
    x.start()

    def told():
        return [it["reason"] for it in x.status()["unheard"]]

    until("it is told", lambda: "a gossip port listens there" in str(told()))
    told_of = until("the log has it", lambda: lines(x, f"peer at {y.gossip} is not heard"))
    assert "a gossip port listens there; give the port of that node's --listen" in told_of[0]
    until("there is an alarm", lambda: "does not hear" in str(x.status()["alarms"]))
    with x.client() as client:
        (own,) = client.members()
        assert own["lag_updates"] is None, "nobody knows"
    y.stop()
    there = LocalNode("Z", y.data.parent, FLAGS, addresses=(y.gossip, y.listen))
    there.start()
    try:
        until("Z is heard", lambda: told() == [])
        until("both are members", lambda: x.knows({"X", "Z"}))
        until("the alarm has ended", lambda: x.status()["alarms"] == [])
    finally:
        there.stop()


def test_a_peer_whose_gossip_address_was_another_socket_is_heard_there_later(fake, start):
    """And until then by calls."""
    fake.move_to_another_socket()
    fake.wants_calls = True
    node = start(fake.listen)
    until("it is greeted", lambda: node.status()["peers"][0]["name"])
    until("the node calls", lambda: fake.calls)
    fake.move_back()
    fake.until_heard(node)
