"""Upkeep: what a node does for its disk beside its turns."""

from __future__ import annotations

from tests.daemon.recorded import HEARTBEAT_US, Recorded


def test_what_all_have_leaves_the_log_at_a_heartbeat_once_it_is_old() -> None:
    node = Recorded()
    node.limits = node.limits._replace(log_kept_us=3 * HEARTBEAT_US)
    node.start()
    node.turn(node.put("k", "v"))
    kept_bytes = node.node.log_bytes
    assert kept_bytes
    for _ in range(2):
        node.now_us += HEARTBEAT_US
        node.turn()
    assert node.node.log_bytes == kept_bytes, "it is not old yet"
    node.now_us += HEARTBEAT_US
    node.turn()
    assert node.node.log_bytes == 0
    assert node.node.replica.floor == {node.origins[-1]: 1}


def test_a_long_log_is_dropped_in_slices_that_follow_at_once() -> None:
    node = Recorded()
    node.limits = node.limits._replace(log_kept_us=0, log_kept_bytes=0, dropped_batches_per_turn=2)
    node.start()
    for _ in range(5):
        node.turn(node.put("k", "v"))
    lengths = []
    node.now_us += HEARTBEAT_US
    for _ in range(4):
        node.turn()
        lengths.append(node.node.replica.floor.get(node.origins[-1], 0))
        if node.node.upkeep.is_busy:
            assert node.node.wake_us() == 0
    assert lengths == sorted(lengths) and lengths[-1] == 5
    assert not node.node.upkeep.is_busy


def test_what_a_member_that_is_away_lacks_stays() -> None:
    node = Recorded()
    node.limits = node.limits._replace(log_kept_us=0, log_kept_bytes=0)
    node.start()
    node.turn(claims=(node.others_claim({}),))
    node.turn(node.put("k", "v"))
    node.now_us += HEARTBEAT_US
    node.turn()
    assert node.node.log_bytes
    (pin,) = node.node.replica.truncation.pins
    assert pin is not None and pin.name == "Y"
