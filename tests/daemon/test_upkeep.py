"""Upkeep: what a node does for its disk beside its turns."""

from __future__ import annotations

from kvnode.core.requests import Put
from kvnode.errors import StorageError
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
    assert node.node.replica.state.floor == {node.origins[-1]: 1}


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
        lengths.append(node.node.replica.state.floor.get(node.origins[-1], 0))
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


def expiring(node: Recorded, *keys: str, ttl_ms: int = 100) -> None:
    node.turn(*(node.request(Put(key.encode(), b"v", ttl_ms)) for key in keys))


def test_what_has_expired_is_hidden_at_once_and_removed_at_the_next_heartbeat() -> None:
    node = Recorded()
    expiring(node, "k")
    node.now_us += 99_999
    assert node.value("k") == "v"
    node.now_us += 1
    assert node.value("k") is None and node.disk.table
    node.now_us += HEARTBEAT_US
    events = node.turn()
    assert not node.disk.table and not node.disk.families["due0"]
    assert {kind for kind, *_ in events} == {"claim"}, "nobody is told"


def test_much_that_expires_at_once_is_removed_in_slices_that_follow_at_once() -> None:
    node = Recorded()
    node.limits = node.limits._replace(swept_keys_per_turn=2)
    node.start()
    expiring(node, *"abcde")
    node.now_us += HEARTBEAT_US
    left = []
    for _ in range(3):
        node.turn()
        left.append(len(node.disk.table))
        assert node.node.upkeep.is_busy == (left[-1] > 0)
    assert left == [3, 1, 0]


def test_large_values_are_removed_a_few_at_a_time() -> None:
    node = Recorded()
    node.limits = node.limits._replace(swept_bytes_per_turn=2)
    node.start()
    expiring(node, *"abcde")
    node.now_us += HEARTBEAT_US
    node.turn()
    assert len(node.disk.table) == 2 and node.node.upkeep.is_busy


def test_what_was_put_again_meanwhile_stays() -> None:
    node = Recorded()
    expiring(node, "k")
    node.turn(node.put("k", "anew"))
    node.now_us += HEARTBEAT_US
    node.turn()
    assert node.value("k") == "anew"


def test_a_clock_that_is_set_back_and_a_reload_show_nothing_again() -> None:
    node = Recorded()
    expiring(node, "k", ttl_ms=10)
    node.now_us += 10_000
    assert node.value("k") is None
    node.now_us -= 10_000
    node.broken["read"] = StorageError("the disk hiccups")
    node.turn(node.get("k"))
    assert node.value("k") is None
    assert len(node.origins) > 1, "another replica answers"
