"""The watches of the asyncio client: what differs from those of the synchronous one."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from kvnode import AsyncClient, InvalidRequest


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


def test_a_watch_that_is_over_asks_no_more(trio):
    async def story():
        async with AsyncClient(trio["X"].listen) as client:
            async with client.watch("o/") as watch:
                waiting = asyncio.create_task(anext(watch))
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(InvalidRequest, match="over"):
                await watch.poll()

    asyncio.run(story())
