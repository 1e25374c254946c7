"""A node that puts a snapshot in place: what it does meanwhile, and when the disk fails in it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kvnode.core.limits import MIB, Limits
from kvnode.core.messages import Chunk, Claim, OriginState
from kvnode.core.versions import DIGEST_MODULUS, Version, fingerprint
from kvnode.daemon.node import Durability
from kvnode.daemon.snapshots import SNAPSHOT_IDLE_US
from kvnode.daemon.status import state_of
from kvnode.errors import Refused, StorageError
from tests.daemon.recorded import HEARTBEAT_US, OTHER, SYNC_US, Recorded, failures

#: What the peer has, in a log that starts after it.
THEIRS = {b"theirs %d" % at: (Version(at, OTHER, at, b"value"),) for at in range(1, 6)}


def folding(durability: Durability = Durability.ALWAYS, token: Mapping[str, int] | None = None):
    """A node with two keys of its own that begins to fold in the peer's five, one key a turn. A
    request waits for what the snapshot brings."""
    node = Recorded(durability)
    node.limits = Limits(folded_keys_per_turn=1)
    node.start()
    node.turn(node.put("mine", "1"))
    node.turn(node.put("mine too", "2"))
    node.parked = node.get("theirs 5", token={OTHER: 5}, wait_us=3 * HEARTBEAT_US)
    node.turn(node.parked)
    node.turn(claims=(Claim("Y", 1, {OTHER: 5}, {OTHER: 5}, 0, {OTHER: 5}, node.now_us),))
    assert node.events[-1] == ("pull", "Y")
    digest = sum(fingerprint(key, held[0]) for key, held in THEIRS.items()) % DIGEST_MODULUS
    origins = {OTHER: OriginState(5, 5, {OTHER: 4}, {})}
    node.turn(chunks=(Chunk("Y", 1, b"", 5, digest, origins, THEIRS, None),))
    assert node.node.is_folding
    node.events.clear()
    return node


def finish(node):
    while node.node.is_folding:
        node.turn()


def test_in_the_end_it_has_both_and_answers_who_waited():
    node = folding()
    finish(node)
    assert node.value("theirs 1") == "value" and node.value("mine") == "1"
    (entry,) = node.answers(node.parked.id)
    assert entry.versions[0].value == b"value"


def test_meanwhile_it_sends_requests_elsewhere_and_says_why():
    node = folding()
    assert state_of(node.node) == "puts a snapshot in place"
    requests = [node.get("mine"), node.put("mine", "3")]
    node.turn(*requests)
    assert failures(node, *requests) == 2 * [("joining", False)]


def test_who_waits_is_answered_at_its_deadline_though_the_fold_goes_on():
    node = folding()
    node.now_us += 3 * HEARTBEAT_US - 1
    node.turn()
    assert node.replies[-1].id != node.parked.id
    node.now_us += 1
    node.turn()
    assert node.node.is_folding and failures(node, node.parked) == [("joining", False)]
    finish(node)
    assert failures(node, node.parked) == [("joining", False)], "and not once more"


def test_it_claims_what_it_had_before_so_that_nobody_takes_it_for_dead():
    node = folding()
    for _ in range(3):
        node.now_us += HEARTBEAT_US
        assert ("claim", {node.origins[1]: 2}) in node.turn()


def test_what_is_due_to_be_synced_is():
    node = folding(Durability.INTERVAL)
    node.now_us += SYNC_US
    assert ("sync",) in node.turn()
    assert node.node.is_folding


@pytest.mark.parametrize("slices", [0, 1, 4])
def test_reads_go_on_if_the_disk_is_full_before_the_switch(slices):
    """What is staged does not show, so what is shown is sure."""
    node = folding()
    for _ in range(slices):
        node.turn()
    node.disk.full = True
    while node.node.is_folding:
        node.turn()
    assert node.node.health.serving and not node.node.health.writable
    assert node.value("mine") == "1" and node.value("theirs 1") is None


def test_a_view_that_nobody_reads_is_let_go_with_the_next_heartbeat():
    node = Recorded()
    node.turn(node.put("k", "v"))
    part = node.node.snapshot(None, b"", MIB, node.now_us)
    node.now_us += SNAPSHOT_IDLE_US
    node.turn()
    with pytest.raises(Refused, match="begin another one"):
        node.node.snapshot(part.number, b"", MIB, node.now_us - SNAPSHOT_IDLE_US)


def test_a_read_that_fails_in_a_fold_is_told():
    node = folding()
    node.broken["read"] = StorageError("bad sector")
    node.turn()
    assert not node.node.is_folding and node.node.health.last_error == "bad sector"
    assert node.value("mine") == "1"
