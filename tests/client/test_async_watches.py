"""The watches of the asyncio client: what differs from those of the synchronous one."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

import pytest

from kvnode import AsyncClient, InvalidRequest
from kvnode.cli.cluster import PATIENCE_S


def test_a_coroutine_watches_while_others_go_on(trio):
    async def story():
        async with AsyncClient(trio["X"].listen) as client, client.watch("n/") as watch:
            await asyncio.gather(*(client.put(f"n/{at}", at) for at in range(20)))
            found = {(await anext(watch)).value for _ in range(20)}
            assert found == set(range(20))
            assert await watch.poll() == []
            from_there = client.watch("n/", since=watch.token)
            await client.put("n/0", "again")
            async for change in from_there:
                assert change.value == "again"
                break

    asyncio.run(story())


def test_who_is_cancelled_while_he_waits_misses_nothing(trio):
    """What comes then is for the next one who asks."""

    async def story():
        async with AsyncClient(trio["X"].listen) as client, client.watch("c/") as watch:
            found = []
            writing = asyncio.gather(*(client.put(f"c/{at:03}", at) for at in range(200)))
            while len(found) < 200:
                with suppress(TimeoutError):
                    found.append((await asyncio.wait_for(anext(watch), 0.002)).value)
            await writing
            assert sorted(found) == list(range(200))
            assert (await client.status())["watches"] <= 1

    asyncio.run(story())


def test_many_watches_are_all_answered(trio):
    """Each looks now and then whether its connection is there, and must not swallow what came."""

    async def story():
        async with AsyncClient(trio["X"].listen) as client:
            await client.get("m/")
            watches = [client.watch("m/", since=client.token) for _ in range(300)]
            waiting = [asyncio.create_task(anext(watch)) for watch in watches]
            while (await client.status())["watches"] < len(watches):
                pass
            await client.put("m/1", 1)
            changes = await asyncio.gather(*waiting)
            assert {change.value for change in changes} == {1}

    asyncio.run(story())


def test_a_task_that_is_cancelled_leaves_nothing_at_the_node_nor_in_the_log(trio):
    complaints = []

    async def story():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        async with AsyncClient(trio["X"].listen, timeout_s=PATIENCE_S) as client:

            async def follow(prefix):
                async for _ in client.watch(prefix):
                    pass

            following = [asyncio.create_task(follow(f"left/{n}")) for n in range(3)]
            while (await client.status())["watches"] < 3:
                pass
            for task in following:
                task.cancel()
            await asyncio.wait(following)
            while (await client.status())["watches"]:
                pass
            following = asyncio.create_task(follow("left/"))
            while not (await client.status())["watches"]:
                pass
            following.cancel()
        gc.collect()

    asyncio.run(story())
    gc.collect()
    assert complaints == []


def test_a_watch_goes_on_after_it_was_left(trio):
    async def story():
        async with (
            AsyncClient(trio["X"].listen, timeout_s=PATIENCE_S) as client,
            client.watch("on/") as watch,
        ):
            with suppress(TimeoutError):
                await asyncio.wait_for(anext(watch), 0.01)
            while (await client.status())["watches"]:
                pass
            await client.put("on/1", 1)
            assert (await anext(watch)).value == 1

    asyncio.run(story())


def test_a_watch_that_is_over_asks_no_more(trio):
    async def story():
        async with AsyncClient(trio["X"].listen) as client:
            async with client.watch("o/") as watch:
                waiting = asyncio.create_task(anext(watch))
                await asyncio.sleep(0)
            with pytest.raises(InvalidRequest, match="over"):
                await waiting
            with pytest.raises(InvalidRequest, match="over"):
                await watch.poll()

    asyncio.run(story())
