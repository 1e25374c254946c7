"""A disk that stays full: every request is answered, and the node resumes by itself."""

from __future__ import annotations

import pytest

from kvnode.core.limits import Limits
from kvnode.daemon.node import REOPEN_US
from kvnode.daemon.status import node_status
from kvnode.errors import StorageError
from tests.daemon.recorded import LONG_US, OTHER, failures, published, with_a_write


@pytest.fixture
def node():
    return with_a_write()


@pytest.fixture
def full(node):
    node.disk.full = True
    node.doubtful = node.put("k", "first")
    node.turn(node.doubtful)
    return node


def test_a_full_disk_makes_the_write_doubtful_and_all_that_follows_unavailable(full):
    assert failures(full, full.doubtful) == [("commit_failed", True)]
    for _ in range(10):
        full.now_us += REOPEN_US // 3
        requests = [full.put("k", "v"), full.get("before")]
        full.turn(*requests)
        assert failures(full, *requests) == 2 * [("unavailable", False)]
    message = full.answers(requests[0].id)[0].message
    assert "no space left" in message and "nothing was done" in message
    assert full.node.health.serving is False
    assert published(full) == [] and ("claim",) not in {event[:1] for event in full.events}


def test_a_full_disk_is_tried_again_now_and_then_and_at_no_other_time(full):
    full.events.clear()
    start_us = full.now_us
    for _ in range(3):
        assert full.node.wake_us() == full.now_us + REOPEN_US
        full.now_us += REOPEN_US - 1
        full.turn(full.get("k"))
        full.now_us += 1
        full.turn()
    opened = full.events.count(("open",))
    assert opened == 3 and full.now_us == start_us + 3 * REOPEN_US


def test_the_node_resumes_by_itself_when_there_is_room(full):
    full.disk.full = False
    full.now_us = full.node.wake_us()
    full.turn()
    assert full.node.health.serving is True
    full.turn(full.put("k", "again"))
    assert full.value("k") == "again" and full.value("before") == "v"
    assert published(full) == [(full.origins[-1], 1, 1)]


def test_a_request_in_the_turn_that_resumes_is_served(full):
    full.disk.full = False
    full.now_us = full.node.wake_us()
    assert full.value("before") == "v"


def test_a_kept_commit_is_published_once_though_the_disk_opens_late(node):
    node.disk.fail_next_commit = True
    node.broken["open"] = StorageError("no such device")
    node.turn(node.put("k", "v"))
    assert published(node) == [] and node.node.health.serving is False
    for _ in range(3):
        node.now_us += REOPEN_US
        node.turn()
    assert published(node) == [(node.origins[0], 2, 2)]
    assert node.value("k") == "v"


def test_requests_left_for_the_next_turn_are_answered_too_and_left_no_longer(node):
    node.limits = Limits(answered_bytes_per_turn=1)
    node.start()
    node.disk.full = True
    requests = [node.put("k", "v"), node.get("before"), node.get("before"), node.put("l", "v")]
    node.turn(*requests)
    maybe, surely = ("commit_failed", True), ("unavailable", False)
    assert failures(node, *requests) == [maybe, surely, surely, surely]
    assert not node.node.replica.ready, "the daemon reads no requests before these are served"


def test_status_does_not_show_writes_that_may_not_be_there(full):
    assert node_status(full.node)["vector"] == {full.origins[0]: 1}
    assert node_status(full.node)["parked_requests"] == 0


def test_peers_that_pull_are_told_that_the_disk_does_not_answer(full):
    with pytest.raises(StorageError, match="no space left"):
        full.node.since({}, 1000)


def test_closing_while_the_disk_is_full_does_not_answer_twice(node):
    parked = node.get("k", token={OTHER: 1}, wait_us=LONG_US)
    node.turn(parked)
    node.disk.full = True
    write = node.put("k", "v")
    node.turn(write)
    node.node.close(node)
    assert failures(node, parked, write) == [("unavailable", False), ("commit_failed", True)]
