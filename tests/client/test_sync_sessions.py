"""Sessions of their own over one connection, and tokens as text."""

from __future__ import annotations

import asyncio
import shutil
import signal

import pytest

from kvnode import AsyncClient, Client, InvalidRequest, TimedOut, printable
from kvnode.cli.cluster import PATIENCE_S, until
from kvnode.codec.answers import encode_answer
from kvnode.codec.token import decode_token, encode_token
from kvnode.core.vector import new_origin
from tests.client.fake_node import FakeNode

X = new_origin("X", 1, 1)
FOUND = ("ok", [[7, X, 3, b"\x01", None]], 0)


def growing(asked):
    """Each answer shows one write more."""
    return [encode_answer(asked.id, encode_token("c", {X: asked.id}), [FOUND])]


def seen(token):
    return decode_token(token)[1].get(X, 0) if token else 0


def test_a_session_begins_after_all_that_the_client_has_seen_and_goes_its_own_way():
    with FakeNode(growing) as node, Client(node.listen) as client:
        client.get("a")
        with client.session() as session:
            assert session.token == client.token and session.address == node.listen
            session.get("b")
            assert (seen(client.token), seen(session.token)) == (1, 2)
        client.get("c")
        assert (seen(client.token), seen(session.token)) == (3, 2)
        assert [asked.token.get(X, 0) for asked in node.asked] == [0, 1, 1]


def test_a_session_with_a_token_goes_on_from_there():
    token = encode_token("c", {X: 9})
    with FakeNode(growing) as node, Client(node.listen) as client:
        client.get("a")
        for given in (token, printable(token)):
            with client.session(given) as session:
                assert session.token == token
        with pytest.raises(InvalidRequest, match="no session token"):
            client.session("%%%")


def test_a_session_that_is_over_asks_no_more_and_leaves_the_client_be():
    with FakeNode(growing) as node, Client(node.listen) as client:
        with client.session() as session:
            session.get("a")
        with pytest.raises(InvalidRequest, match="over"):
            session.get("a")
        assert seen(session.token) == 1
        assert client.get("a") == 1
    with pytest.raises(InvalidRequest, match="closed"):
        client.session().get("a")


def test_a_late_answer_counts_for_the_session_that_asked():
    late = []

    def answers(asked):
        if not late:
            late.append(encode_answer(asked.id, encode_token("c", {X: 100}), [FOUND]))
            return []
        return [late[0], *growing(asked)]

    with FakeNode(answers) as node, Client(node.listen, timeout_s=0.2, wait_s=0) as client:
        session = client.session()
        with pytest.raises(TimedOut):
            session.put("a", 1)
        client.timeout_s = PATIENCE_S
        client.get("a")
        assert (seen(session.token), seen(client.token)) == (100, 2)


def test_any_number_of_sessions_share_an_asyncio_client(trio):
    async def visit(client, number):
        async with client.session() as session:
            for step in range(5):
                await session.put(f"visitor/{number}", step)
                assert await session.get(f"visitor/{number}") == step
            return session.token

    async def play():
        async with AsyncClient(trio["X"].listen, timeout_s=PATIENCE_S) as client:
            tokens = await asyncio.gather(*(visit(client, number) for number in range(20)))
            assert client.token is None
            async with client.session(tokens[0]) as again, client.pipeline() as pipeline:
                value = pipeline.get("visitor/0")
                assert await again.get("visitor/0") == 4
            assert value.result() == 4
            with pytest.raises(InvalidRequest, match="over"):
                await again.get("visitor/0")

    asyncio.run(play())


def test_a_printable_token_carries_a_session_to_another_node(trio):
    with trio["X"].client() as client:
        client.put("printed", 1)
        text = printable(client.token)
    assert text.isascii() and "=" not in text
    for node in "YZ":
        with Client(trio[node].listen, token=text, wait_s=PATIENCE_S) as client:
            assert client.get("printed") == 1


def test_a_token_stays_valid_through_restarts_incarnations_and_a_snapshot(make_cluster):
    with make_cluster("XY", "--log-keep-s", "0", "--log-keep-mib", "0") as cluster:
        cluster.wait_for_mesh()
        x, y = cluster["X"], cluster["Y"]
        token, first = None, None
        for number in range(3):  # each start opens another incarnation
            with x.client(token) as client:
                dot = client.put("k", number)
                first = first or (dot, printable(client.token))
                token = client.token
            x.stop(signal.SIGKILL)
            x.start()
        until("all agree", cluster.agree)
        until("X's log starts later", lambda: x.status()["log"]["floor"])
        y.stop(signal.SIGKILL)
        shutil.rmtree(y.data)
        y.start()
        until("Y has a snapshot", lambda: y.status()["snapshots_taken"])
        dot, text = first
        for node in (y, x):
            for carried in (token, text):
                with Client(node.listen, token=carried, timeout_s=PATIENCE_S) as client:
                    assert client.get("k", wait_s=PATIENCE_S) == 2
                    assert client.put(f"by {node.name}", 1).origin != dot.origin
