"""When the disk fails: nothing is published, every request is answered, and it goes on.

What a node does that can only read meanwhile is in test_node_full_disk.py.
"""

from __future__ import annotations

import pytest

from kvnode.core.requests import Get, Put
from kvnode.core.results import Delayed
from kvnode.daemon.node import REOPEN_US, Durability
from kvnode.errors import StorageError
from tests.daemon.recorded import (
    HEARTBEAT_US,
    LONG_US,
    OTHER,
    SYNC_US,
    Recorded,
    failures,
    others_write,
    published,
    with_a_write,
)

# A failed commit leaves its batch on disk, or does not; nobody knows before it is reopened.
KEPT_OR_LOST = pytest.mark.parametrize("kept", [True, False], ids=["kept", "lost"])


@pytest.fixture
def node():
    return with_a_write()


@KEPT_OR_LOST
def test_writes_of_a_failed_commit_may_be_there_and_its_reads_show_what_is(node, kept):
    node.disk.fail_next_commit = kept
    writes = [node.put("k", "v"), node.delete("before")]
    reads = [node.get("k"), node.get("before")]
    events = node.turn(writes[0], reads[0], writes[1], reads[1])
    assert failures(node, *writes) == 2 * [("commit_failed", True)]
    assert events[0] == ("failed commit",)
    assert "a test asked for it" in node.answers(writes[0].id)[0].message
    shown = [entry.versions for entry in node.answers(*(read.id for read in reads))]
    values = [versions[0].value if versions else None for versions in shown]
    assert values == ([b"v", None] if kept else [None, b"v"])


def test_a_request_that_reads_and_writes_may_be_there(node):
    node.disk.fail_next_commit = False
    request = node.request(Get(b"k"), Put(b"k", b"v"))
    node.turn(request)
    assert failures(node, request) == [("commit_failed", True)]


def test_a_lost_commit_is_not_published_and_not_seen(node):
    node.disk.fail_next_commit = False
    node.turn(node.put("k", "v"))
    for _ in range(3):
        node.now_us += REOPEN_US
        node.turn()
    assert published(node) == []
    assert node.value("k") is None and node.value("before") == "v"
    assert node.claims[-1].delivered == {node.origins[0]: 1}


def test_a_kept_commit_is_published_once_after_the_disk_is_reopened(node):
    node.disk.fail_next_commit = True
    events = node.turn(node.put("k", "v"), node.put("l", "v"))
    assert published(node) == [(node.origins[0], 2, 3)]
    assert events.index(("open",)) < events.index(("publish", node.origins[0], 2, 3))
    for _ in range(3):
        node.now_us += REOPEN_US
        node.turn()
    assert len(published(node)) == 1
    assert node.value("k") == "v"
    assert node.claims[-1].delivered == {node.origins[0]: 3}


@KEPT_OR_LOST
def test_the_next_write_is_a_new_incarnations_so_that_no_seq_is_used_twice(node, kept):
    node.disk.fail_next_commit = kept
    node.turn(node.put("k", "doubtful"))
    node.turn(node.put("k", "sure"))
    old, new = node.origins
    assert published(node) == ([(old, 2, 2)] if kept else []) + [(new, 1, 1)]
    assert node.value("k") == "sure"


@KEPT_OR_LOST
def test_a_failed_commit_refuses_parked_writes_and_lets_parked_reads_wait_on(node, kept):
    parked = node.get("k", token={OTHER: 1}, wait_us=LONG_US)
    write = node.put("k", "parked", token={OTHER: 1}, wait_us=LONG_US)
    assert node.turn(parked, write) == []
    node.disk.fail_next_commit = kept
    node.turn(node.put("k", "v"))
    assert failures(node, write) == [("unavailable", False)]
    assert node.node.replica.holdback.requests
    node.turn(batches=(others_write(1),))
    assert node.answers(parked.id)[0].versions


def test_a_read_that_is_delayed_in_the_failed_turn_is_delayed(node):
    node.disk.fail_next_commit = False
    ahead = node.get("k", token={OTHER: 1})
    node.turn(node.put("k", "v"), ahead)
    assert isinstance(node.answers(ahead.id)[0], Delayed)


def test_a_write_that_was_not_run_in_the_failed_turn_was_surely_not_done(node):
    node.disk.fail_next_commit = False
    ahead = node.put("k", "w", token={OTHER: 1})
    node.turn(node.put("k", "v"), ahead)
    assert failures(node, ahead) == [("unavailable", False)]


def test_a_failed_read_fails_its_turn_before_anything_was_written(node):
    node.broken["read"] = StorageError("bad sector")
    requests = [node.put("a", "v"), node.get("before"), node.put("b", "v")]
    events = node.turn(*requests)
    assert failures(node, *requests) == 3 * [("unavailable", False)]
    assert "bad sector" in node.answers(requests[0].id)[0].message
    assert ("commit synced",) not in events and published(node) == []
    assert [node.value(key) for key in ("a", "b", "before")] == [None, None, "v"]


