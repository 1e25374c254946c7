"""A client whose node is slow, or goes and comes back."""

from __future__ import annotations

import asyncio
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaiting

import msgpack
import pytest
import zmq

from kvnode import AsyncClient, Client, TimedOut, Unreachable, Unreplicated
from kvnode.cli.cluster import PATIENCE_S, until
from kvnode.codec.answers import encode_answer
from kvnode.codec.token import encode_token
from kvnode.core.vector import Dot, new_origin
from tests.client.fake_node import FakeNode, silent

ORIGIN = new_origin("X", 1, 1)
IMPATIENT_S = 0.2


def held_back(asked):
    """As by a node whose peers are slow: longer than a client is patient with the node itself."""
    time.sleep(3 * IMPATIENT_S)
    seen = encode_token("kvnode", {ORIGIN: 1})
    return [encode_answer(asked.id, seen, [("ok", ORIGIN, 1, 1, None), ("ok", 2)])]


def test_who_waits_for_replicas_is_patient_for_that_long_too():
    with (
        FakeNode(held_back) as node,
        Client(node.listen, timeout_s=IMPATIENT_S, wait_s=0) as client,
    ):
        assert client.put("k", "v", replicas=2, timeout_s=PATIENCE_S) == Dot(ORIGIN, 1)


def test_and_so_is_who_uses_asyncio():
    async def put(node):
        async with AsyncClient(node.listen, timeout_s=IMPATIENT_S, wait_s=0) as client:
            return await client.put("k", "v", replicas=2, timeout_s=PATIENCE_S)

    with FakeNode(held_back) as node:
        assert asyncio.run(put(node)) == Dot(ORIGIN, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get("k"),
        lambda client: client.put("k", "v"),
        lambda client: client.put("k", "v", replicas=2),
        lambda client: client.count("k"),
        lambda client: client.ping(),
    ],
    ids=["get", "put", "replicas", "count", "ping"],
)
def test_a_call_takes_no_longer_than_its_time_out_whatever_else_may_wait(call):
    with FakeNode(silent) as node, Client(node.listen, timeout_s=0.5, wait_s=600) as client:
        start = time.monotonic()
        with pytest.raises(TimedOut):
            call(client)
        assert 0.4 < time.monotonic() - start < 60


def test_a_call_with_a_time_out_of_its_own_takes_no_longer_than_that():
    with FakeNode(silent) as node, Client(node.listen, timeout_s=600, wait_s=600) as client:
        start = time.monotonic()
        with pytest.raises(TimedOut):
            client.put("k", "v", replicas=2, timeout_s=0.5)
        assert 0.4 < time.monotonic() - start < 60


def test_who_has_a_write_is_told_while_there_is_time(make_node):
    node = make_node("X")
    node.start()
    with Client(node.listen, timeout_s=PATIENCE_S, wait_s=600) as client:
        client.ping()
        client.timeout_s = 3
        with pytest.raises(Unreplicated, match="only 1 of 2 members") as raised:
            client.put("k", "v", replicas=2)
        assert raised.value.names == ["X"]


def test_a_late_answer_is_not_taken_for_the_next_ones():
    def first_late(asked):
        """The first is answered only after the second has come."""
        if asked.id > 1:
            late = encode_token("kvnode", {ORIGIN: 100})
            yield encode_answer(1, late, [("ok", [(1, ORIGIN, 1, msgpack.packb("late"), None)], 0)])
            found = [("ok", [(1, ORIGIN, 1, msgpack.packb(f"for {asked.id}"), None)], 0)]
            yield encode_answer(asked.id, encode_token("kvnode", {ORIGIN: 1}), found)

    with FakeNode(first_late) as node, Client(node.listen, timeout_s=0.2, wait_s=0) as client:
        with pytest.raises(TimedOut):
            client.get("k")
        client.timeout_s = 30
        assert client.get("k") == "for 2"
        assert client.token == encode_token("kvnode", {ORIGIN: 100}), "what it saw late it saw"
        assert client.get("k") == "for 3"


def test_answers_to_nobody_do_not_prolong_the_wait():
    def chatter(asked):
        return 50 * [encode_answer(asked.id - 1, None, [("ok", "X")])]

    with FakeNode(chatter) as node, Client(node.listen, timeout_s=0.2) as client:
        for _ in range(2):
            with pytest.raises(TimedOut):
                client.ping()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda n: n.name)
def test_a_client_goes_on_when_its_node_is_back(number, make_node):
    node = make_node("X")
    node.start()
    with Client(node.listen, timeout_s=5.0, wait_s=0) as client:
        client.put("k", "before")
        node.stop(number)
        client.timeout_s = 0.3
        with pytest.raises((Unreachable, TimedOut)):
            client.get("k")
        node.start()
        client.timeout_s = 5.0

        def answered():
            try:
                return client.get("k")
            except (Unreachable, TimedOut):
                return None

        assert until("it is back", answered) == "before"
        client.put("k", "after")
        assert client.get("k") == "after"


def test_a_connection_that_is_lost_before_the_send_does_not_block_for_ever(monkeypatch):
    """The client sees that it can send; then the node goes; then the client sends."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    address = f"tcp://127.0.0.1:{router.bind_to_random_port('tcp://127.0.0.1')}"
    poll = zmq.Socket.poll

    def poll_then_lose(socket, *arguments):
        seen = poll(socket, *arguments)
        router.close()
        until("it is lost", lambda: not socket.getsockopt(zmq.EVENTS) & zmq.POLLOUT)
        return seen

    with Client(address, timeout_s=1, wait_s=0) as client, ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(zmq.Socket, "poll", poll_then_lose)
        asking = pool.submit(client.ping)
        try:
            with pytest.raises((Unreachable, TimedOut)):
                asking.result(timeout=10)
        except StillWaiting:
            monkeypatch.undo()
            router = context.socket(zmq.ROUTER)  # let it go, so that the test can end
            router.bind(address)
            asking.exception()
            pytest.fail("it waits for ever")
        finally:
            context.destroy(linger=0)
