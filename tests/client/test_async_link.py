"""Links of the asyncio client: many calls at once, and where they go."""

from __future__ import annotations

import asyncio
import time

import pytest

from kvnode import AsyncClient, Client, InvalidRequest, Overloaded, TimedOut, Unreachable
from kvnode.cli.cluster import PATIENCE_S, until
from kvnode.client.async_link import AsyncLink
from kvnode.client.failover import Attempt
from kvnode.client.late import GivenUp
from kvnode.client.session import Session
from kvnode.codec.client import PING
from tests.client.fake_node import FakeNode, answering, mute, silent
from tests.client.test_connection import FOUND, WRITTEN, nodes
from tests.client.test_sync_failures import nobodys_address


async def timed(call):
    """What a call brings, or raises, and how long that takes."""
    start_s = time.monotonic()
    try:
        result = await call
    except Exception as error:
        result = error
    return result, time.monotonic() - start_s


def test_where_the_only_node_is_dead_each_waits_for_its_own_time_alone():
    async def play(dead):
        async with AsyncClient(dead, timeout_s=0.5, wait_s=0) as client:
            return await asyncio.gather(*(timed(client.get("k")) for _ in range(20)))

    with mute() as dead:
        for error, took_s in asyncio.run(play(dead)):
            assert isinstance(error, Unreachable)
            assert 0.4 < took_s < 5, "one after the other they would take 10 s"


def test_where_nobody_listens_all_know_at_once_and_nothing_is_sent_when_somebody_does(free_port):
    async def play():
        async with AsyncClient(f"127.0.0.1:{free_port}", timeout_s=600) as client:
            refused = [asyncio.create_task(timed(client.put("k", 1))) for _ in range(20)]
            refused = await asyncio.gather(*refused)
            with FakeNode(answering(WRITTEN), port=str(free_port)) as node:
                await client.put("k", 2)
                return refused, len(node.asked)

    refused, asked = asyncio.run(play())
    for error, took_s in refused:
        assert isinstance(error, Unreachable) and "refused" in str(error) and took_s < 60
    assert asked == 1


def test_where_the_first_node_is_dead_all_go_on_at_once():
    async def play(dead, node):
        async with AsyncClient(dead, node.listen, timeout_s=60) as client:
            found = [asyncio.create_task(timed(client.get("k"))) for _ in range(30)]
            # Those that come while the others wait learn from them.
            await asyncio.sleep(0.8)
            late = [asyncio.create_task(timed(client.get("k"))) for _ in range(30)]
            return await asyncio.gather(*found), await asyncio.gather(*late)

    with mute() as dead, FakeNode(answering(FOUND)) as node:
        found, late = asyncio.run(play(dead, node))
    assert [result for result, _ in (*found, *late)] == 60 * [1]
    assert max(took_s for _, took_s in found) < 15, "one after the other they would take 30 s"
    assert max(took_s for _, took_s in late) < min(took_s for _, took_s in found)


def test_those_that_wait_for_a_connection_are_sent_in_the_order_of_their_making():
    async def play(node):
        async with AsyncClient(node.listen, timeout_s=PATIENCE_S) as client:
            putting = [asyncio.create_task(client.put("k", number)) for number in range(50)]
            await putting[0]
            putting += [asyncio.create_task(client.put("k", number)) for number in (50, 51)]
            await asyncio.gather(*putting)
            return [asked.id for asked in node.asked]

    with FakeNode(answering(WRITTEN)) as node:
        asked = asyncio.run(play(node))
    assert asked == sorted(asked)
    assert len(asked) == 52


@pytest.fixture
def free_port():
    return int(nobodys_address().rpartition(":")[2])


def parked_or(answers):
    """What a node answers, but for reads of one key."""

    def answer(asked):
        operation = asked.operations[0]
        return () if getattr(operation, "key", b"") == b"parked" else answers(asked)

    return answer