def test_a_read_that_keeps_failing_is_answered_all_the_same(node):
    """It is not run again: it would fail again."""
    for _ in range(3):
        node.broken["read"] = StorageError("bad sector")
        request = node.get("before")
        node.turn(request)
        assert failures(node, request) == [("unavailable", False)]
    node.now_us += REOPEN_US
    assert node.value("before") == "v"


def test_health_tells_of_the_failure_and_that_it_is_over(node):
    node.disk.fail_next_commit = False
    node.turn(node.put("k", "v"))
    health = node.node.health
    assert (health.serving, health.writable, health.failures) == (True, True, 1)
    assert "a test asked for it" in health.last_error


def test_commits_that_fail_again_and_again_do_not_reopen_the_store_each_time(node):
    """A large store takes long to open. Between two tries the node only reads."""
    for _ in range(5):
        node.disk.fail_next_commit = False
        node.turn(node.put("k", "v"))
        assert node.value("before") == "v"
    assert node.events.count(("open",)) == 1
    assert node.node.health.failures == 2
    node.disk.fail_next_commit = None
    node.now_us += REOPEN_US
    node.turn(node.put("k", "v"))
    assert node.value("k") == "v"


def test_a_failed_sync_makes_the_turns_writes_doubtful_and_publishes_them_once():
    node = Recorded(Durability.INTERVAL)
    for value in "12":
        node.turn(node.put("k", value))
    node.events.clear()
    node.now_us += SYNC_US
    node.broken["sync"] = StorageError("bad sector")
    request = node.put("k", "3")
    node.turn(request)
    assert failures(node, request) == [("commit_failed", True)]
    node.now_us += SYNC_US
    node.turn()
    assert published(node) == [(node.origins[0], 3, 3)]
    assert node.value("k") == "3"


# --- a disk that is gone


@pytest.fixture
def lost(node):
    """Its store can't be opened any more."""
    node.gone = True
    node.doubtful = node.put("k", "first")
    node.disk.fail_next_commit = True
    node.turn(node.doubtful)
    return node


def test_without_its_disk_a_node_answers_everything_as_surely_not_done(lost):
    assert failures(lost, lost.doubtful) == [("commit_failed", True)]
    for _ in range(10):
        lost.now_us += REOPEN_US // 3
        requests = [lost.put("k", "v"), lost.get("before")]
        lost.turn(*requests)
        assert failures(lost, *requests) == 2 * [("unavailable", False)]
    message = lost.answers(requests[0].id)[0].message
    assert "no such device" in message and "nothing was done" in message
    assert lost.node.health.serving is False
    assert published(lost) == [] and ("claim",) not in {event[:1] for event in lost.events}


def test_reads_of_the_turn_that_lost_the_disk_were_surely_not_done(node):
    node.gone = True
    node.disk.fail_next_commit = False
    read = node.get("before")
    node.turn(node.put("k", "v"), read)
    assert failures(node, read) == [("unavailable", False)]


def test_a_lost_disk_is_tried_again_now_and_then_and_at_no_other_time(lost):
    lost.events.clear()
    start_us = lost.now_us
    for _ in range(3):
        assert lost.node.wake_us() == lost.now_us + REOPEN_US
        lost.now_us += REOPEN_US - 1
        lost.turn(lost.get("k"))
        lost.now_us += 1
        lost.turn()
    opened = [event for event in lost.events if event[0].startswith("open")]
    assert opened == 3 * [("open",), ("open to read",)]
    assert lost.now_us == start_us + 3 * REOPEN_US


def test_peers_that_pull_are_told_that_the_disk_does_not_answer(lost):
    with pytest.raises(StorageError, match="no such device"):
        lost.node.since({}, 1000)


def test_a_kept_commit_is_published_once_though_the_disk_opens_late(lost):
    assert published(lost) == []
    lost.gone = False
    for _ in range(3):
        lost.now_us += REOPEN_US
        lost.turn()
    assert published(lost) == [(lost.origins[0], 2, 2)]
    assert lost.value("k") == "first"


def test_a_disk_that_cannot_even_tell_what_was_committed_serves_no_reads(node):
    """The old store is asked for what the failed commit would change."""
    node.disk.full = True
    node.broken["read after"] = StorageError("bad sector")
    read = node.get("before")
    node.turn(node.put("k", "v"), read)
    assert failures(node, read) == [("unavailable", False)]
    assert node.node.health.serving is False


# --- the end


def test_closing_lets_go_of_the_store_though_the_sync_fails(node):
    parked = node.get("k", token={OTHER: 1}, wait_us=LONG_US)
    node.turn(parked)
    node.broken["sync"] = StorageError("bad sector")
    node.node.close(node)
    assert "bad sector" in node.node.health.last_error
    assert failures(node, parked) == [("unavailable", False)]
    assert ("close",) in node.events


def test_heartbeats_go_on_after_the_disk_is_reopened(node):
    node.disk.fail_next_commit = False
    node.turn(node.put("k", "v"))
    node.claims.clear()
    for _ in range(3):
        node.now_us += HEARTBEAT_US
        node.turn()
    assert len(node.claims) == 3
