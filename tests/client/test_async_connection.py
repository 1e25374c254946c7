"""The asyncio client among several nodes, some of which do not answer."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from kvnode import (
    AsyncClient,
    CommitFailed,
    IndefiniteError,
    InvalidRequest,
    KvnodeError,
    TimedOut,
    Unavailable,
)
from kvnode.cli.cluster import until
from kvnode.codec.answers import encode_answer
from kvnode.codec.token import encode_token
from tests.client.fake_node import answering, silent
from tests.client.test_connection import (
    COMMIT_FAILED,
    DELAYED,
    FOUND,
    OVERLOADED,
    UNAVAILABLE,
    WRITTEN,
    OnceNode,
    X,
    nodes,
)
from tests.client.test_sync_failures import nobodys_address


def client_of(*fakes, timeout_s=3.0, wait_s=0.0, **options):
    addresses = [node.listen for node in fakes]
    return AsyncClient(*addresses, timeout_s=timeout_s, wait_s=wait_s, **options)


@pytest.mark.parametrize("result", [UNAVAILABLE, OVERLOADED, DELAYED], ids=lambda it: it[0:2])
@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
def test_a_node_that_surely_did_nothing_is_left_for_the_next(result, *, write):
    async def play(bad, good):
        async with client_of(bad, good) as client:
            await (client.put("k", 1) if write else client.get("k"))
            assert client.address == good.listen
            await asyncio.gather(*(client.put("k", 1) if write else client.get("k") for _ in "123"))

    with nodes(answering(result), answering(WRITTEN if write else FOUND)) as (bad, good):
        asyncio.run(play(bad, good))
        assert (len(bad.asked), len(good.asked)) == (1, 4)


def test_requests_on_their_way_at_a_node_that_is_left_get_their_answers_from_it():
    """The second is refused and goes on, and then the first is answered."""
    first = []

    def answers(asked):
        first.append(asked.id)
        return [encode_answer(asked.id, None, [OVERLOADED])] if len(first) == 2 else []

    def elsewhere(asked):
        # What the first node owes is sent once the second has moved: by the other's thread.
        one._answers = lambda again: [encode_answer(it, None, [FOUND]) for it in (first[0],)]
        return [encode_answer(asked.id, None, [FOUND])]

    async def play(one, other):
        async with client_of(one, other, timeout_s=60) as client:
            waiting = asyncio.create_task(client.get("first"))
            await asyncio.to_thread(until, "it is asked", lambda: first)
            assert await client.get("second") == 1
            assert client.address == other.listen
            client._connection.endpoints.current = 0  # as after another round
            asking = asyncio.create_task(client.get("third"))
            assert await waiting == 1
            asking.cancel()

    with nodes(answers, elsewhere) as (one, other):
        asyncio.run(play(one, other))
        assert len(other.asked) == 1


def test_where_nobody_listens_the_next_is_asked_soon():
    async def play(good):
        async with AsyncClient(nobodys_address(), good.listen, timeout_s=60) as client:
            return await client.get("k")

    start = time.monotonic()
    with nodes(answering(FOUND, token=encode_token("c", {X: 3}))) as (good,):
        assert asyncio.run(play(good)) == 1
    assert time.monotonic() - start < 30


def test_a_write_that_is_not_answered_is_tried_nowhere_else():
    async def play(*fakes):
        async with client_of(*fakes, timeout_s=0.3) as client:
            with pytest.raises(TimedOut):
                await client.put("k", 1)

    with nodes(silent, answering(WRITTEN)) as (mute, good):
        asyncio.run(play(mute, good))
        assert good.asked == []


def test_what_concerns_a_node_is_asked_once():
    async def play(*fakes):
        async with client_of(*fakes) as client:
            with pytest.raises(Unavailable):
                await client.ping()

    with nodes(answering(UNAVAILABLE)) as (bad,):
        asyncio.run(play(bad))
        assert len(bad.asked) == 1


@pytest.mark.parametrize("address", ["", "nowhere:", "smoke://signals"])
def test_any_address_that_is_none_is_refused_at_once(address):
    async def play():
        with pytest.raises(InvalidRequest, match="no address of a node"):
            AsyncClient("127.0.0.1:1", address)

    asyncio.run(play())


def test_writes_in_doubt_are_asked_for_again_each_with_its_id():
    async def play(node):
        async with client_of(node, retry_writes=True) as client:
            return await asyncio.gather(*(client.put("k", number) for number in range(5)))

    with nodes(OnceNode(COMMIT_FAILED, COMMIT_FAILED)) as (node,):
        dots = asyncio.run(play(node))
    assert sorted(dot.seq for dot in dots) == [1, 2, 3, 4, 5]


def test_another_node_at_the_address_leaves_it_in_doubt():
    async def play(node):
        async with client_of(node, retry_writes=True) as client:
            with pytest.raises(CommitFailed):
                await client.put("k", 1)

    failures = COMMIT_FAILED, ("error", "wrong_node", "this is Y", False)
    with nodes(OnceNode(*failures)) as (node,):
        asyncio.run(play(node))


def test_closing_it_leaves_a_write_in_doubt_that_was():
    """It waits for its turn to be asked for again."""

    async def play(node):
        client = client_of(node, timeout_s=600, retry_writes=True)
        waiting = asyncio.create_task(client.put("k", 1))
        await asyncio.to_thread(until, "it was asked again", lambda: len(node.asked) > 4)
        await client.close()
        assert waiting.done()
        with pytest.raises(IndefiniteError):
            await waiting

    with nodes(OnceNode(*(100 * [COMMIT_FAILED]))) as (node,):
        asyncio.run(play(node))


def test_once_it_is_closed_nothing_of_it_is_left_in_the_loop():
    """Some calls wait for an answer, some for a place, one pauses, and one is a watch's own."""

    def answers(asked):
        key = getattr(asked.operations[0], "key", b"")
        return answering(UNAVAILABLE)(asked) if key == b"pause" else ()

    async def play(node):
        client = client_of(node, timeout_s=600)
        calls = [client.get("pause"), *(client.get("k") for _ in range(550))]
        waiting = [asyncio.create_task(call) for call in calls]
        watch = client.watch("k", since=encode_token("c", {X: 3}))
        following = asyncio.create_task(anext(watch))
        await asyncio.to_thread(until, "they are asked", lambda: len(node.asked) > 400)
        following.cancel()
        await asyncio.wait({following})
        await client.close()
        for error in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(error, KvnodeError)
        return asyncio.all_tasks() - {asyncio.current_task()}

    with nodes(answers) as (node,):
        assert asyncio.run(play(node)) == set()


def test_reads_go_on_at_the_next_node_when_one_is_killed(make_cluster):
    async def play(x, y):
        async with AsyncClient(x.listen, y.listen, timeout_s=600, wait_s=600) as client:
            await client.put("counter", 7)

            async def read():
                values = []
                while client.address == x.listen:
                    values.append(await client.get("counter"))
                return values

            readers = [asyncio.create_task(read()) for _ in range(10)]
            await asyncio.sleep(0)
            await asyncio.to_thread(x.stop, signal.SIGKILL)
            values = [value for found in await asyncio.gather(*readers) for value in found]
            assert set(values) == {7}
            assert (await client.put("counter", 8)).origin.startswith("Y~")

    with make_cluster("XY") as cluster:
        cluster.wait_for_mesh()
        start = time.monotonic()
        asyncio.run(play(cluster["X"], cluster["Y"]))
        assert time.monotonic() - start < 300, "no timeout was waited for"
