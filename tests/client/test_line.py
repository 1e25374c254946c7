"""Lines: sockets that are made anew where no connection comes about."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from contextlib import contextmanager
from itertools import pairwise

import pytest
import zmq

from kvnode import AsyncClient, Client, KvnodeError, Unreachable
from kvnode.cli.cluster import PATIENCE_S, until
from kvnode.client import line as line_module
from kvnode.client.line import PATIENCE_MAX_S, Line, process_context
from kvnode.client.line import PATIENCE_S as FIRST_PATIENCE_S
from tests.client.fake_node import FakeNode, answering, mute
from tests.client.test_connection import FOUND
from tests.client.test_sync_failures import nobodys_address


class WrongSocket:
    """What libzmq gives up on, at a port where a node will be."""

    def __init__(self, kind, *, is_encrypted=False):
        self._context = zmq.Context()
        self._socket = self._context.socket(kind)
        if is_encrypted:
            self._socket.curve_server = True
            _, self._socket.curve_secretkey = zmq.curve_keypair()
        self.port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.address = f"127.0.0.1:{self.port}"

    def close(self):
        self._context.destroy(linger=0)


REAL = line_module.Attempt

WRONG = pytest.mark.parametrize(
    ("kind", "is_encrypted"),
    [(zmq.PUB, False), (zmq.PUSH, False), (zmq.ROUTER, True)],
    ids=["gossip", "another program's", "encrypted"],
)


@WRONG
def test_a_client_that_met_a_wrong_socket_reaches_the_node_that_comes_there(kind, is_encrypted):
    wrong = WrongSocket(kind, is_encrypted=is_encrypted)
    with Client(wrong.address, timeout_s=1, wait_s=0) as client:
        with pytest.raises(KvnodeError):
            client.get("k")
        wrong.close()
        with FakeNode(answering(FOUND), port=str(wrong.port)):
            until("it answers", lambda: _got(client))


def _got(client):
    try:
        return client.get("k")
    except KvnodeError:
        return None


@WRONG
def test_and_so_does_one_that_uses_asyncio(kind, is_encrypted):
    async def play(wrong):
        async with AsyncClient(wrong.address, timeout_s=1, wait_s=0) as client:
            with pytest.raises(KvnodeError):
                await client.get("k")
            wrong.close()
            with FakeNode(answering(FOUND), port=str(wrong.port)):
                end_s = time.monotonic() + PATIENCE_S
                while time.monotonic() < end_s:
                    try:
                        return await client.get("k")
                    except KvnodeError:
                        continue
        return None

    assert asyncio.run(play(WrongSocket(kind, is_encrypted=is_encrypted))) == 1


@contextmanager
def silent_service():
    """Accepts connections, says nothing, and resets them when it ends: as a node that is hung, and
    is killed then. Its port is free afterwards."""
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def has_failed(line):
    """Whether its attempt has, which stays to be told."""
    return line._attempt._monitor.poll(0)


def test_a_call_is_not_told_what_failed_before_it_began():
    with silent_service() as port:
        client = Client(f"127.0.0.1:{port}", timeout_s=0.1)
        with pytest.raises(Unreachable):
            client.get("k")
    (channel,) = client._connection._pool()._idle
    until("its connection is reset", lambda: has_failed(channel._line))
    with client, FakeNode(answering(FOUND), port=str(port)):
        client.timeout_s = PATIENCE_S
        assert client.get("k") == 1


def test_nor_is_one_of_asyncio():
    async def play():
        with silent_service() as port:
            client = AsyncClient(f"127.0.0.1:{port}", timeout_s=0.1)
            with pytest.raises(Unreachable):
                await client.get("k")
        (link,) = client._connection._links.values()
        until("its connection is reset", lambda: has_failed(link._line))
        async with client:
            with FakeNode(answering(FOUND), port=str(port)):
                client.timeout_s = PATIENCE_S
                return await client.get("k")

    assert asyncio.run(play()) == 1


def test_who_begins_anew_tries_all_numbers_of_a_name_again(monkeypatch):
    port = nobodys_address().rpartition(":")[2]
    tried = []
    monkeypatch.setattr(
        line_module, "Attempt", lambda _, address: tried.append(address) or REAL(_, address)
    )
    monkeypatch.setattr(line_module, "taken", lambda lookup: Found("127.0.0.1", "127.0.0.2"))
    line = Line(f"tcp://localhost:{port}")
    until("the first is tried", lambda: line.tend(0.0) or tried)
    until("it is refused", lambda: has_failed(line))
    line.begin()
    assert "refused" in until("all are refused", lambda: failure(line))
    assert tried == [f"tcp://127.0.0.{number}:{port}" for number in (1, 1, 2)]


class Found:
    """What a lookup found."""

    trouble = None

    def __init__(self, *numbers):
        self.numbers = numbers


def test_a_socket_that_hears_nothing_is_made_anew():
    with mute() as address:
        line = Line(address)
        assert not line.tend(0.0)
        first = line.socket
        assert not line.tend(FIRST_PATIENCE_S - 0.1) and line.socket is first
        assert not line.tend(FIRST_PATIENCE_S) and line.socket is not first
        line.close()


def failure(line):
    """Why no connection comes about, once that is known."""
    try:
        assert not line.tend(0.0)
    except Unreachable as error:
        return str(error)
    return None


def test_who_connects_to_nobody_knows_at_once():
    line = Line(f"tcp://{nobodys_address()}")
    for _ in range(3):  # what is tended again tries again
        assert "refused" in until("it is refused", lambda: failure(line))
        assert line.socket is None
    line.close()


@WRONG
def test_who_connects_to_what_is_no_node_knows_at_once(kind, is_encrypted):
    wrong = WrongSocket(kind, is_encrypted=is_encrypted)
    line = Line(f"tcp://{wrong.address}")
    assert "takes requests" in until("it is dropped", lambda: failure(line))
    wrong.close()
    with FakeNode(answering(FOUND), port=str(wrong.port)):
        until("it is connected", lambda: line.tend(0.0))
        line.close()


def test_of_a_name_each_number_is_tried_before_it_is_refused(monkeypatch):
    port = nobodys_address().rpartition(":")[2]
    tried = []
    monkeypatch.setattr(
        line_module, "Attempt", lambda _, address: tried.append(address) or REAL(_, address)
    )
    line = Line(f"tcp://localhost:{port}")
    assert "localhost" in until("all are refused", lambda: failure(line))
    numbers = {it[4][0] for it in socket.getaddrinfo("localhost", None)}
    assert len(tried) == len(set(tried)) == len(numbers)


def test_who_forgets_a_line_that_is_not_connected_stops_no_other():
    """libzmq's thread would wait for ever to tell an event to a socket that was closed first."""
    with mute() as address, pytest.warns(ResourceWarning):
        for each in [address, f"tcp://{nobodys_address()}"] * 20:
            line = Line(each)
            line.tend(0.0)
            line.itself = line
            del line
        gc.collect()
    with FakeNode(answering(FOUND)) as node, Client(node.listen) as client:
        assert client.get("k") == 1