def test_a_call_that_finds_no_place_is_told_so_in_its_time():
    async def play(node):
        async with AsyncClient(node.listen, timeout_s=PATIENCE_S, wait_s=PATIENCE_S) as client:
            parked = [asyncio.create_task(timed(client.get("parked"))) for _ in range(500)]
            await asyncio.to_thread(until, "they wait", lambda: len(node.asked) == 500)
            client.timeout_s = 0.5
            error, took_s = await timed(client.get("k"))
            assert isinstance(error, Overloaded)
            assert took_s < 5
            parked.pop().cancel()
            client.timeout_s = PATIENCE_S
            assert await client.get("k") == 1
            for each in parked:
                each.cancel()

    with FakeNode(parked_or(answering(FOUND))) as node:
        asyncio.run(play(node))


def test_who_asks_for_what_is_there_does_not_wait_for_a_place_of_the_watches(trio):
    async def play():
        async with AsyncClient(trio["X"].listen, timeout_s=PATIENCE_S) as client:
            await client.get("w/")
            watches = [client.watch("w/", since=client.token) for _ in range(401)]
            waiting = [asyncio.create_task(anext(watch)) for watch in watches[:400]]
            while (await client.status())["watches"] < 400:
                pass
            changes, took_s = await timed(watches[400].poll())
            assert changes == []
            assert took_s < 10, "the watches wait for 20 s"
            client.timeout_s = 0.3
            error, took_s = await timed(watches[400].poll(1))
            assert isinstance(error, Overloaded)
            assert took_s < 10
            for each in waiting:
                each.cancel()

    asyncio.run(play())
    with Client(trio["X"].listen, timeout_s=PATIENCE_S) as client:
        until("nothing of them is left", lambda: not client.status()["watches"])


def test_what_is_cancelled_waits_at_the_node_no_longer(trio):
    """A request, too, that waits for what its session has seen."""

    async def play(far):
        async with AsyncClient(trio["X"].listen, timeout_s=PATIENCE_S) as client:
            late = client.session(far)
            waiting = asyncio.create_task(late.get("k", wait_s=60))
            while not await _parked(client):
                pass
            waiting.cancel()
            while await _parked(client):
                pass
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await late.get("k", wait_s=60)
            while await _parked(client):
                pass

    async def _parked(client):
        return (await client.status())["parked_requests"]

    with Client(trio["Y"].listen, timeout_s=PATIENCE_S) as client:
        for peer in ("Y", "Z"):
            for channel in ("gossip", "repair"):
                _hold(trio["X"], peer, channel, "hold")
        try:
            client.put("k", 1)
            asyncio.run(play(client.token))
        finally:
            for peer in ("Y", "Z"):
                for channel in ("gossip", "repair"):
                    _hold(trio["X"], peer, channel, "pass")


def _hold(node, peer, channel, action):
    with Client(node.listen, timeout_s=PATIENCE_S) as client:
        client.fault(peer, channel, action)


def test_who_is_told_that_nothing_was_sent_is_not_sent(free_port):
    """Another one found out that nobody is there; a connection comes before these know."""

    async def play():
        link = AsyncLink(f"tcp://127.0.0.1:{free_port}", GivenUp(), has_others=True)
        attempt = Attempt(0, 0, PATIENCE_S, 0, PATIENCE_S, time.monotonic() + PATIENCE_S)
        session = Session(None)
        asked = [link.ask(session, [PING], attempt) for _ in range(3)]
        asking = [asyncio.create_task(each) for each in asked]
        await asyncio.sleep(0)
        with FakeNode(answering(("ok", "X")), port=str(free_port)) as node:
            with pytest.raises(Unreachable):
                link._give_up_connecting(attempt)
            until("there is a connection", lambda: is_connected(link._line))
            link._see_to_it()
            errors = await asyncio.gather(*asking, return_exceptions=True)
            assert [type(error) for error in errors] == 3 * [Unreachable]
            assert await link.ask(session, [PING], attempt) == [["ok", "X"]]
            assert [asked.id for asked in node.asked] == [4]
        link.close()

    asyncio.run(play())


def test_who_comes_later_takes_no_news_from_those_who_wait():
    """Else they would wait in vain for as long as others come."""

    async def play():
        session = Session(None)
        with mute() as address:
            link = AsyncLink(address, GivenUp(), has_others=False)
            attempt = Attempt(0, 0, PATIENCE_S, 0, PATIENCE_S, time.monotonic() + PATIENCE_S)
            waiting = asyncio.create_task(link.ask(session, [PING], attempt))
            await asyncio.sleep(0)
            port = address.rpartition(":")[2]
        until("its connection is reset", lambda: link._line._attempt._monitor.poll(0))
        with FakeNode(answering(("ok", "X")), port=port):
            assert await link.ask(session, [PING], attempt) == [["ok", "X"]]
            with pytest.raises(Unreachable):
                await waiting
        link.close()

    asyncio.run(play())


