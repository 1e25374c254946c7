"""What peers publish that they should not: it is counted, and the node goes on."""

from __future__ import annotations

import random

import msgpack
import pytest

from kvnode.cli.cluster import LocalNode, until
from kvnode.client.sync import Client
from kvnode.codec.batches import encode_batch
from kvnode.codec.gossip import AWAITED, BATCH, CLAIM
from kvnode.core.batch import Change
from kvnode.core.clock import STAMP_US_MAX
from kvnode.core.vector import new_origin
from kvnode.errors import Unavailable
from tests.conftest import FLAGS
from tests.daemon.fake_peer import FakePeer

ORIGIN, GONE = new_origin("F", 1, 1), new_origin("G", 1, 1)

#: Fewer than what waits for a subscriber before frames are dropped.
BURST = 50


def header(*parts):
    return msgpack.packb([1, *parts])


def claim(delivered, synced, digest, floor=None):
    body = msgpack.packb([delivered, synced, digest, {} if floor is None else floor])
    return [header("kvnode", "F", 1, CLAIM), body]


def batch(*parts):
    return [header("kvnode", "F", 1, BATCH), msgpack.packb(list(parts))]


def written(first, *values, deps=None, stamp_us=1):
    writes = tuple((Change(b"k", value),) for value in values)
    return encode_batch(ORIGIN, first, deps or {}, stamp_us, writes)


DIGEST = bytes(16)
WRITES = [[[b"k", b"v"]]]

