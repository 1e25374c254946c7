"""Who has not answered for long is looked at, one after the other, and again after a while."""

from __future__ import annotations

import socket

import pytest

from kvnode.cli.cluster import until
from kvnode.daemon.diagnoses import (
    DIAGNOSE_AGAIN_HEARTBEATS,
    UNANSWERED_HEARTBEATS,
    Diagnoses,
)
from kvnode.daemon.peer import Peer

HEARTBEAT_US = 100
LATE_US = 1 + UNANSWERED_HEARTBEATS * HEARTBEAT_US
AGAIN_US = LATE_US + DIAGNOSE_AGAIN_HEARTBEATS * HEARTBEAT_US


@pytest.fixture
def peer():
    """One where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{held.getsockname()[1]}"
        yield Peer(address, True, address, tried_us=1)


def seen(diagnoses, peers, steady_us):
    """What is told of all of them in the end."""
    until(
        "all are looked at",
        lambda: diagnoses.go_on(peers, steady_us) or all(peer.trouble for peer in peers),
    )
    return [peer.trouble for peer in peers]


def test_who_does_not_answer_is_looked_at_after_a_while_and_again(peer):
    diagnoses = Diagnoses(HEARTBEAT_US)
    diagnoses.go_on([peer], LATE_US - 1)
    assert peer.diagnosed_us is None
    assert seen(diagnoses, [peer], LATE_US) == ["no program listens there"]
    diagnoses.go_on([peer], AGAIN_US - 1)
    assert peer.diagnosed_us == LATE_US
    diagnoses.go_on([peer], AGAIN_US)
    assert peer.diagnosed_us == AGAIN_US


def test_all_have_their_turn(peer):
    peers = [peer, Peer(peer.address, True, peer.reached, tried_us=1)]
    assert seen(Diagnoses(HEARTBEAT_US), peers, LATE_US) == 2 * ["no program listens there"]


def test_who_answers_is_not_looked_at_and_what_was_seen_is_forgotten(peer):
    diagnoses = Diagnoses(HEARTBEAT_US)
    peer.answered_us = LATE_US
    diagnoses.go_on([peer], LATE_US)
    assert peer.diagnosed_us is None
    peer.trouble = "for a test"
    diagnoses.go_on([peer], LATE_US)
    assert peer.trouble is None


def test_a_host_that_nobody_knows_is_not_looked_at():
    peer = Peer("tcp://nowhere.invalid:1", True, tried_us=1)
    Diagnoses(HEARTBEAT_US).go_on([peer], LATE_US)
    assert peer.diagnosed_us is None