def is_connected(line):
    try:
        return line.tend(time.monotonic())
    except Unreachable:  # of an attempt before the node was there
        return False


def test_a_connection_that_is_lost_ends_what_waits_for_answers():
    async def play(node):
        async with AsyncClient(node.listen, timeout_s=PATIENCE_S) as client:
            waiting = [asyncio.create_task(client.put("k", 1)) for _ in range(3)]
            await asyncio.to_thread(until, "they are asked", lambda: len(node.asked) == 3)
            await asyncio.to_thread(node.stop)
            return await asyncio.gather(*waiting, return_exceptions=True)

    with FakeNode(silent) as node:
        for error in asyncio.run(play(node)):
            assert isinstance(error, TimedOut)
            assert "was lost before it answered" in str(error)


def test_a_client_that_is_closed_tells_its_node_who_waits_no_longer():
    async def play(node):
        client = AsyncClient(node.listen, timeout_s=PATIENCE_S)
        waiting = [asyncio.create_task(client.get("k")) for _ in range(3)]
        await asyncio.to_thread(until, "they are asked", lambda: len(node.asked) == 3)
        await client.close()
        await asyncio.gather(*waiting, return_exceptions=True)

    with nodes(silent) as (node,):
        asyncio.run(play(node))
        until("it is told", lambda: len(node.cancelled) == 3)


def test_a_link_that_is_closed_makes_no_socket_anew():
    """As when it had more to read than it takes at once, and the loop was to come back to it."""

    async def play(node):
        link = AsyncLink(node.listen, GivenUp(), has_others=False)
        asyncio.get_running_loop().call_soon(link._see_to_it)
        link.close()
        await asyncio.sleep(0)
        assert link._line.socket is None
        with pytest.raises(Unreachable, match="closed before anything was sent"):
            attempt = Attempt(0, 0, PATIENCE_S, 0, PATIENCE_S, time.monotonic() + PATIENCE_S)
            await link.ask(Session(None), [PING], attempt)

    with FakeNode(answering(FOUND)) as node:
        asyncio.run(play(node))


def test_closing_it_tells_who_waits_for_a_place_that_nothing_was_sent():
    async def play(node):
        client = AsyncClient(node.listen, timeout_s=PATIENCE_S, wait_s=PATIENCE_S)
        parked = [asyncio.create_task(client.get("parked")) for _ in range(500)]
        await asyncio.to_thread(until, "they wait", lambda: len(node.asked) == 500)
        placeless = [asyncio.create_task(client.put("k", 1)) for _ in range(3)]
        await asyncio.sleep(0)
        await client.close()
        for error in await asyncio.gather(*placeless, return_exceptions=True):
            assert isinstance(error, Unreachable) and "before anything was sent" in str(error)
        await asyncio.gather(*parked, return_exceptions=True)
        with pytest.raises(InvalidRequest, match="this client is closed"):
            await client.put("k", 1)
        assert len(node.asked) == 500

    with FakeNode(parked_or(answering(FOUND))) as node:
        asyncio.run(play(node))


def test_who_waited_for_a_place_is_told_the_time_since_the_call_began():
    async def play(node):
        async with AsyncClient(node.listen, timeout_s=PATIENCE_S, wait_s=PATIENCE_S) as client:
            parked = [asyncio.create_task(client.get("parked")) for _ in range(500)]
            await asyncio.to_thread(until, "they wait", lambda: len(node.asked) == 500)
            client.timeout_s = 0.5
            late = asyncio.create_task(client.get("parked"))
            await asyncio.sleep(0.1)
            parked.pop().cancel()
            with pytest.raises(TimedOut, match=r"within 0.5 s, of which it waited 0.1.* s for a p"):
                await late
            for each in parked:
                each.cancel()

    with FakeNode(parked_or(answering(FOUND))) as node:
        asyncio.run(play(node))
