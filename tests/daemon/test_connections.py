"""Connections are counted when they begin and end, whoever ended them and why."""

from __future__ import annotations

import logging
import os
import resource
import socket
from contextlib import ExitStack, suppress

import pytest
import zmq

from kvnode.cli.cluster import PATIENCE_S, until
from kvnode.codec.client import PING
from kvnode.core.limits import MIB
from kvnode.daemon import connections as connections_module
from kvnode.daemon.connections import Connections
from kvnode.daemon.logs import LOGGER, Complaints
from kvnode.transport.sockets import bound, connect, dealer, subscriber
from tests.cli.process import run
from tests.daemon.fake_peer import FakePeer
from tests.daemon.raw import Raw

ANYWHERE = "tcp://127.0.0.1:*"

#: How ZMTP 3.1 begins, up to the name of a mechanism.
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01"

NO_ZEROMQ = {
    "nothing": b"",
    "a question of a browser": b"GET / HTTP/1.1\r\n\r\n",
    "half a greeting": GREETING,
}


@pytest.fixture
def context():
    made = zmq.Context()
    yield made
    made.destroy(linger=0)


@pytest.fixture
def complaints():
    return Complaints()


@pytest.fixture
def router(context):
    with bound(context, zmq.ROUTER, ANYWHERE) as socket:
        yield socket


@pytest.fixture
def watched(router, complaints):
    """The connections of the router."""
    connections = Connections({"requests": router}, complaints)
    yield connections
    connections.close()


@pytest.fixture
def told(caplog, monkeypatch):
    """What was logged so far."""
    monkeypatch.setattr(LOGGER, "propagate", True)
    caplog.set_level(logging.DEBUG, LOGGER.name)
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


def address_of(listener):
    return listener.getsockopt_string(zmq.LAST_ENDPOINT)


def plain(address):
    """A connection without ZeroMQ."""
    host, port = address.removeprefix("tcp://").split(":")
    return socket.create_connection((host, int(port)))


def until_ended(connections, count):
    """Read events until so many connections have ended."""
    (monitor,) = connections.monitors
    while connections.counts["requests"]["ended"] < count:
        assert monitor.poll(PATIENCE_S * 1000), f"nothing more happened: {connections.counts}"
        connections.receive([monitor])
    return connections.counts["requests"]


def test_one_that_comes_and_goes_is_counted_twice_and_is_no_complaint(
    context, router, watched, complaints, told
):
    client = dealer(context, address_of(router))
    client.send(b"hello")
    assert router.poll(PATIENCE_S * 1000)
    client.close()
    assert until_ended(watched, 1) == {"begun": 1, "ended": 1, "failed": 0}
    ((level, line),) = told()
    assert level == "DEBUG" and f"ended connections: one at {address_of(router)}" in line
    assert complaints.counts == {}


def test_many_ends_do_not_flood_the_log(router, watched, told):
    for _ in range(30):  # fewer than a listener lets wait
        plain(address_of(router)).close()
    assert until_ended(watched, 30) == {"begun": 30, "ended": 30, "failed": 30}
    assert len(told()) == 2, "one line for ends, one for handshakes"


@pytest.mark.parametrize("sent", NO_ZEROMQ.values(), ids=NO_ZEROMQ)
def test_who_leaves_before_speaking_zeromq_is_counted_and_is_no_complaint(
    sent, router, watched, complaints, told
):
    with plain(address_of(router)) as connection:
        connection.sendall(sent)
    assert until_ended(watched, 1) == {"begun": 1, "ended": 1, "failed": 1}
    (level, line), *_ = told()
    assert level == "INFO" and line.startswith("failed handshakes: one at ")
    assert complaints.counts == {}, "a cut network does that too"


def test_who_speaks_it_otherwise_is_complained_of(router, watched, complaints, told):
    with plain(address_of(router)) as connection:
        connection.sendall(GREETING + b"PLAIN".ljust(52, b"\0"))
        assert until_ended(watched, 1) == {"begun": 1, "ended": 1, "failed": 1}
    (level, line), *_ = told()
    assert level == "WARNING" and "is not ZeroMQ's protocol" in line
    assert complaints.counts == {"failed_handshakes": 1}


def test_what_happened_beyond_the_bound_of_a_turn_is_read_in_the_next(router, watched, monkeypatch):
    for _ in range(10):
        plain(address_of(router)).close()
    until_ended(watched, 10)
    monkeypatch.setattr(connections_module, "EVENTS_PER_TURN", 1)
    for _ in range(10):
        plain(address_of(router)).close()
    (monitor,) = watched.monitors
    before = watched.counts["requests"]
    assert monitor.poll(PATIENCE_S * 1000)
    watched.receive([monitor])
    assert sum(watched.counts["requests"].values()) <= sum(before.values()) + 1
    assert until_ended(watched, 20) == {"begun": 20, "ended": 20, "failed": 20}


