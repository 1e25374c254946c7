"""Ports that are held for daemons that are yet to start."""

from __future__ import annotations

import errno
import socket

import pytest
import zmq

from kvnode.cli import ports
from kvnode.cli.ports import HeldPort

#: So many that two were all but certainly alike, if each was let go before the next is chosen.
MANY = 500


def taken(address):
    """Whether one that asks for this port is refused."""
    host, number = address.removeprefix("tcp://").split(":")
    with socket.socket() as other:
        try:
            other.bind((host, int(number)))
        except OSError as error:
            assert error.errno == errno.EADDRINUSE
            return True
    return False


def test_no_two_are_alike():
    held = [HeldPort() for _ in range(MANY)]
    assert len({port.address for port in held}) == MANY


def test_others_are_refused_until_it_is_dropped():
    port = HeldPort()
    address = port.address
    assert taken(address)
    del port
    assert not taken(address)


@pytest.mark.parametrize("may_join", {False, ports._LISTENER_MAY_JOIN})
def test_a_daemon_listens_at_it_and_does_so_again_when_it_comes_back(may_join, monkeypatch):
    monkeypatch.setattr(ports, "_LISTENER_MAY_JOIN", may_join)
    port = HeldPort()
    for _ in range(2):
        port.make_way()
        with zmq.Context() as context, context.socket(zmq.ROUTER) as daemon:
            daemon.bind(port.address)
            with context.socket(zmq.DEALER) as peer:
                peer.connect(port.address)
                peer.send(b"hello")
                assert daemon.recv_multipart()[-1] == b"hello"
    assert taken(port.address) == may_join


def test_where_all_are_taken_that_is_told(monkeypatch):
    port = HeldPort()
    number = int(port.address.rpartition(":")[2])
    monkeypatch.setattr(ports, "_CHOICE", range(number, number + 1))
    with pytest.raises(OSError, match="in use"):
        HeldPort()
