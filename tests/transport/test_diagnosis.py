"""What listens where no node answers, in words."""

from __future__ import annotations

import socket
from threading import Thread

import pytest
import zmq

from kvnode.transport.diagnosis import diagnosed

#: What is waited for comes at once, on a machine that is not busy.
PATIENCE_S = 10.0


@pytest.fixture
def listening():
    """Gives the address of a ZeroMQ socket."""
    with zmq.Context() as context:
        sockets = []

        def listening(kind, *, curve=False):
            sockets.append(made := context.socket(kind))
            if curve:
                made.curve_server = True
                _, made.curve_secretkey = zmq.curve_keypair()
            return f"tcp://127.0.0.1:{made.bind_to_random_port('tcp://127.0.0.1')}"

        yield listening
        for made in sockets:
            made.close(linger=0)


@pytest.fixture
def saying():
    """Gives the address of a program that says this and hangs up."""
    servers = []

    def saying(words):
        server = socket.create_server(("127.0.0.1", 0))
        thread = Thread(target=_say, args=(server, words))
        thread.start()
        servers.append((server, thread))
        return f"tcp://127.0.0.1:{server.getsockname()[1]}"

    yield saying
    for server, thread in servers:
        thread.join()
        server.close()


def _say(server, words):
    caller, _ = server.accept()
    with caller:
        caller.sendall(words)
        caller.shutdown(socket.SHUT_WR)
        while caller.recv(4096):
            pass


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (zmq.PUB, "a gossip port listens there; give the port of that node's --listen instead"),
        (zmq.ROUTER, "something listens there as a node does, and does not answer"),
        (zmq.PULL, "what listens there speaks ZeroMQ's protocol, but is no node"),
    ],
)
def test_a_zeromq_socket_is_told_by_its_kind(listening, kind, words):
    assert diagnosed(listening(kind), PATIENCE_S) == words


def test_another_security_mechanism_is_named(listening):
    told = diagnosed(listening(zmq.ROUTER, curve=True), PATIENCE_S)
    assert told == "what listens there wants the security mechanism 'CURVE'"


@pytest.mark.parametrize("words", [b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", b"\xff", b"\xff" * 200])
def test_another_program_is_told(saying, words):
    told = diagnosed(saying(words), PATIENCE_S)
    if words == b"\xff" * 200:  # of which one can't know more
        assert told.startswith("what listens there wants the security mechanism")
    else:
        assert told == "what listens there does not speak ZeroMQ's protocol"


def test_a_program_that_says_nothing_is_told(saying):
    assert diagnosed(saying(b""), PATIENCE_S) == "what listens there says nothing"


def test_a_port_where_nobody_listens_is_told():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{held.getsockname()[1]}"
        assert diagnosed(address, PATIENCE_S) == "no program listens there"


def test_a_program_that_takes_no_connection_is_told():
    """Its queue of connections is full, as if a firewall dropped what comes."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        told = diagnosed(f"tcp://127.0.0.1:{server.getsockname()[1]}", 0.2)
        for one in waiting:
            one.close()
    assert told.startswith("nothing comes back: a firewall")


def test_an_address_of_the_other_family_can_be_looked_at():
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    port = server.getsockname()[1]
    server.close()
    assert diagnosed(f"tcp://[::1]:{port}", PATIENCE_S) == "no program listens there"
