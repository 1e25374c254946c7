"""When a node counts as caught up since its start."""

from __future__ import annotations

import pytest

from kvnode.core.messages import Claim
from kvnode.core.repair import ALIVE_HEARTBEATS
from kvnode.daemon.catch_up import HEAR_HEARTBEATS, CatchUp

HEARTBEAT_US = 500_000
X, Y = "X~0000001000000001", "Y~0000001000000001"


class Starter:
    """A node that has started, with these peers; what it has is set by the test."""

    def __init__(self, *peers):
        self.has = {}
        self._peers = set(peers)
        self._catch_up = CatchUp(HEARTBEAT_US)
        self._now_us = 7

    def looks(self, after_heartbeats=1, **claimed):
        """Time goes by, and peers claim to have so many of Y's writes; whether it is done."""
        self._now_us += int(after_heartbeats * HEARTBEAT_US)
        claims = [
            Claim(name, 1, {Y: seq} if seq else {}, {}, 0, {}, 0) for name, seq in claimed.items()
        ]
        self._catch_up.look(claims, self._covers, self._are_others, self._now_us)
        return self._catch_up.is_done

    def _covers(self, vector):
        return all(self.has.get(origin, 0) >= seq for origin, seq in vector.items())

    def _are_others(self, names):
        return bool(self._peers - set(names))


def test_who_has_no_peers_has_caught_up_at_once():
    assert Starter().looks()


def test_who_has_heard_all_has_caught_up_if_they_have_nothing_more():
    node = Starter("A", "B")
    assert not node.looks()
    assert not node.looks(A=0)
    assert node.looks(B=0)


def test_it_counts_what_a_peer_had_at_first_and_not_what_is_written_meanwhile():
    node = Starter("A")
    assert not node.looks(A=3)
    node.has = {Y: 2}
    assert not node.looks(A=5)
    node.has = {Y: 3}
    assert node.looks(A=7)


def test_its_own_writes_do_not_count():
    node = Starter("A")
    node.has = {X: 100}
    assert not node.looks(A=1)


def test_as_long_as_a_peer_lives_that_has_more_it_is_waited_for():
    node = Starter("A")
    assert not any(node.looks(A=1) for _ in range(10 * HEAR_HEARTBEATS))


def test_it_stays_caught_up():
    node = Starter("A")
    assert node.looks(A=0)
    assert node.looks(A=9)


@pytest.mark.parametrize("claimed", [{}, {"A": 0}], ids=["none was heard", "one was heard"])
def test_a_peer_that_is_away_is_waited_for_some_heartbeats(claimed):
    node = Starter("A", "B")
    for _ in range(HEAR_HEARTBEATS):
        assert not node.looks(**claimed)
    assert node.looks(**claimed)


def test_what_only_a_peer_had_that_fell_silent_is_not_waited_for():
    node = Starter("A", "B")
    assert not node.looks(A=9, B=0)
    assert not node.looks(ALIVE_HEARTBEATS - 1, B=0)
    assert node.looks(B=0)