BAD = {
    "an empty frame": [b""],
    "two empty frames": [b"", b""],
    "one frame": [header("kvnode", "F", 1, CLAIM)],
    "three frames": [*claim({}, {}, DIGEST), b""],
    "garbage": [b"\xc1", b"\xc1"],
    "another version": [msgpack.packb([2, "kvnode", "F", 1, CLAIM]), claim({}, {}, DIGEST)[1]],
    "another cluster": [header("elsewhere", "F", 1, CLAIM), claim({}, {}, DIGEST)[1]],
    "an unknown kind": [header("kvnode", "F", 1, "rumour"), b""],
    "no name": [header("kvnode", "", 1, CLAIM), claim({}, {}, DIGEST)[1]],
    "a short header": [header("kvnode"), b""],
    "no instance": [header("kvnode", "F", None, CLAIM), claim({}, {}, DIGEST)[1]],
    "a claim of garbage": [header("kvnode", "F", 1, CLAIM), b"\xc1"],
    "a claim of no vector": claim([], {}, DIGEST),
    "a claim of no origin": claim({"F": 1}, {}, DIGEST),
    "a claim of no seq": claim({}, {ORIGIN: 0}, DIGEST),
    "a claim of a huge seq": claim({ORIGIN: 1 << 63}, {}, DIGEST),
    "a short digest": claim({}, {}, bytes(15)),
    "a claim of no floor": claim({}, {}, DIGEST, floor=[]),
    "a claim 2,000 levels deep": [header("kvnode", "F", 1, CLAIM), 2000 * b"\x91"],
    "an awaited write of garbage": [header("kvnode", "F", 1, AWAITED), b"\xc1"],
    "an awaited write of nobody": [header("kvnode", "F", 1, AWAITED), msgpack.packb(["F", 1])],
    "a batch of garbage": [header("kvnode", "F", 1, BATCH), b"\xc1"],
    "a batch of another format": batch(2, ORIGIN, 1, {}, 1, WRITES),
    "a batch of nobody": batch(1, "F", 1, {}, 1, WRITES),
    "a batch from 0": batch(1, ORIGIN, 0, {}, 1, WRITES),
    "a batch that depends on itself": batch(1, ORIGIN, 2, {ORIGIN: 1}, 1, WRITES),
    "a batch before 1970": batch(1, ORIGIN, 1, {}, 0, WRITES),
    "a batch after 2200": batch(1, ORIGIN, 1, {}, STAMP_US_MAX + 1, WRITES),
    "a batch of nothing": batch(1, ORIGIN, 1, {}, 1, []),
    "a write of nothing": batch(1, ORIGIN, 1, {}, 1, [[]]),
    "a write of one key twice": batch(1, ORIGIN, 1, {}, 1, [[[b"k", b"v"], [b"k"]]]),
    "a key too large": batch(1, ORIGIN, 1, {}, 1, [[[bytes(4097), b"v"]]]),
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A node and its fake peer, which it hears."""
    node = LocalNode("X", tmp_path_factory.mktemp("pair"), FLAGS)
    with FakePeer() as fake:
        node.peers = [fake.listen]
        node.start()
        fake.until_heard(node)
        until("it has written its record", lambda: node.status()["vector"])
        yield node, fake
        assert node.stop() == 0


@pytest.fixture
def new_pair(make_node):
    """The same, for tests after which the node is not what it was."""
    node = make_node("X")
    with FakePeer() as fake:
        node.peers = [fake.listen]
        node.start()
        fake.until_heard(node)
        yield node, fake


def malformed(node):
    return node.status()["complaints"].get("malformed_gossip", 0)


def serves(node):
    with node.client() as client:
        client.put("served", 1)
        return client.get("served") == 1


@pytest.mark.parametrize("frames", BAD.values(), ids=BAD)
def test_bad_gossip_is_counted_and_otherwise_ignored(frames, pair):
    node, fake = pair
    before, vector = malformed(node), node.status()["vector"]
    fake.publish(*frames)
    until("it is counted", lambda: malformed(node) == before + 1)
    assert node.status()["vector"] == vector and node.status()["held_batches"] == 0


def test_much_garbage_is_counted_and_the_node_goes_on(pair):
    node, fake = pair
    rng = random.Random(1)
    for _ in range(20):
        before = malformed(node)
        for _ in range(BURST):
            frames = [rng.randbytes(rng.randrange(100)) for _ in range(rng.choice([1, 2, 2, 3]))]
            fake.publish(*frames)
        until("all are counted", lambda before=before: malformed(node) == before + BURST)
    assert serves(node) and "Traceback" not in node.log.read_text()


def test_complaints_about_gossip_do_not_flood_the_log(pair):
    node, fake = pair
    before, length = malformed(node), len(node.log.read_text().splitlines())
    for _ in range(BURST):
        fake.publish(b"\xc1", b"\xc1")
    until("all are counted", lambda: malformed(node) == before + BURST)
    assert len(node.log.read_text().splitlines()) - length < BURST / 2


def test_a_batch_that_waits_for_what_nobody_has_is_held_and_shown(new_pair):
    node, fake = new_pair
    fake.publish_batch(written(1, b"v", deps={GONE: 3}))
    (held,) = until("it is held", lambda: node.status()["held"])
    assert (held["origin"], held["first"], held["waits_for"]) == (ORIGIN, 1, [GONE, 3])
    assert serves(node)


@pytest.mark.parametrize(
    "batches",
    [
        [written(1, b"a", b"b", b"c"), written(2, b"x")],
        [written(2, b"x"), written(1, b"a", b"b", b"c")],
        [written(1, b"a"), written(1, b"a", b"b", b"c")],
        [written(1, b"a", b"b", b"c"), written(3, b"x", b"y")],
        [written(3, b"x", b"y"), written(2, b"z"), written(1, b"a", b"b")],
        [written(1, b"a", deps={new_origin("F", 1, 2): 5}), written(2, b"b")],
    ],
    ids=["within", "within, early", "again, longer", "beyond", "beyond, early", "lost past"],
)
def test_batches_that_contradict_each_other_do_not_end_the_node(batches, new_pair):
    node, fake = new_pair
    for encoded in batches:
        fake.publish_batch(encoded)
    fake.publish(b"")

    def all_have_come():
        assert node.process.poll() is None, node.log.read_text()
        with Client(node.listen, timeout_s=10.0) as client:
            return client.status()["complaints"].get("malformed_gossip")

    until("all have come", all_have_come)
    assert serves(node)


def test_a_write_from_the_last_moment_is_taken_and_further_ones_are_refused_clearly(new_pair):
    node, fake = new_pair
    fake.publish_batch(written(1, b"\x01", stamp_us=STAMP_US_MAX))
    with node.client() as client:
        assert until("it is there", lambda: client.get("k")) == 1
        with pytest.raises(Unavailable, match="year 2200"):
            client.put("k", 2)
        assert client.get("k") == 1


def test_a_claim_of_what_nobody_gives_leads_to_pulls_and_nothing_else(new_pair):
    node, fake = new_pair
    assert serves(node)  # else it would wait for the data that its peer seems to have
    before = node.status()["vector"]
    fake.claim({ORIGIN: 5, GONE: (1 << 63) - 1})
    until("it pulls", lambda: fake.pulls)
    assert serves(node)
    status = node.status()
    assert status["held_batches"] == 0 and status["vector"].keys() == before.keys()


def test_a_node_without_data_whose_peer_claims_some_says_so(make_node):
    node = make_node("X")
    with FakePeer() as fake:
        node.peers = [fake.listen]
        node.start()
        until("it knows", lambda: fake.claim({ORIGIN: 1}) or not node.status()["unheard"])
        with node.client() as client:
            for asked in (lambda: client.get("k"), lambda: client.put("k", 1)):
                with pytest.raises(Unavailable, match="disk was empty"):
                    asked()
        fake.publish_batch(written(1, b"\x01"))
        until("it has them", lambda: not node.status()["joining"])
        with node.client() as client:
            assert client.get("k") == 1
