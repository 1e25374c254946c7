"""Repair: what a node asks its peers for, and which of them."""

from __future__ import annotations

import pytest

from kvnode.core.vector import name_of, new_origin
from tests.core.asking import HEARTBEAT_US, TIMEOUT_US, X1, X2, Z1, Node, batch

# --- what has come


def test_a_node_that_heard_nothing_asks_nobody_and_sleeps() -> None:
    node = Node()
    assert node.asks() is None
    assert node.repair.wake_us() is None


def test_a_peers_own_writes_are_asked_for_at_once() -> None:
    node = Node()
    node.hear("X", {X1: 1})
    assert node.repair.wake_us() == 0
    assert node.asks() == "X"


def test_what_is_delivered_is_not_asked_for() -> None:
    node = Node()
    node.cut.advance(X1, 5, {})
    node.hear("X", {X1: 5})
    assert node.asks() is None
    assert node.repair.wake_us() is None


def test_what_is_held_without_a_gap_is_not_asked_for() -> None:
    node = Node()
    node.holdback.hold(batch(X1, 1), {})
    node.holdback.hold(batch(X1, 2), {})
    node.hear("X", {X1: 2})
    assert node.asks() is None


def test_what_is_held_after_a_gap_is_asked_for() -> None:
    node = Node()
    node.holdback.hold(batch(X1, 2), {})
    node.hear("X", {X1: 2})
    assert node.asks() == "X"


def test_what_a_held_incarnation_ends_is_asked_for_too() -> None:
    node = Node()
    node.holdback.hold(batch(X2, 1, {X1: 2}), {})
    node.hear("X", {X2: 1})
    assert node.asks() == "X"


def test_what_a_held_incarnation_ends_may_be_held_as_well() -> None:
    node = Node()
    for each in (batch(X2, 1, {X1: 2}), batch(X1, 1), batch(X1, 2)):
        node.holdback.hold(each, {})
    node.hear("X", {X2: 1})
    assert node.asks() is None


def test_a_pull_tells_of_what_is_held_but_of_no_incarnation_that_is_only_held() -> None:
    node = Node()
    node.cut.advance(X1, 1, {})
    for each in (batch(X1, 2), batch(X1, 4), batch(X2, 1, {X1: 4})):
        node.holdback.hold(each, {X1: 1})
    node.hear("X", {X2: 1})
    pull = node.repair.next_pull(node.cut, node.holdback, node.now_us)
    assert pull is not None
    assert pull.vector == {X1: 2}


def test_a_lower_claim_of_a_peer_that_was_rolled_back_replaces_the_higher_one() -> None:
    node = Node()
    node.hear("X", {X1: 5})
    node.hear("X", {})
    assert node.asks() is None


def test_the_latest_claims_are_known_by_name() -> None:
    node = Node()
    node.hear("X", {X1: 5})
    node.hear("X", {X1: 6}, instance=2)
    node.hear("Y", {})
    assert {name: it.delivered for name, it in node.repair.claims.items()} == {
        "X": {X1: 6},
        "Y": {},
    }


# --- third parties


def test_a_third_partys_writes_have_a_heartbeats_time_to_come_by_themselves() -> None:
    node = Node()
    node.hear("Y", {X1: 1})
    assert node.asks() is None
    node.hear("Y", {X1: 1})
    assert node.asks_until(5000)[0] == (1000 + HEARTBEAT_US // 2, "Y")


def test_what_the_claim_before_did_not_name_has_still_time() -> None:
    node = Node()
    node.hear("Y", {X1: 1})
    node.cut.advance(X1, 1, {})
    node.hear("Y", {X1: 2})
    assert node.asks_until(5000) == []


def test_the_jitter_is_drawn_once() -> None:
    draws = iter([0.9, 0.0, 0.0, 0.0])
    node = Node(lambda: next(draws))
    node.hear("Y", {X1: 1})
    for _ in range(3):
        node.hear("Y", {X1: 1})
        assert node.asks() is None
    assert node.asks_until(1089) == []
    assert node.asks_until(1090) == [(1090, "Y")]


def test_the_claim_of_another_process_is_no_previous_one() -> None:
    node = Node()
    node.hear("Y", {X1: 1}, instance=1)
    node.hear("Y", {X1: 1}, instance=2)
    assert node.asks_until(5000) == []


@pytest.mark.parametrize(("drawn", "asked"), [(0.0, "Y"), (0.99, "Z")])
def test_the_third_party_to_ask_is_drawn(drawn: float, asked: str) -> None:
    node = Node(lambda: drawn)
    for name in "YZYZ":
        node.hear(name, {X1: 1})
    assert node.asks_until(1500)[0][1] == asked


def test_the_owner_goes_before_third_parties() -> None:
    node = Node()
    for name in "YY":
        node.hear(name, {X1: 1})
    assert node.asks() is None
    node.now_us += HEARTBEAT_US  # its time has come, and the owner's with it
    node.hear("X", {X1: 1})
    assert node.asks() == "X"


def test_if_the_owner_does_not_answer_a_third_party_is_asked() -> None:
    node = Node()
    for name in "XYXY":
        node.hear(name, {X1: 1})
    asked = node.asks_until(1000 + 20 * TIMEOUT_US)
    assert asked[0] == (1000, "X")
    assert asked[1][1] == "Y"


def test_if_the_owner_has_no_log_a_third_party_is_asked() -> None:
    node = Node()
    for name in "XYXY":
        node.hear(name, {X1: 1})
    assert node.asks() == "X"
    node.answer("X", advanced=False)
    assert "Y" in [name for _, name in node.asks_until(1000 + 20 * TIMEOUT_US)]


def test_a_dead_owner_of_one_write_does_not_keep_the_writes_of_others_away() -> None:
    node = Node()
    for name in "XYXY":
        node.hear(name, {X1: 1} if name == "X" else {Z1: 1})
    assert "Y" in [name for _, name in node.asks_until(1000 + 20 * TIMEOUT_US)]


@pytest.mark.parametrize("dead", [1, 12, 50])
def test_however_many_owners_are_gone_a_third_party_that_lives_is_asked_soon(dead: int) -> None:
    """Each of them is asked in vain and left alone for a while, but the next one's pause is over
    by then: with a dozen there would always be one."""
    node = Node()
    gone = {new_origin(f"D{at}", 1, 1): 1 for at in range(dead)}
    for origin in gone:
        node.hear(name_of(origin), {origin: 1})
    asked = []
    while "Z" not in asked and node.now_us < 10 * TIMEOUT_US:
        node.hear("Z", gone)
        asked.append(node.asks())
        node.now_us += HEARTBEAT_US
    assert "Z" in asked
