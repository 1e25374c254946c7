"""A node that may have written what others have under other dots tells nobody of that."""

from __future__ import annotations

import pytest

from kvnode.core.continuity import PATIENCE_HEARTBEATS
from kvnode.core.requests import Watch
from kvnode.core.vector import Dot
from kvnode.daemon.node import REOPEN_US, Durability
from tests.daemon.recorded import HEARTBEAT_US, LONG_US, Recorded


def test_the_first_batch_of_an_incarnation_is_synced_though_nobody_is_told_of_it() -> None:
    """Its client is, and others by that client's token: forgotten, no later one could end it."""
    node = Recorded(Durability.INTERVAL)
    node.turn(node.put("k", "v"))
    node.now_us += PATIENCE_HEARTBEATS * HEARTBEAT_US + 1
    node.turn(node.put("k", "w"))
    assert node.node.replica.standing.is_quiet
    second = node.node.replica.origin
    node.crash()
    assert second in node.node.replica.cut.entries


@pytest.mark.parametrize("is_kept", [False, True])
def test_whoever_waits_while_a_mend_fails_is_answered_once(is_kept: bool) -> None:
    node = Recorded()
    node.turn(node.put("k", "v"))
    watch = node.request(Watch(b"", is_now=False), token=node.node.vector, wait_us=LONG_US)
    read = node.get("k", token={"Y~other": 1}, wait_us=LONG_US)
    node.turn(watch, read)
    standing = node.node.replica.standing
    standing.parting, standing.is_quiet = Dot(node.node.replica.origin, 0), True
    node.disk.fail_next_commit = is_kept
    node.turn()
    assert node.node.health.failures == 1
    node.now_us += LONG_US
    for _ in range(3):
        node.turn()
    assert [reply.id for reply in node.replies].count(watch.id) == 1
    assert [reply.id for reply in node.replies].count(read.id) == 1


@pytest.mark.parametrize("is_quiet", [False, True])
def test_what_a_failed_commit_left_is_published_unless_it_may_be_doubled(is_quiet: bool) -> None:
    node = Recorded()
    node.turn(node.put("k", "v"))
    node.gone, node.disk.fail_next_commit = True, True
    node.turn(node.put("k", "w"))
    if is_quiet:
        node.node.replica.standing.is_quiet = True
    node.gone = False
    node.now_us += REOPEN_US
    events = node.turn()
    assert node.node.health.writable
    assert any(event[0] == "publish" for event in events) == (not is_quiet)


def test_who_names_what_was_moved_is_answered_once_where_the_commit_fails() -> None:
    node = Recorded()
    node.turn(node.put("k", "v"))
    first = node.node.replica.origin
    node.now_us += PATIENCE_HEARTBEATS * HEARTBEAT_US + 1
    node.turn(node.put("k", "w"))
    second = node.node.replica.origin
    standing = node.node.replica.standing
    standing.parting, standing.is_quiet = Dot(first, 0), True
    node.turn()
    assert node.node.mended == 1
    node.disk.fail_next_commit = False
    write = node.put("k", "x", token={second: 1})
    node.turn(write)
    assert [reply.id for reply in node.replies].count(write.id) == 1
