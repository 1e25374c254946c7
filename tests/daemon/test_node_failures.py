"""When the disk fails: nothing is published, every request is answered, and it goes on."""

from __future__ import annotations

import pytest

from kvnode.core.messages import Get, Put
from kvnode.daemon.node import REOPEN_US, Durability
from kvnode.errors import StorageError
from tests.daemon.recorded import (
    HEARTBEAT_US,
    LONG_US,
    OTHER,
    SYNC_US,
    Recorded,
    failures,
    published,
    with_a_write,
)

# A failed commit leaves its batch on disk, or does not; nobody knows before it is reopened.
KEPT_OR_LOST = pytest.mark.parametrize("kept", [True, False], ids=["kept", "lost"])


@pytest.fixture
def node():
    return with_a_write()


@KEPT_OR_LOST
def test_writes_of_a_failed_commit_may_be_there_and_its_reads_surely_failed(node, kept):
    node.disk.fail_next_commit = kept
    requests = [node.put("k", "v"), node.get("k"), node.delete("before"), node.get("before")]
    events = node.turn(*requests)
    maybe, surely = ("commit_failed", True), ("unavailable", False)
    assert failures(node, *requests) == [maybe, surely, maybe, surely]
    assert events[0] == ("failed commit",)
    assert "a test asked for it" in node.answers(requests[0].id)[0].message


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
def test_a_failed_commit_answers_parked_requests_as_surely_not_done(node, kept):
    parked = [node.get("k", token={OTHER: 1}, wait_us=LONG_US)]
    parked.append(node.put("k", "parked", token={OTHER: 1}, wait_us=LONG_US))
    assert node.turn(*parked) == []
    node.disk.fail_next_commit = kept
    node.turn(node.put("k", "v"))
    assert failures(node, *parked) == 2 * [("unavailable", False)]


def test_a_request_that_is_delayed_in_the_failed_turn_was_surely_not_done(node):
    node.disk.fail_next_commit = False
    ahead = node.get("k", token={OTHER: 1})
    node.turn(node.put("k", "v"), ahead)
    assert failures(node, ahead) == [("unavailable", False)]


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


def test_health_tells_of_the_failure_and_that_it_is_over(node):
    node.disk.fail_next_commit = False
    node.turn(node.put("k", "v"))
    health = node.node.health
    assert (health.serving, health.failures) == (True, 1)
    assert "a test asked for it" in health.last_error


def test_a_failed_sync_makes_the_turns_writes_doubtful_and_publishes_them_once():
    node = Recorded(Durability.INTERVAL)
    node.turn(node.put("k", "1"))
    node.events.clear()
    node.now_us += SYNC_US
    node.broken["sync"] = StorageError("bad sector")
    request = node.put("k", "2")
    node.turn(request)
    assert failures(node, request) == [("commit_failed", True)]
    node.now_us += SYNC_US
    node.turn()
    assert published(node) == [(node.origins[0], 2, 2)]
    assert node.value("k") == "2"


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
