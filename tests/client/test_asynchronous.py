"""The asyncio client: many requests at once, of one session."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from kvnode import (
    AsyncClient,
    Client,
    Conflict,
    Delayed,
    IndefiniteError,
    InvalidRequest,
    SessionLost,
    TimedOut,
    Unreachable,
    UnreadableAnswer,
)
from kvnode.cli.cluster import PATIENCE_S, until
from kvnode.codec.answers import encode_answer
from kvnode.codec.token import decode_token, encode_token
from kvnode.core.vector import new_origin
from tests.client.fake_node import FakeNode, answering, mute, silent

X = new_origin("X", 1, 1)


def at(node, **options):
    return AsyncClient(node.listen, timeout_s=PATIENCE_S, **options)


def test_it_does_what_the_other_client_does(trio):
    async def play():
        async with at(trio["X"]) as client:
            dot = await client.put("async/a", {"n": 1})
            assert await client.get("async/a") == {"n": 1}
            (version,) = await client.read("async/a")
            assert version.dot == dot
            with pytest.raises(Conflict):
                await client.put("async/a", 2, if_version=())
            done = await client.transact(
                puts={"async/b": 2}, deletes=["async/a"], reads=["async/a", "async/b"],
                if_version={"async/a": [version]},
            )  # fmt: skip
            assert done.values == [None, 2]
            assert await client.ping() == "X"
            assert (await client.status())["name"] == "X"
            async with client.pipeline() as pipeline:
                pipeline.put("async/c", 3)
                seen = pipeline.get("async/c")
            assert seen.result() == 3
            return client.token

    token = asyncio.run(play())
    with Client(trio["Y"].listen, token=token, wait_s=PATIENCE_S) as client:
        assert client.get("async/c") == 3, "its session travels"


def test_coroutines_share_one_session_and_do_not_wait_for_each_other(trio):
    async def play():
        async with at(trio["X"]) as client:
            dots = await asyncio.gather(*(client.put(f"async/{n}", n) for n in range(200)))
            assert len(set(dots)) == 200
            values = await asyncio.gather(*(client.get(f"async/{n}") for n in range(200)))
            assert values == list(range(200))
            _, seen = decode_token(client.token)
            assert max(dot.seq for dot in dots) <= seen[dots[0].origin]

    asyncio.run(play())


def test_a_request_that_waits_does_not_hold_up_the_next(trio):
    far = encode_token("kvnode", {new_origin("Q", 1, 1): 1})

    async def play():
        async with at(trio["X"], token=far) as client:
            parked = asyncio.create_task(client.get("async/a", wait_s=1))
            await asyncio.sleep(0)
            assert await client.ping() == "X" and not parked.done()
            with pytest.raises((Delayed, SessionLost)):  # as it turns out: nobody has it
                await parked

    asyncio.run(play())


def test_answers_are_matched_whatever_their_order():
    """The node answers the first request after the second."""
    first = []

    def answers(asked):
        result = ("ok", [[1, X, asked.id, bytes([asked.id]), None]], 0)
        answer = encode_answer(asked.id, encode_token("c", {X: asked.id}), [result])
        if not first:
            first.append(answer)
            return []
        return [answer, first[0]]

    async def play(node):
        async with at(node) as client:
            found = await asyncio.gather(client.get("a"), client.get("b"))
            return found, decode_token(client.token)

    with FakeNode(answers) as node:
        assert asyncio.run(play(node)) == ([1, 2], ("c", {X: 2}))


def test_without_an_answer_it_may_have_happened_and_a_late_one_counts_for_the_session():
    late = []

    def answers(asked):
        if asked.id == 1:
            late.append(encode_answer(1, encode_token("c", {X: 7}), [("ok", X, 7, 7, None)]))
            return []
        return [late[0], encode_answer(asked.id, None, [("ok", "X")])]

    async def play(node):
        async with AsyncClient(node.listen, timeout_s=0.2, wait_s=0) as client:
            with pytest.raises(TimedOut, match="no answer"):
                await client.put("a", 1)
            assert client.token is None
            assert await client.ping() == "X"
            assert decode_token(client.token) == ("c", {X: 7})

    with FakeNode(answers) as node:
        asyncio.run(play(node))


def test_where_nobody_listens_nothing_is_sent():
    async def play():
        async with AsyncClient("127.0.0.1:1", timeout_s=0.05) as client:
            with pytest.raises(Unreachable):
                await client.get("a")

    asyncio.run(play())


@pytest.mark.parametrize("garbage", [b"\xc1", b"\x93\x01\xc0\x05"])
def test_a_garbage_answer_is_an_error_of_all_that_wait(garbage):
    async def play(node):
        async with at(node) as client:
            return await asyncio.gather(client.get("a"), client.get("b"), return_exceptions=True)

    with FakeNode(lambda asked: [garbage] if asked.id >= 2 else []) as node:
        errors = asyncio.run(play(node))
    assert [type(error) for error in errors] == 2 * [UnreadableAnswer]


def test_an_error_is_that_of_its_own_request():
    with FakeNode(answering(("error", "malformed", "what is wrong", False))) as node:

        async def play():
            async with at(node) as client:
                with pytest.raises(InvalidRequest, match="what is wrong"):
                    await client.get("a")

        asyncio.run(play())


@pytest.mark.parametrize("address", ["", "nowhere:", "smoke://signals"])
def test_an_impossible_address_is_refused(address):
    async def play():
        with pytest.raises(InvalidRequest, match="no address of a node"):
            AsyncClient(address)

    asyncio.run(play())


def test_who_forgets_to_close_it_waits_for_nothing(trio):
    """To end a context with an open socket waits for ever."""

    script = f"""
