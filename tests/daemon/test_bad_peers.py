"""Peers that answer what they should not: it is told, and the node goes on."""

from __future__ import annotations

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
    "a greeting of no name": ("ok", "kvnode", "", 1, "tcp://127.0.0.1:1", False, None, False),
    "a greeting of no instance": (
        "ok",
        "kvnode",
        "F",
        "1",
        "tcp://127.0.0.1:1",
        False,
        None,
        False,
    ),
    "a greeting of no address": ("ok", "kvnode", "F", 1, None, False, None, False),
    "a greeting that does not say": (
        "ok",
        "kvnode",
        "F",
        1,
        "tcp://127.0.0.1:1",
        None,
        None,
        False,
    ),
    "2,000 levels": [2000 * b"\x91" + b"\xc0"],
}

BAD_PULLED = {
    "garbage": [b"\xc1"],
    "no batches": ("ok",),
    "batches in words": ("ok", ["batch"]),
    "a batch of garbage": ("ok", [b"\xc1"]),
    "one good batch and garbage": ("ok", [BATCH, b"\xc1"]),
}


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
    until("it is taken", lambda: node.status()["vector"].get(ORIGIN))
    with node.client() as client:
        assert client.get("k") == 1


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


@pytest.mark.parametrize(
    "address", ["", "nowhere", "ipc://namesake", "tcp://here:1\n2026 ERROR X: forged"]
)
def test_a_namesake_at_an_impossible_address_is_counted(address, fake, start):
    fake.namesake = address
    node = start(fake.listen)
    until("it is counted", lambda: complaints(node, "bad_addresses"))
    assert [peer["address"] for peer in node.status()["peers"]] == [fake.listen]
    assert not [it for it in node.log.read_text().splitlines() if it.startswith("2026 ERROR")]


def test_a_peer_whose_clock_is_far_ahead_is_told_and_the_log_warns_once(start, fake):
    node = start(fake.listen)
    fake.until_heard(node)

    def told(ahead_s):
        fake.claim({}, ahead_s=ahead_s)
        return node.status()["clocks_ahead_ms"]

    ahead_ms = until("its clock is told", lambda: told(3600))["F"]
    assert 3_590_000 < ahead_ms <= 3_600_000
    for _ in range(3):
        fake.claim({}, ahead_s=3600)
    until("its clock is right again", lambda: not told(0))
    assert complaints(node, "clocks_ahead") == 1
    assert "clocks ahead: that of F by 3599 s" in node.log.read_text()