def test_tries_to_accept_without_a_descriptor_are_no_work_for_who_reads(router, watched):
    """libzmq makes some 100,000 of them a second, as long as somebody waits to be taken."""
    (monitor,) = watched.monitors
    host, port = address_of(router).removeprefix("tcp://").split(":")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    client = socket.socket()
    with client, ExitStack() as taken:
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
        taken.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with suppress(OSError):
            while True:
                taken.callback(os.close, os.dup(0))
        client.connect((host, int(port)))  # the kernel takes it, whatever the node does
        assert not monitor.poll(200), "nothing has happened that anybody must read"
        taken.close()
        assert monitor.poll(PATIENCE_S * 1000), "it is taken once there is room"
        watched.receive([monitor])
        assert watched.counts["requests"]["begun"] == 1


def test_a_monitor_that_is_not_ready_is_not_read(router, watched):
    plain(address_of(router)).close()
    (monitor,) = watched.monitors
    assert monitor.poll(PATIENCE_S * 1000)
    watched.receive([])
    assert watched.counts == {"requests": {"begun": 0, "ended": 0, "failed": 0}}


def test_each_socket_has_its_own_counts(context, complaints):
    with bound(context, zmq.PUB, ANYWHERE) as publisher, subscriber(context) as listener:
        connections = Connections({"to": publisher, "from": listener}, complaints)
        connect(listener, address_of(publisher))

        def counted(kind, name):
            connections.receive(connections.monitors)
            return connections.counts[name][kind]

        def speak():
            publisher.send(b"word")
            return listener.poll(0)

        until("they speak", speak)
        assert counted("begun", "to") == counted("begun", "from") == 1
        publisher.close()
        until("it has ended", lambda: counted("ended", "from"))
        assert connections.counts["from"] == {"begun": 1, "ended": 1, "failed": 0}
        connections.close()


# --- a real daemon


@pytest.fixture
def x(make_node):
    """A node that logs all that it can."""
    node = make_node("X", "--log-level", "debug")
    node.start()
    return node


def test_commands_that_come_and_go_leave_nothing_in_the_log(make_node):
    node = make_node("X")
    node.start()
    with node.client() as client:
        before = client.status()["connections"]["requests"]["ended"]
        for command in (["put", "k", "v"], ["get", "k"], ["ping"]):
            assert run("--node", node.listen, *command).returncode == 0

        def ended():
            return client.status()["connections"]["requests"]["ended"] - before

        until("all have gone", lambda: ended() == 3)
    assert node.stop() == 0
    assert "connection" not in node.log.read_text()


def test_a_message_beyond_all_limits_is_counted_and_told_and_others_are_served(x):
    with x.client() as client, Raw(x) as raw, Raw(x) as other:
        raw.ask(PING)
        other.ask(PING)

        def ended():
            return client.status()["connections"]["requests"]["ended"]

        before = ended()
        raw.send(bytes(40 * MIB))
        until("it is counted", lambda: ended() == before + 1)
        assert other.ask(PING).results == [["ok", "X"]]
        client.put("k", "v")
        assert client.get("k") == "v" and client.status()["complaints"] == {}
    (line,) = [line for line in x.log.read_text().splitlines() if "ended connections" in line]
    assert " DEBUG " in line and x.listen in line and "a message above 32 MiB" in line


@pytest.mark.parametrize(("port", "name"), [("listen", "requests"), ("gossip", "subscribers")])
def test_garbage_at_either_port_is_counted_and_told_and_others_are_served(port, name, x):
    address = getattr(x, port)
    with x.client() as client:
        client.ping()
        with plain(address) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        until("it is counted", lambda: client.status()["connections"][name]["failed"] == 1)
        client.put("k", "v")
        assert client.get("k") == "v" and client.status()["complaints"] == {}
    (line,) = [line for line in x.log.read_text().splitlines() if "failed handshakes" in line]
    assert " INFO " in line and address in line


def test_gossip_beyond_all_limits_is_counted_and_told(make_node):
    node = make_node("X", "--log-level", "debug")
    with FakePeer() as fake:
        node.peers = [fake.listen]
        node.start()
        fake.until_heard(node)
        fake.publish(fake.header("batch"), bytes(40 * MIB))
        until("it is counted", lambda: node.status()["connections"]["publishers"]["ended"] == 1)
    lines = node.log.read_text().splitlines()
    assert [line for line in lines if "ended connections" in line and fake.gossip in line]