def test_a_socket_is_made_anew_the_more_seldom_the_longer_it_hears_nothing():
    with mute() as address:
        line, now_s, made_s = Line(address), 0.0, []
        while now_s < 5 * PATIENCE_MAX_S:
            before = line.socket
            assert not line.tend(now_s)
            if line.socket is not before:
                made_s.append(now_s)
            now_s += 0.1
        line.close()
    pauses_s = [round(after - before) for before, after in pairwise(made_s)]
    assert pauses_s[:3] == [FIRST_PATIENCE_S, PATIENCE_MAX_S, PATIENCE_MAX_S]


def test_a_socket_that_lost_its_connection_is_made_anew_at_once():
    with FakeNode(answering(FOUND)) as node:
        line = Line(node.listen)
        until("it is connected", lambda: line.tend(0.0))
        first = line.socket
        node.stop()
        until("it is lost", lambda: not line.tend(0.0))
        assert line.socket is not first
        line.close()


def test_more_lines_than_zeromq_has_room_for_by_default():
    """1,023, were it not told otherwise; here they are sockets that connect to nothing."""
    room = process_context().get(zmq.MAX_SOCKETS)
    assert room == process_context().get(zmq.SOCKET_LIMIT)


def test_a_line_that_is_forgotten_is_closed_by_the_garbage_collector():
    """The context of all lines is never ended, so that nothing waits for that."""
    with mute() as address:
        line = Line(address)
        line.tend(0.0)
        forgotten = line.socket
        assert forgotten is not None and not forgotten.closed
        with pytest.warns(ResourceWarning, match="Unclosed client of tcp://127.0.0.1"):
            del line
            gc.collect()
        assert forgotten.closed and not process_context().closed


def test_a_line_that_was_closed_as_forgotten_connects_anew():
    with FakeNode(answering(FOUND)) as node:
        line = Line(node.listen)
        until("it is connected", lambda: line.tend(0.0))
        with pytest.warns(ResourceWarning):
            line._forgotten()
        assert line.socket is None and not line.has_connection
        until("it is connected again", lambda: line.tend(0.0))
        with pytest.warns(ResourceWarning):
            line._forgotten()
        line.begin()
        until("it is connected once more", lambda: line.tend(0.0))
        line.close()
        line.close()
