"""A disk that stays full: the node acknowledges nothing, reads go on from what is committed,
and it resumes by itself."""

from __future__ import annotations

import copy

import pytest

from kvnode.codec.batches import decode_batch
from kvnode.core.limits import Limits
from kvnode.core.messages import Pulled
from kvnode.core.requests import Get, Put
from kvnode.core.results import Delayed
from kvnode.daemon.node import REOPEN_US, Durability
from kvnode.daemon.status import node_status
from kvnode.errors import StorageError
from tests.daemon.recorded import (
    HEARTBEAT_US,
    LONG_US,
    OTHER,
    Recorded,
    failures,
    others_write,
    published,
    with_a_write,
)

MIB = 1 << 20


@pytest.fixture
def node():
    return with_a_write()


# The batch of the commit that failed is on disk, or is not: nobody knows while it is full.
@pytest.fixture(params=[True, None], ids=["kept", "lost"])
def full(node, request):
    """A node that has found its disk full."""
    node.disk.full, node.disk.fail_next_commit = True, request.param
    node.doubtful = node.put("k", "first")
    node.turn(node.doubtful)
    node.kept = bool(request.param)
    return node


def freed(node):
    """There is room again, and the node has found it."""
    node.disk.full = False
    while not node.node.health.writable:
        node.now_us = node.node.wake_us()
        node.turn()
    return node


def test_writes_are_refused_and_reads_go_on(full):
    assert failures(full, full.doubtful) == [("commit_failed", True)]
    for _ in range(10):
        full.now_us += REOPEN_US // 3
        assert full.value("before") == "v"
        writes = [
            full.put("k", "v"),
            full.delete("before"),
            full.request(Get(b"k"), Put(b"k", b"v")),
        ]
        full.turn(*writes)
        assert failures(full, *writes) == 3 * [("unavailable", False)]
    message = full.answers(writes[0].id)[0].message
    assert "no space left" in message and "nothing was done" in message and "reads go on" in message
    assert published(full) == []


def test_a_commit_that_failed_is_not_shown_though_it_may_be_there(full):
    """The power may fail before it is synced."""
    assert full.value("k") is None
    full.disk.crash()
    assert freed(full).value("k") is None


def test_reads_of_the_turn_that_failed_show_what_was_committed(node):
    node.disk.full, node.disk.fail_next_commit = True, True
    reads = [node.get("before"), node.get("k")]
    node.turn(node.put("before", "w"), *reads, node.put("k", "v"))
    before, k = node.answers(*(read.id for read in reads))
    assert before.versions[0].value == b"v" and k.versions == ()


def test_answers_carry_a_token_of_what_is_committed(full):
    assert full.node.vector == {full.origins[0]: 1}
    full.turn(full.get("before", token={full.origins[0]: 1}))
    assert full.replies[-1].ran


def test_a_session_that_has_seen_more_is_delayed(full):
    at_once, later = full.get("k", token={OTHER: 1}), full.get("k", token={OTHER: 1}, wait_us=5)
    full.turn(at_once, later)
    full.now_us += 5
    full.turn()
    for request in (at_once, later):
        assert isinstance(full.answers(request.id)[0], Delayed)


def test_a_read_that_waits_is_answered_when_the_node_has_resumed(full):
    read = full.get("k", token={OTHER: 1}, wait_us=LONG_US)
    full.turn(read)
    freed(full).turn(batches=(others_write(1),))
    assert full.answers(read.id)[0].versions[-1].value == b"theirs"


def test_nothing_is_delivered_and_nothing_pulled(full):
    full.turn()
    full.events.clear()
    pulled = Pulled("Y", (others_write(2),))
    full.turn(batches=(others_write(1),), pulled=(pulled,), claims=(full.others_claim({OTHER: 2}),))
    assert full.events == [] and full.value("k") is None
    assert node_status(full.node, full.now_us)["held_batches"] == 0
    freed(full).turn(batches=(others_write(1, value="later"),))
    assert OTHER in full.node.vector


def test_peers_pull_what_is_committed_and_no_more(full):
    (batch,) = full.node.since({}, MIB)
    assert decode_batch(batch).last == 1
    assert full.node.since({full.origins[0]: 1}, MIB) == []


def test_heartbeats_go_on_and_claim_what_is_committed(full):
    full.claims.clear()
    for _ in range(3):
        full.now_us += HEARTBEAT_US
        full.turn()
    committed = {full.origins[0]: 1}
    assert [(claim.delivered, claim.synced) for claim in full.claims] == 3 * [
        (committed, committed)
    ]
    assert full.claims[0].digest == full.node.replica.state.digest != 0


@pytest.mark.parametrize("durability", [Durability.INTERVAL, Durability.NEVER])
def test_what_could_not_be_synced_is_not_claimed_to_be(durability):
    node = Recorded(durability)
    node.turn(node.put("k", "synced, since it opens the incarnation"))
    node.turn(node.put("k", "unsynced"))
    node.disk.full = True
    node.turn(node.put("k", "v"))
    node.now_us += HEARTBEAT_US
    node.turn()
    assert node.claims[-1].delivered == {node.origins[0]: 2} and node.claims[-1].synced == {}
    assert node.value("k") == "unsynced"


