"""Peers that answer what they should not: it is told, and the node goes on."""

from __future__ import annotations

from contextlib import ExitStack

import msgpack
import pytest

from kvnode.cli.cluster import LocalNode, until
from kvnode.codec.batches import encode_batch
from kvnode.core.batch import Change
from kvnode.core.vector import new_origin
from tests.conftest import FLAGS
from tests.daemon.fake_peer import FakePeer

ORIGIN = new_origin("F", 1, 1)
BATCH = encode_batch(ORIGIN, 1, {}, 1, (((Change(b"k", b"\x01")),),))

BAD_ANSWERS = {
    "an empty frame": [b""],
    "two frames": [b"", b""],
    "garbage": [b"\xc1"],
    "no answer": [msgpack.packb([])],
    "an answer of nothing": [msgpack.packb([0, None, []])],
    "two results": [msgpack.packb([0, None, [["ok"], ["ok"]]])],
    "a result in words": [msgpack.packb([0, None, ["ok"]])],
    "an empty result": [msgpack.packb([0, None, [[]]])],
    "a short greeting": ("ok", "kvnode"),
    "a greeting of no name": ("ok", "kvnode", "", 1, "tcp://127.0.0.1:1"),
    "a greeting of no instance": ("ok", "kvnode", "F", "1", "tcp://127.0.0.1:1"),
    "a greeting of no address": ("ok", "kvnode", "F", 1, None),
    "2,000 levels": [2000 * b"\x91" + b"\xc0"],
}

BAD_PULLED = {
    "garbage": [b"\xc1"],
    "no batches": ("ok",),
    "batches in words": ("ok", ["batch"]),
    "a batch of garbage": ("ok", [b"\xc1"]),
    "one good batch and garbage": ("ok", [BATCH, b"\xc1"]),
}


@pytest.fixture
def fake():
    with FakePeer() as fake:
        yield fake


@pytest.fixture
def start(make_node):
    """Starts a node with these peers."""

    def start(*peers):
        node = make_node("X")
        node.peers = list(peers)
        node.start()
        return node

    return start


def complaints(node, kind):
    return node.status()["complaints"].get(kind, 0)


def refusal(node):
    return node.status()["peers"][0]["refusal"]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """A node whose only peer has not greeted it properly yet, and that peer."""
    node = LocalNode("X", tmp_path_factory.mktemp("stranger"), FLAGS)
    with FakePeer() as fake:
        fake.greeting = lambda: ("error", "unavailable", "not yet", False)
        node.peers = [fake.listen]
        node.start()
        yield node, fake
        fake.greeting = fake.proper_greeting
        fake.until_heard(node)
        assert node.stop() == 0


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_bad_answer_to_a_greeting_is_counted(answer, stranger):
    node, fake = stranger
    before = complaints(node, "malformed_answers")
    fake.greeting = lambda: answer
    until("it is counted", lambda: complaints(node, "malformed_answers") > before)
    assert f"malformed answers: from {fake.listen}: " in node.log.read_text()
    assert node.status()["peers"][0]["name"] is None


@pytest.mark.parametrize("answer", BAD_PULLED.values(), ids=BAD_PULLED)
def test_a_bad_answer_to_a_pull_is_counted_and_a_good_one_taken_later(answer, fake, start):
    fake.pulled = lambda _: answer
    node = start(fake.listen)
    fake.until_heard(node)
    fake.claim({ORIGIN: 1})
    until("it is counted", lambda: complaints(node, "malformed_answers"))
    fake.pulled = lambda _: ("ok", [BATCH])
    with node.client() as client:
        assert until("it is taken", lambda: client.get("k")) == 1


def test_a_pull_that_fails_at_the_peer_is_counted_and_asked_again(fake, start):
    fake.pulled = lambda _: ("error", "unavailable", "no disk today", False)
    node = start(fake.listen)
    fake.until_heard(node)
    fake.claim({ORIGIN: 1})
    until("it is counted", lambda: complaints(node, "failed_pulls"))
    log = node.log.read_text()
    assert f"failed pulls: from {fake.listen}: " in log and "no disk today" in log
    until("it asks again", lambda: len(fake.pulls) >= 2)


def test_a_peer_that_never_answers_a_pull_is_asked_again(fake, start):
    fake.pulled = lambda _: [b"\xc1"]
    node = start(fake.listen)
    fake.until_heard(node)
    fake.claim({ORIGIN: 1})
    until("it asks again", lambda: len(fake.pulls) >= 2)
    assert node.status()["held_batches"] == 0


def test_a_peers_words_stay_on_one_line_of_the_log(fake, start):
    fake.greeting = lambda: ("error", "refused", "no\n2026 ERROR X: forged\x1b[2J", False)
    node = start(fake.listen)
    until("it is told", lambda: refusal(node))
    log = node.log.read_text()
    assert "refuses us" in log
    assert "\x1b" not in log and not [it for it in log.splitlines() if it.startswith("2026 ERROR")]


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
