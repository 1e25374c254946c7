"""Links that are silent are made anew, each time later."""

from __future__ import annotations

from kvnode.daemon.peer import LINK_AGAIN_HEARTBEATS, LINK_AGAIN_HEARTBEATS_MAX, Link, Peer

HEARTBEAT_US = 100
PATIENCE_US = LINK_AGAIN_HEARTBEATS * HEARTBEAT_US
START_US = 5


def renewals(link, until_us):
    """When it is made anew, looked at all the time."""
    times = range(START_US, until_us, HEARTBEAT_US)
    return [us - START_US for us in times if link.is_silent(us, HEARTBEAT_US)]


def test_a_silent_link_is_made_anew_each_time_after_twice_as_long():
    assert renewals(Link(), 8 * PATIENCE_US) == [PATIENCE_US, 3 * PATIENCE_US, 7 * PATIENCE_US]


def test_the_time_between_has_an_end():
    longest_us = LINK_AGAIN_HEARTBEATS_MAX * HEARTBEAT_US
    *_, before, last = renewals(Link(), 5 * longest_us)
    assert last - before == longest_us


def test_what_comes_begins_the_time_anew():
    link = Link()
    assert renewals(link, 4 * PATIENCE_US) == [PATIENCE_US, 3 * PATIENCE_US]
    link.came(4 * PATIENCE_US)
    assert not link.is_silent(5 * PATIENCE_US - 1, HEARTBEAT_US)
    assert link.is_silent(5 * PATIENCE_US, HEARTBEAT_US)


def test_a_sign_of_life_is_gossip_or_an_answer():
    peer = Peer("tcp://127.0.0.1:1", is_configured=True)
    assert peer.latest_us == 0
    peer.heard_us = 7
    assert peer.latest_us == 7
    peer.answered_us = 9
    assert peer.latest_us == 9
