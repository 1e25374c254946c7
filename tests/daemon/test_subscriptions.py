"""What is subscribed to: each number of each address once, and anew where nothing comes."""

from __future__ import annotations

import pytest
import zmq

from kvnode.cli.cluster import until
from kvnode.daemon.logs import Complaints
from kvnode.daemon.names import Names
from kvnode.daemon.subscriptions import Subscriptions

#: What may tell that the other side was no PUB.
_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_DISCONNECTED
)


@pytest.fixture
def context():
    with zmq.Context() as context:
        yield context


@pytest.fixture
def bind(context):
    """Gives sockets that listen, and where."""
    sockets = []

    def bind(kind, address="tcp://127.0.0.1:*"):
        sockets.append(socket := context.socket(kind))
        until("the port is free", lambda: _binds(socket, address))
        return socket, socket.get(zmq.LAST_ENDPOINT).decode()

    yield bind
    for socket in sockets:
        socket.close(linger=0)


@pytest.fixture
def complaints():
    return Complaints()


@pytest.fixture
def subscriptions(context, complaints):
    names = Names(complaints)
    subscriptions = Subscriptions(context, names, complaints)
    yield subscriptions
    subscriptions.close()
    names.close()


def _binds(socket, address):
    try:
        socket.bind(address)
    except zmq.ZMQError:
        return False
    return True


def hears(subscriptions, publisher):
    """Whether what is published comes, before long."""
    for _ in range(20):
        publisher.send(b"gossip")
        if subscriptions.socket.poll(20):
            assert subscriptions.socket.recv() == b"gossip"
            return True
    return False


def test_who_is_followed_is_heard_and_who_is_not_is_not_any_more(subscriptions, bind):
    one, there = bind(zmq.PUB)
    subscriptions.follow([there, there])
    until("it is heard", lambda: hears(subscriptions, one))
    subscriptions.follow([])
    until("it is not heard", lambda: not hears(subscriptions, one))


def test_where_another_socket_was_before_gossip_comes_after_a_renewal(subscriptions, bind):
    """ZeroMQ has given the connection up for good then."""
    wrong, there = bind(zmq.ROUTER)
    monitor = subscriptions.socket.get_monitor_socket(_FAILED)
    subscriptions.follow([there])
    assert monitor.poll(30_000), "the other socket is met"
    wrong.close(linger=0)
    right, _ = bind(zmq.PUB, there)

    def is_heard():
        subscriptions.renew(there)
        return hears(subscriptions, right)

    until("it is heard", is_heard)
    monitor.close()


def test_an_address_that_can_not_be_connected_to_is_told(subscriptions, complaints):
    subscriptions.follow(["smoke://signals"])
    assert complaints.counts == {"bad_addresses": 1}


def test_a_renewal_of_what_is_not_followed_does_nothing(subscriptions, bind):
    one, there = bind(zmq.PUB)
    subscriptions.renew(there)
    assert not hears(subscriptions, one)
