"""Lines: sockets that are made anew where no connection comes about."""

from __future__ import annotations

import asyncio
import gc
import time
from itertools import pairwise

import pytest
import zmq

from kvnode import AsyncClient, Client, KvnodeError
from kvnode.cli.cluster import PATIENCE_S, until
from kvnode.client.line import PATIENCE_MAX_S, Line, process_context
from kvnode.client.line import PATIENCE_S as FIRST_PATIENCE_S
from tests.client.fake_node import FakeNode, answering
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


def test_one_call_that_has_time_lives_to_see_the_node_come():
    wrong = WrongSocket(zmq.PUB)
    line = Line(f"tcp://{wrong.address}")
    assert not line.tend(0.0)
    first = line.socket
    wrong.close()
    with FakeNode(answering(FOUND), port=str(wrong.port)):
        until("it is connected", lambda: line.tend(FIRST_PATIENCE_S))
        assert line.socket is not first
        line.close()


def test_a_socket_is_made_anew_the_more_seldom_the_longer_nobody_is_there():
    line, now_s, made_s = Line(f"tcp://{nobodys_address()}"), 0.0, []
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
    line = Line(f"tcp://{nobodys_address()}")
    line.tend(0.0)
    with pytest.warns(ResourceWarning, match="Unclosed socket"):
        del line
        gc.collect()
    assert not process_context().closed
