"""Processes that are forked where there is a client: it connects anew in each."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kvnode.cli.cluster import PATIENCE_S

HEAD = f"""
import asyncio, concurrent.futures, faulthandler, gc, multiprocessing, os, sys, threading, warnings
from kvnode import AsyncClient, Client, InvalidRequest
faulthandler.dump_traceback_later({PATIENCE_S}, exit=True)
warnings.simplefilter("error")
ADDRESS = sys.argv[1]
client = Client(ADDRESS, timeout_s=10)

def in_child(run):
    child = os.fork()
    if not child:
        try:
            run()
        except BaseException as error:
            print(type(error).__name__, error, flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""

STORIES = {
    "a client that was not used": """
in_child(lambda: client.put("f/1", 1))
assert client.get("f/1") == 1
""",
    "a client that was used": """
client.put("f/2", 1)
def child():
    token = client.token
    assert token and client.get("f/2") == 1
    client.put("f/2", 2)
    client.close()
in_child(child)
assert client.get("f/2") == 2
""",
    "a client that the child forgets": """
client.get("f/3")
def child():
    global client
    client.get("f/3")
    client.close()
    del client
    gc.collect()
in_child(child)
client.put("f/3", 1)
""",
    "a client that the child only closes": """
client.get("f/4")
in_child(client.close)
client.put("f/4", 1)
""",
    "a client that the child drops": """
client.get("f/4")
def child():
    global client
    warnings.simplefilter("ignore")
    del client
    gc.collect()
in_child(child)
client.put("f/4", 1)
""",
    "a client that was closed": """
client.get("f/5")
client.close()
def child():
    try:
        client.get("f/5")
    except InvalidRequest as error:
        assert "closed" in str(error)
    else:
        raise AssertionError("it is open")
in_child(child)
""",
    "a pool of processes": """
client.put("f/6", 6)
def read(_):
    return client.get("f/6")
with multiprocessing.get_context("fork").Pool(3) as pool:
    assert pool.map(read, range(20)) == 20 * [6]
assert client.get("f/6") == 6
""",
    "an executor of processes": """
client.put("f/7", 7)
def read(_):
    return client.get("f/7")
context = multiprocessing.get_context("fork")
with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
    assert list(executor.map(read, range(20))) == 20 * [7]
assert client.get("f/7") == 7
""",
    "a client that other threads are using": """
over = threading.Event()
def work():
    while not over.is_set():
        client.get("f/8")
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for _ in range(20):
    in_child(lambda: client.put("f/8", 1))
over.set()
for thread in threads:
    thread.join()
""",
    "a client whose host is being looked up": """
import socket
begun, forking, ended = threading.Event(), threading.Event(), threading.Event()
ask = socket.getaddrinfo
def slowly(*args, **options):
    begun.set()
    forking.wait()
    found = ask(*args, **options)
    ended.set()
    return found
os.register_at_fork(before=forking.set)
from kvnode.client.hosts import looked_up
socket.getaddrinfo = slowly
lookup = looked_up("localhost")
begun.wait()
def child():
    assert ended.is_set(), "the resolver may be locked"
    client.put("f/13", 1)
in_child(child)
""",
    "a client whose host no server tells": """
import socket, time
from kvnode.client.hosts import FORK_WAITS_S, looked_up
begun, ask = threading.Event(), socket.getaddrinfo
def never(*args, **options):
    begun.set()
    threading.Event().wait()
socket.getaddrinfo = never
lookup = looked_up("localhost")
begun.wait()
socket.getaddrinfo = ask
started_s = time.monotonic()
in_child(lambda: client.put("f/14", 1))
assert FORK_WAITS_S <= time.monotonic() - started_s < 10, "no fork waits for a name server"
""",
    "a client whose places are all taken": """
from kvnode.client.pool import CALLS_MAX
from contextlib import ExitStack
with ExitStack() as stack:
    for _ in range(CALLS_MAX):
        stack.enter_context(client._connection._pool().channel(1, watches=False))
    in_child(lambda: client.put("f/9", 1))
""",
    "an asyncio client": """
async def read(a):
    return await a.get("f/10")
client.put("f/10", 10)
unused, used = AsyncClient(ADDRESS), AsyncClient(ADDRESS)
async def play():
    assert await read(used) == 10
    def child():
        asyncio.events._set_running_loop(None)
        for each in (unused, used):
            async def again():
                async with each:
                    assert await read(each) == 10
            asyncio.run(again())
    in_child(child)
    assert await read(used) == 10
    await used.close()
asyncio.run(play())
""",
    "a watch that another thread follows": """
watch = client.watch("f/15/")
followed = threading.Event()
def follow():
    for change in watch:
        followed.set()
        if change.value == 2:
            break
thread = threading.Thread(target=follow)
thread.start()
client.put("f/15/1", 1)
followed.wait()
while watch._followed.acquire(blocking=False):
    watch._followed.release()
def child():
    client.put("f/15/1", 2)
    assert [change.value for change in watch.poll(wait_s=10)][-1:] == [2]
in_child(child)
thread.join()
""",
    "a watch of asyncio for which the parent waits": """
async def play():
    async with AsyncClient(ADDRESS) as a, a.watch("f/16/") as watch:
        waiting = asyncio.ensure_future(anext(watch))
        while not (await a.status())["watches"]:
            pass
        def child():
            asyncio.events._set_running_loop(None)
            client.put("f/16/1", 1)
            async def read():
                return [change.value for change in await watch.poll(wait_s=10)]
            assert asyncio.run(read()) == [1]
        in_child(child)
        assert (await waiting).value == 1
asyncio.run(play())
""",
    "a child of a child": """
client.put("f/11", 11)
def child():
    assert client.get("f/11") == 11
    in_child(lambda: client.put("f/11", 12))
    assert client.get("f/11") == 12
    client.close()
in_child(child)
assert client.get("f/11") == 12
""",
}

TAIL = """
client.close()
print("ended")
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_a_forked_process_uses_its_own_connections(story, host, trio):
    address = trio["X"].listen.replace("127.0.0.1", host)
    ran = subprocess.run(
        [sys.executable, "-c", HEAD + story + TAIL, address],
        capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "ended\n"), ran.stdout + ran.stderr