import asyncio, gc
from kvnode import AsyncClient

async def play():
    print(await AsyncClient({trio["X"].listen!r}).ping())

asyncio.run(play())
gc.collect()
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=PATIENCE_S)
    assert (ended.returncode, ended.stdout) == (0, b"X\n")


def test_it_goes_on_after_its_reader_was_cancelled_with_all_tasks(trio):
    async def play():
        async with at(trio["X"]) as client:
            await client.ping()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            return await client.ping()

    assert asyncio.run(play()) == "X"


def test_it_belongs_to_one_event_loop(trio):
    client = at(trio["X"])

    async def play():
        return await client.ping()

    assert asyncio.run(play()) == "X"
    with pytest.raises(InvalidRequest, match="another event loop"):
        asyncio.run(play())
    asyncio.run(client.close())


def test_more_than_may_be_on_their_way_wait_their_turn(trio):
    async def play():
        async with at(trio["X"]) as client:
            return await asyncio.gather(*(client.put("async/many", n) for n in range(2500)))

    dots = asyncio.run(play())
    assert [dot.seq for dot in dots] == sorted(dot.seq for dot in dots)


def test_closing_it_ends_what_waits():
    async def play(node):
        client = at(node)
        waiting = asyncio.create_task(client.get("a"))
        await asyncio.to_thread(until, "it is asked", lambda: node.asked)
        await client.close()
        with pytest.raises(IndefiniteError, match="closed before"):
            await waiting
        with pytest.raises(InvalidRequest, match="closed"):
            await client.get("a")

    with FakeNode(silent) as node:
        asyncio.run(play(node))


def test_closing_it_tells_who_waits_for_a_connection_that_nothing_was_sent():
    """The first waits for the connection, the others for their turns."""

    async def play(address):
        client = AsyncClient(address, timeout_s=PATIENCE_S)
        waiting = [asyncio.create_task(client.put("a", n)) for n in range(3)]
        for _ in range(10):
            await asyncio.sleep(0)
        await client.close()
        return await asyncio.gather(*waiting, return_exceptions=True)

    with mute() as address:
        errors = asyncio.run(play(address))
    for error in errors:
        assert isinstance(error, Unreachable)
        assert "closed before anything was sent to" in str(error)


def test_who_is_cancelled_while_it_is_closed_is_cancelled():
    async def play(address):
        client = AsyncClient(address, timeout_s=PATIENCE_S)
        waiting = asyncio.create_task(client.get("a"))
        for _ in range(10):
            await asyncio.sleep(0)
        waiting.cancel()
        await client.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    with mute() as address:
        asyncio.run(play(address))
