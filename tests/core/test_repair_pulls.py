"""Repair: one pull at a time, and peers that do not answer."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kvnode.core.messages import Chunk, Fetch, Pull
from kvnode.core.repair import ALIVE_HEARTBEATS, BACKOFF_TIMEOUTS_MAX, DOUBLINGS_MAX
from kvnode.core.snapshot import FETCH_ATTEMPTS_MAX, PATIENT_ATTEMPTS_MAX
from kvnode.core.vector import Vector
from tests.core.asking import HEARTBEAT_US, TIMEOUT_US, X1, X2, Y1, Node

# --- one pull at a time


def test_only_one_pull_is_under_way() -> None:
    node = Node()
    node.hear("X", {X1: 1})
    node.hear("Y", {Y1: 1})
    assert node.asks() is not None
    assert node.asks() is None
    node.hear("Y", {Y1: 2})
    assert node.asks() is None


def test_an_answer_is_followed_by_the_next_pull() -> None:
    node = Node()
    node.hear("X", {X1: 2})
    assert node.asks() == "X"
    node.answer("X", advanced=True)
    assert node.asks() == "X"


def test_when_all_has_come_the_pulls_end() -> None:
    node = Node()
    node.hear("X", {X1: 1})
    assert node.asks() == "X"
    node.answer("X", advanced=True)
    node.cut.advance(X1, 1, {})
    assert node.asks() is None
    assert node.repair.wake_us() is None


def test_a_late_answer_ends_no_other_pull() -> None:
    node = Node(lambda: 0.0)
    node.hear("X", {X1: 1})
    node.hear("Y", {Y1: 1})
    assert node.asks() == "X"
    node.now_us += TIMEOUT_US
    assert node.asks() == "Y"
    node.answer("X", advanced=True)
    assert node.asks() is None
    node.answer("Y", advanced=True)
    assert node.asks() is not None


def test_an_answer_from_nobody_known_is_ignored() -> None:
    node = Node()
    node.answer("X", advanced=True)
    assert node.asks() is None


# --- peers that do not answer


def test_a_peer_that_does_not_answer_in_time_is_left_for_the_next() -> None:
    node = Node(lambda: 0.0)
    node.hear("X", {X1: 1})
    node.hear("Y", {Y1: 1})
    assert node.asks_until(1000 + TIMEOUT_US) == [(1000, "X"), (1000 + TIMEOUT_US, "Y")]


def test_silence_is_asked_again_after_a_doubling_time() -> None:
    node = Node()
    node.hear("X", {X1: 1})
    times_us = [at_us for at_us, _ in node.asks_until(1000 + 60 * TIMEOUT_US)]
    pauses = [(b - a) // TIMEOUT_US for a, b in pairwise(times_us)]
    most = BACKOFF_TIMEOUTS_MAX
    assert pauses[:6] == [1 + 1, 1 + 2, 1 + 4, 1 + 8, 1 + most, 1 + most]


@pytest.mark.parametrize(("drawn", "pause_us"), [(0.0, TIMEOUT_US // 2), (0.5, TIMEOUT_US)])
def test_an_answer_that_does_not_help_makes_a_pause_with_jitter(
    drawn: float, pause_us: int
) -> None:
    node = Node(lambda: drawn)
    node.hear("X", {X1: 1})
    assert node.asks() == "X"
    node.answer("X", advanced=False)
    assert node.asks_until(5000)[0] == (1000 + pause_us, "X")


def test_an_answer_that_helps_forgets_the_failures() -> None:
    node = Node()
    node.hear("X", {X1: 9})
    node.asks_until(1000 + 20 * TIMEOUT_US)
    node.answer("X", advanced=True)
    node.hear("X", {X1: 9})
    assert node.asks() == "X"


def test_a_peer_that_started_anew_is_asked_at_once() -> None:
    node = Node()
    node.hear("X", {X1: 1})
    assert node.asks() == "X"
    node.answer("X", advanced=False)
    node.hear("X", {X1: 1}, instance=2)
    assert node.asks() == "X"


def test_a_heartbeat_ends_no_pause() -> None:
    node = Node()
    node.hear("X", {X1: 1})
    assert node.asks() == "X"
    node.answer("X", advanced=False)
    node.hear("X", {X1: 1})
    assert node.asks() is None
    assert node.asks_until(5000)[0] == (1000 + TIMEOUT_US, "X")


# --- answers in pieces, and answers that are late


def test_who_sends_a_piece_is_asked_on_and_nobody_else() -> None:
    for drawn in (0.0, 0.99):
        node = Node(lambda drawn=drawn: drawn)  # type: ignore[misc]
        for name in "XYZ":
            node.hear(name, {X1: 1})
            node.hear(name, {X1: 1})
        node.repair.next_pull(node.cut, node.holdback, node.now_us)
        node.answer("X", advanced=False)  # the owner can't: third parties are asked
        node.now_us += HEARTBEAT_US
        bringing = node.asks()
        assert bringing in ("Y", "Z")
        for _ in range(5):
            node.progress(bringing)
            node.hear("X", {X1: 1})
            assert node.asks() == bringing


def test_a_piece_that_had_come_before_is_no_progress() -> None:
    node = Node()
    node.hear("X", {X1: 1})
    assert node.asks() == "X"
    node.progress("X", is_news=False)
    assert node.asks() is None


def test_a_late_answer_of_a_peer_that_was_asked_again_does_not_have_it_asked_a_third_time() -> None:
    node = Node()
    node.hear("X", {X1: 1})
    assert node.asks() == "X"
    assert len(node.asks_until(1000 + 2 * TIMEOUT_US)) == 1
    node.progress("X", is_late=True)
    assert node.asks() is None
    node.progress("X", is_news=False)  # as the answer before; but that was news
    assert node.asks() == "X"


def test_one_that_is_heard_but_slow_has_ever_more_time_up_to_a_bound() -> None:
    node, waits_us = Node(), []
    for _ in range(DOUBLINGS_MAX + 2):
        node.hear("X", {X1: 1})
        while node.asks() is None:
            node.now_us += HEARTBEAT_US
            node.hear("X", {X1: 1})
        wake_us = node.repair.wake_us()
        assert wake_us is not None
        waits_us.append(wake_us - node.now_us)
        node.now_us = wake_us
    assert waits_us == [TIMEOUT_US << min(n, DOUBLINGS_MAX) for n in range(DOUBLINGS_MAX + 2)]
    node.answer("X", advanced=True)
    node.hear("X", {X1: 2})
    assert node.asks() == "X"
    node.answer("X", advanced=True)
    assert node.asks() == "X"
    assert node.repair.wake_us() == node.now_us + TIMEOUT_US


def test_who_says_anything_lives_though_its_claims_stay_away() -> None:
    node = Node()
    node.hear("X", {X1: 1})
    node.now_us += (ALIVE_HEARTBEATS - 1) * HEARTBEAT_US
    node.repair.heard("X", node.now_us)
    node.repair.heard("Y", node.now_us)
    node.now_us += HEARTBEAT_US
    assert node.repair.is_alive("X", node.now_us)
    assert node.repair.silent_us("X", node.now_us) == HEARTBEAT_US
    assert node.repair.silent_us("Y", node.now_us) is None


# --- logs that start late


def test_who_has_a_log_for_it_goes_before_its_owner_who_has_none() -> None:
    node = Node()
    node.hear("X", {X1: 2}, floor={X1: 2})
    node.hear("Y", {X1: 2})
    assert node.asks() == "Y"


def test_who_has_neither_a_log_for_it_nor_anything_new_is_not_asked_for_another() -> None:
    node = Node()
    node.hear("X", {X1: 2}, floor={X1: 2})
    node.hear("Y", {})
    assert node.asks() == "X"
    assert node.repair.staging is not None


def test_when_the_log_brought_nothing_the_owner_is_asked_for_a_snapshot() -> None:
    node = Node()
    node.hear("X", {X1: 2}, floor={X1: 2})
    node.hear("Y", {X1: 2})
    assert node.asks() == "Y"
    node.answer("Y", advanced=False)
    assert node.asks() == "X"
    assert node.repair.staging is not None


# --- peers that can't read what a pull says


def ahead() -> Node:
    """It has X1 and X2, which a peer may never have heard of."""
    node = Node()
    node.cut.advance(X1, 3, {})
    node.cut.advance(X2, 1, {X1: 3})
    return node


def pulls(node: Node) -> Vector:
    question = node.repair.next_pull(node.cut, node.holdback, node.now_us)
    assert isinstance(question, Pull)
    return question.vector


def test_a_peer_that_served_nothing_of_use_is_told_in_full_until_all_has_come() -> None:
    node = ahead()
    node.hear("Y", {Y1: 2})
    assert pulls(node) == {X2: 1}
    node.answer("Y", advanced=False)
    node.now_us += 10 * TIMEOUT_US
    assert pulls(node) == {X1: 3, X2: 1}
    node.cut.advance(Y1, 1, {})
    node.answer("Y", advanced=True)
    assert pulls(node) == {X1: 3, X2: 1, Y1: 1}
    node.cut.advance(Y1, 2, {})
    node.answer("Y", advanced=True)
    assert node.asks() is None
    node.hear("Y", {Y1: 3})
    assert pulls(node) == {X2: 1, Y1: 2}


def test_one_that_did_not_answer_is_told_no_more() -> None:
    node = ahead()
    node.hear("Y", {Y1: 2})
    assert pulls(node) == {X2: 1}
    node.now_us += 10 * TIMEOUT_US
    node.asks()
    node.now_us += 10 * TIMEOUT_US
    assert pulls(node) == {X2: 1}


# --- peers that there is no way to ask


def fetches(node: Node) -> Fetch | None:
    """What part it asks for now, and of whom."""
    asked = node.repair.next_pull(node.cut, node.holdback, node.now_us)
    assert asked is None or isinstance(asked, Fetch)
    return asked


def hear_both(node: Node) -> None:
    """X and Y, neither of which has a log for it, say what they have."""
    for name in "XY":
        node.hear(name, {X1: 9}, floor={X1: 9})


def at_the_start() -> Node:
    """A node that has asked for the first part of a snapshot."""
    node = Node(lambda: 0.0)
    hear_both(node)
    hear_both(node)
    assert fetches(node) == Fetch("X", None, b"")
    return node


def half_way() -> Node:
    """A node that has asked for the second part."""
    node = at_the_start()
    node.repair.fetched(Chunk("X", 1, b"", 1, 0, {}, {}, b"k"), node.cut, node.now_us)
    assert fetches(node) == Fetch("X", 1, b"k")
    return node


def test_who_can_not_be_asked_for_a_pull_is_left_for_the_next_at_once() -> None:
    node = Node(lambda: 0.0)
    node.hear("X", {X1: 1})
    node.hear("Y", {Y1: 1})
    assert node.asks() == "X"
    node.repair.unasked("X", node.now_us)
    assert node.asks() == "Y"


def test_who_can_not_be_asked_for_a_snapshot_is_left_for_the_next_at_once() -> None:
    node = at_the_start()
    node.repair.unasked("X", node.now_us)
    assert fetches(node) == Fetch("Y", None, b"")


def test_what_has_come_of_a_snapshot_is_kept_while_its_link_is_lost_for_a_moment() -> None:
    node = half_way()
    node.repair.unasked("X", node.now_us)
    assert fetches(node) is None
    node.now_us += TIMEOUT_US
    assert fetches(node) == Fetch("X", 1, b"k")
    node.repair.fetched(Chunk("X", 1, b"k", 1, 0, {}, {}, b"l"), node.cut, node.now_us)
    assert fetches(node) == Fetch("X", 1, b"l")


def test_who_can_not_be_asked_for_more_of_a_snapshot_is_given_up_as_a_silent_one() -> None:
    node = half_way()
    for attempt in range(FETCH_ATTEMPTS_MAX):
        node.repair.unasked("X", node.now_us)
        assert fetches(node) is None
        node.now_us += TIMEOUT_US << attempt
        hear_both(node)
        is_last = attempt == FETCH_ATTEMPTS_MAX - 1
        assert fetches(node) == (Fetch("Y", None, b"") if is_last else Fetch("X", 1, b"k"))


def test_who_could_be_asked_again_has_the_patience_that_is_due_to_one_who_is_heard() -> None:
    node = half_way()
    node.repair.unasked("X", node.now_us)
    for attempt in range(PATIENT_ATTEMPTS_MAX - 1):
        node.now_us += TIMEOUT_US << attempt
        hear_both(node)
        assert fetches(node) == Fetch("X", 1, b"k")


# --- slow links


@pytest.mark.parametrize("part_us", [TIMEOUT_US // 2, 2 * TIMEOUT_US, 10 * TIMEOUT_US])
def test_a_snapshot_comes_over_a_link_however_slow_and_hardly_any_part_twice(part_us: int) -> None:
    """The link carries one part after another, those that were asked for again too."""
    node, parts = Node(), 40
    sent, link_free_us = 0, 0
    on_its_way: list[tuple[int, Chunk]] = []
    whole = None
    while whole is None:
        node.hear("X", {X1: 9}, floor={X1: 9})
        question = node.repair.next_pull(node.cut, node.holdback, node.now_us)
        if isinstance(question, Fetch):
            at = int(question.after or b"0") + 1
            goes_on = None if at == parts else b"%d" % at
            link_free_us = max(link_free_us, node.now_us) + part_us
            chunk = Chunk("X", 1, question.after, 1, 0, {}, {}, goes_on)
            on_its_way.append((link_free_us, chunk))
            sent += 1
        node.now_us += HEARTBEAT_US
        while whole is None and on_its_way and on_its_way[0][0] <= node.now_us:
            _, whole = node.repair.fetched(on_its_way.pop(0)[1], node.cut, node.now_us)
    assert sent <= parts + PATIENT_ATTEMPTS_MAX


def test_a_part_of_a_snapshot_that_comes_in_pieces_is_not_given_up() -> None:
    node = Node()
    node.hear("X", {X1: 9}, floor={X1: 9})
    for _ in range(3 * PATIENT_ATTEMPTS_MAX):
        assert node.asks() == "X"
        assert node.repair.staging is not None
        node.now_us = node.repair.wake_us() or 0
        node.hear("X", {X1: 9}, floor={X1: 9})
        node.asks()  # it timed out
        node.progress("X", is_late=True)
        node.progress("X")
