"""Links are opened to each number of each address, within bounds, and left when nobody is there."""

from __future__ import annotations

import pytest
import zmq

from kvnode.codec.client import Introduction
from kvnode.daemon import dialling as module
from kvnode.daemon.dialling import GONE_HEARTBEATS, Dialling
from kvnode.daemon.logs import Complaints
from kvnode.daemon.neighbours import Neighbours

HEARTBEAT_US = 100
SELF = Introduction("c", "X", 1, "tcp://127.0.0.1:1", "tcp://127.0.0.1:2", None)
GONE_US = GONE_HEARTBEATS * HEARTBEAT_US


class Dialler:
    """What dials, and what it knows."""

    def __init__(self, context):
        self.complaints = Complaints()
        self.neighbours = Neighbours(SELF, heartbeat_us=HEARTBEAT_US)
        self.poller = zmq.Poller()
        self.it = Dialling(
            context,
            self.poller,
            SELF.listen,
            self.neighbours,
            self.complaints,
            heartbeat_us=HEARTBEAT_US,
        )

    @property
    def reached(self):
        """The numbers that it has links to."""
        return [peer.reached for peer in self.neighbours.peers]

    def knows(self, host, *numbers):
        """A name server has said that a host is there."""
        self.it.names.numbers(f"tcp://{host}:1")
        self.it.names._tell(host, numbers)


@pytest.fixture
def dialler():
    with zmq.Context() as context:
        dialler = Dialler(context)
        yield dialler
        dialler.it.close()


def test_an_address_with_a_number_is_connected_to_at_once_and_the_own_one_never(dialler):
    dialler.it.add("tcp://127.0.0.2:1", is_configured=True)
    dialler.it.add("tcp://127.0.0.2:1", is_configured=False)
    dialler.it.add(SELF.listen, is_configured=True)
    (peer,) = dialler.neighbours.peers
    assert (peer.reached, peer.is_configured) == ("tcp://127.0.0.2:1", True)
    assert peer.socket in dict(dialler.poller.sockets)


def test_a_name_has_a_peer_at_each_of_its_numbers_once_they_are_known(dialler):
    dialler.it.add("tcp://all.invalid:1", is_configured=True)
    assert dialler.reached == [None]
    dialler.knows("all.invalid", "127.0.0.2", "127.0.0.3")
    assert dialler.it.look_for_the_moved()
    assert dialler.reached == ["tcp://127.0.0.2:1", "tcp://127.0.0.3:1"]
    assert all(peer.socket is not None for peer in dialler.neighbours.peers)


def test_a_number_that_a_name_has_no_more_is_left_when_nobody_lives_there(dialler):
    dialler.it.add("tcp://all.invalid:1", is_configured=True)
    dialler.knows("all.invalid", "127.0.0.2", "127.0.0.3")
    dialler.it.look_for_the_moved()
    lives, _ = dialler.neighbours.peers
    lives.answered_us = 1_000
    dialler.knows("all.invalid", "127.0.0.4")
    dialler.it.look_for_the_moved()
    assert dialler.it.leave_the_gone((), 1_001)
    assert dialler.reached == ["tcp://127.0.0.2:1", "tcp://127.0.0.4:1"]
    assert dialler.it.leave_the_gone((), 1_000 + GONE_US)
    assert dialler.reached == ["tcp://127.0.0.4:1"]


def test_who_is_neither_configured_nor_recorded_nor_alive_is_left(dialler):
    addresses = [f"tcp://127.0.0.{number}:1" for number in (2, 3, 4)]
    for address in addresses:
        dialler.it.add(address, is_configured=address == addresses[0])
    for peer in dialler.neighbours.peers:
        peer.tried_us, peer.refusal = 1, "for a test"
    assert not dialler.it.leave_the_gone((), 1 + GONE_US)
    assert dialler.it.leave_the_gone({addresses[1]}, 2 + GONE_US)
    assert dialler.reached == addresses[:2]
    assert [peer.refusal for peer in dialler.neighbours.peers] == [None, None]


def test_beyond_a_number_of_peers_there_are_no_more(dialler, monkeypatch):
    monkeypatch.setattr(module, "PEERS_MAX", 2)
    for number in (2, 3, 4):
        dialler.it.add(f"tcp://127.0.0.{number}:1", is_configured=False)
    assert len(dialler.reached) == 2
    assert dialler.complaints.counts == {"too_many_peers": 1}


@pytest.mark.parametrize("is_configured", [True, False])
def test_what_can_not_be_connected_to_is_told(dialler, is_configured):
    dialler.it.add("smoke://signals", is_configured=is_configured)
    assert dialler.reached == []
    assert dialler.complaints.counts == {"bad_addresses": 1}


def test_a_link_that_led_to_the_node_itself_is_made_anew(dialler):
    dialler.it.add("tcp://127.0.0.2:1", is_configured=True)
    (peer,) = dialler.neighbours.peers
    before = peer.socket
    assert not dialler.it.renew(peer, 1)
    peer.detour(1, HEARTBEAT_US)
    assert dialler.it.renew(peer, 2)
    assert not dialler.it.renew(peer, 3)
    assert before.closed and not peer.socket.closed
