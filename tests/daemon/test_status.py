"""What a node tells of itself, and of what waits in it."""

from __future__ import annotations

import pytest

from kvnode.codec.batches import decode_batch, encode_batch
from kvnode.codec.records import MemberRecord, encode_member
from kvnode.core.batch import Change
from kvnode.core.requests import Scan, Shows
from kvnode.core.versions import Version
from kvnode.daemon.status import (
    WAITING_SHOWN,
    _addresses,
    node_status,
    replica_status,
    state_of,
)
from tests.daemon.recorded import HEARTBEAT_US, OTHER, Recorded


def others_batch(first):
    """Two writes of a peer."""
    writes = ((Change(b"k", b"1"),), (Change(b"k", b"2"),))
    return decode_batch(encode_batch(OTHER, first, {}, 1_000_000_000, writes))


@pytest.fixture
def node():
    return Recorded()


def test_a_new_replica_has_nothing_waiting(node):
    status = replica_status(node.node.replica)
    assert (status["name"], status["digest"], status["incarnations"]) == ("X", "0" * 32, 0)
    assert (status["held"], status["held_batches"], status["held_bytes"]) == ([], 0, 0)
    assert (status["parked"], status["parked_requests"], status["parked_bytes"]) == ([], 0, 0)


def test_a_held_batch_is_told_with_what_it_waits_for(node):
    early = others_batch(3)
    node.turn(batches=(early,))
    status = replica_status(node.node.replica)
    assert status["held"] == [{"origin": OTHER, "first": 3, "last": 4, "waits_for": (OTHER, 2)}]
    assert (status["held_batches"], status["evicted_batches"]) == (1, 0)
    assert status["held_bytes"] >= len(early.encoded)


def test_a_parked_request_is_told_with_what_it_waits_for(node):
    request = node.get("k", token={OTHER: 2}, wait_us=1_000)
    node.turn(request)
    status = replica_status(node.node.replica)
    assert status["parked"] == [{"id": request.id, "waits_for": (OTHER, 2)}]
    assert (status["parked_requests"], status["parked_bytes"]) == (1, request.size_bytes)


def test_the_cuts_of_scans_are_counted(node):
    node.turn(node.put("a", "v"), node.put("b", "v"))
    scan = Scan(None, None, None, None, 1, False, Shows.KEYS)
    node.turn(node.put("c", "value"), node.request(scan), node.request(scan))
    status = replica_status(node.node.replica)
    assert (status["cuts"], status["cut_bytes"]) == (2, 2 * len("cvalue"))


def test_what_is_delivered_waits_no_more_and_counts(node):
    node.turn(node.get("k", token={OTHER: 4}, wait_us=1_000), batches=(others_batch(3),))
    node.turn(batches=(others_batch(1),))
    status = node_status(node.node, node.now_us)
    assert (status["held"], status["parked"]) == ([], [])
    assert (status["vector"], status["incarnations"]) == ({OTHER: 4}, 1)
    assert status["digest"] != "0" * 32


def test_all_that_waits_is_counted_and_some_is_shown(node):
    count = WAITING_SHOWN + 5
    requests = [node.get("k", token={OTHER: 1}, wait_us=1_000) for _ in range(count)]
    node.turn(*requests, batches=tuple(others_batch(3 + 2 * n) for n in range(count)))
    status = replica_status(node.node.replica)
    assert (status["held_batches"], status["parked_requests"]) == (count, count)
    assert (len(status["held"]), len(status["parked"])) == (WAITING_SHOWN, WAITING_SHOWN)


def test_a_peer_whose_clock_is_far_ahead_is_told_until_it_is_right(node):
    hour_us = 3600 * 1_000_000
    node.turn(claims=(node.others_claim({}, ahead_us=hour_us),))
    assert node_status(node.node, node.now_us)["clocks_ahead_ms"] == {"Y": 3_600_000}
    node.turn(claims=(node.others_claim({}),))
    assert node_status(node.node, node.now_us)["clocks_ahead_ms"] == {}


def test_who_delivered_a_stamp_from_the_future_is_not_blamed_for_it(node):
    """X has a right clock; its stamps go on from that of Y, and its heartbeats do not."""
    future_us = node.now_us + 3600 * 1_000_000
    write = (Change(b"k", b"1"),)
    node.turn(batches=(decode_batch(encode_batch(OTHER, 1, {}, future_us, (write,))),))
    node.turn(node.put("k", "2"))
    assert node_status(node.node, node.now_us)["clock_us"] == future_us + 1
    node.now_us += HEARTBEAT_US
    node.turn()
    assert node.claims[-1].wall_us == node.now_us
    assert node_status(node.node, node.now_us)["clocks_ahead_ms"] == {}


def test_a_disk_that_fails_is_told(node):
    assert node_status(node.node, node.now_us)["storage"]["serving"]
    node.disk.full = True
    node.turn(node.put("k", "v"))
    storage = node_status(node.node, node.now_us)["storage"]
    assert storage["serving"] and not storage["writable"] and storage["failures"] == 1
    assert "no space left" in storage["last_error"]


def test_in_a_few_words_it_joins_or_serves_or_why_it_does_not_in_full(node):
    joins = "joins: its disk was empty, and it has not yet what its peers have"
    assert state_of(node.node) == joins, "before its first turn"
    node.turn(claims=(node.others_claim({OTHER: 1}),))
    assert state_of(node.node) == joins
    node.turn(batches=(others_batch(1),))
    assert state_of(node.node) == "serves"
    node.disk.full = True
    node.turn(node.put("k", "v"))
    reason = node.node.health.last_error
    assert state_of(node.node) == f"takes no writes, but reads go on: {reason}"


def test_in_a_few_words_it_does_not_answer_without_its_disk(node):
    node.disk.full = node.gone = True
    node.turn(node.put("k", "v"))
    assert state_of(node.node) == f"does not answer: {node.node.health.last_error}"


def test_each_address_of_a_member_is_told_once_whoever_wrote_it():
    addresses = ["tcp://y:1", "tcp://y:2", "tcp://y:1", "tcp://y:1"]
    values = [encode_member(MemberRecord(address, "tcp://y:9")) for address in addresses]
    records = [Version(1, OTHER, seq, value) for seq, value in enumerate([*values, b"", b""], 1)]
    assert _addresses(records) == ["tcp://y:1", "tcp://y:2", "unreadable"]