def test_a_full_disk_is_tried_again_now_and_then_and_at_no_other_time(full):
    full.events.clear()
    start_us = full.now_us
    for _ in range(3):
        due_us = full.now_us + REOPEN_US
        while full.now_us < due_us:
            assert full.node.wake_us() <= due_us
            full.now_us = full.node.wake_us()
            full.turn(full.get("k"))
    opened = [event for event in full.events if event[0].startswith("open")]
    assert opened == 3 * [("open",)] and full.now_us == start_us + 3 * REOPEN_US


def test_the_node_resumes_by_itself_when_there_is_room(full):
    freed(full).turn(full.put("k", "again"))
    assert full.value("k") == "again" and full.value("before") == "v"
    kept = [(full.origins[0], 2, 2)] if full.kept else []
    assert published(full) == [*kept, (full.origins[-1], 1, 1)]


def test_a_write_in_the_turn_that_resumes_is_served(full):
    full.disk.full = False
    full.now_us += REOPEN_US
    write = full.put("k", "again")
    full.turn(write)
    assert full.value("k") == "again"


def test_no_seq_is_used_twice(full):
    freed(full).turn(full.put("k", "again"))
    used = [event[1:3] for event in full.events if event[0] == "publish"]
    assert len(used) == len(set(used)) and used[-1] == (full.origins[-1], 1)
    assert len(full.origins) == len(set(full.origins)) == 3


def test_a_disk_that_is_full_again_and_again_loses_nothing(node):
    for number in range(5):
        node.disk.full, node.disk.fail_next_commit = True, number % 2 == 0 or None
        node.turn(node.put("doubtful", str(number)))
        assert node.value(str(number - 1)) == (str(number - 1) if number else None)
        freed(node).turn(node.put(str(number), str(number)))
    assert [node.value(str(number)) for number in range(5)] == list("01234")


def test_a_read_that_fails_meanwhile_is_answered_and_the_next_one_served(full):
    full.broken["read"] = StorageError("bad sector")
    request = full.get("before")
    full.turn(request)
    assert failures(full, request) == [("unavailable", False)]
    assert full.value("before") == "v" and full.value("k") is None
    assert freed(full).value("k") == ("first" if full.kept else None)


def test_requests_left_for_the_next_turn_are_answered_too_and_left_no_longer(node):
    node.limits = Limits(answered_bytes_per_turn=1)
    node.start()
    node.disk.full = True
    requests = [node.put("k", "v"), node.get("before"), node.get("before"), node.put("l", "v")]
    node.turn(*requests)
    while node.node.replica.ready:
        node.turn()
    writes, reads = (requests[0], requests[3]), requests[1:3]
    assert failures(node, *writes) == [("commit_failed", True), ("unavailable", False)]
    assert all(entry.versions for entry in node.answers(*(read.id for read in reads)))


def test_status_tells_and_does_not_show_writes_that_may_not_be_there(full):
    status = node_status(full.node, full.now_us)
    storage = status["storage"]
    assert (storage["serving"], storage["writable"], storage["failures"]) == (True, False, 1)
    assert "no space left" in storage["last_error"]
    assert status["vector"] == {full.origins[0]: 1}
    assert node_status(freed(full).node, full.now_us)["storage"]["writable"]


def test_closing_while_the_disk_is_full_answers_what_waits_and_nothing_twice(node):
    parked = node.get("k", token={OTHER: 1}, wait_us=LONG_US)
    node.turn(parked)
    node.disk.full = True
    write = node.put("k", "v")
    node.turn(write)
    assert node.node.close(node) is None
    assert failures(node, parked, write) == [("unavailable", False), ("commit_failed", True)]
    assert node.events[-1] == ("close",)


def test_closing_tells_of_writes_that_could_not_be_synced():
    node = Recorded(Durability.INTERVAL)
    node.turn(node.put("k", "v"))
    node.disk.full = True
    node.turn(node.put("k", "w"))
    assert "no space left" in str(node.node.close(node))


# --- a store that is not where it was, or is not what it was


def test_what_is_written_to_files_that_were_moved_is_not_acknowledged(node):
    node.disk.moved = True
    write = node.put("k", "v")
    node.turn(write)
    assert failures(node, write) == [("commit_failed", True)]
    assert published(node) == []
    assert node.value("before") == "v", "what can be read still is"
    node.disk.moved = False
    freed(node)
    assert node.value("k") == "v" and len(published(node)) == 1, "the files had it"


def test_an_idle_node_finds_at_its_heartbeat_that_its_files_were_moved(node):
    node.disk.moved = True
    node.now_us += HEARTBEAT_US
    node.turn()
    assert not node.node.health.writable
    assert node.node.health.last_error == "the memory disk was moved"


@pytest.mark.parametrize("durability", Durability)
def test_an_older_disk_in_the_place_of_the_one_that_failed_is_not_written_to(durability):
    node = Recorded(durability)
    older = copy.deepcopy(node.disk.families)
    node.turn(node.put("before", "v"))  # an incarnation's first batch is synced, whatever else is
    newer = node.disk.families
    node.disk.full, node.disk.fail_next_commit = True, False
    node.turn(node.put("k", "v"))
    node.disk.families, node.disk.full = older, False
    for _ in range(3):
        node.now_us += REOPEN_US
        write = node.put("k", "v")
        node.turn(write)
        assert failures(node, write) == [("unavailable", False)]
        assert "no longer has all" in node.answers(write.id)[0].message
    node.disk.families = newer
    assert freed(node).value("before") == "v"
