"""Clients that nobody closes: neither the garbage collector nor the end of a program waits."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kvnode.cli.cluster import PATIENCE_S
from kvnode.codec.token import encode_token
from tests.client.fake_node import FakeNode, answering
from tests.client.test_connection import FOUND, X

HOLDERS = {
    "its own bound method": """
class App:
    def __init__(self):
        self.client, self.callback = Client(ADDRESS), self.run
        self.client.get("k")
    def run(self): pass
App()
""",
    "an error with its traceback": """
def f():
    try:
        Client(ADDRESS).put("k", object())
    except KvnodeError as error:
        kept = error
f()
""",
    "a scan that was not read": """
client = Client(ADDRESS)
client.get("k")
client.scanned = client.scan("s/")
del client
""",
    "a watch": """
client = Client(ADDRESS)
client.get("k")
client.watched = client.watch("s/", since=client.token)
del client
""",
    "a session and a pipeline": """
client = Client(ADDRESS)
client.get("k")
client.mine = client.session(), client.pipeline()
del client
""",
    "a mapping": """
client = Client(ADDRESS)
client.mine = client.mapping("k/")
client.get("k")
del client
""",
    "a call that waits in another thread": """
import threading
client = Client(ADDRESS)
client.thread = threading.Thread(target=client.get, args=["parked"], daemon=True)
client.thread.start()
del client
""",
    "an asyncio client": """
async def f():
    client = AsyncClient(ADDRESS)
    await client.get("k")
    client.mine = client, client.watch("k/"), client.scan("k/")
asyncio.run(f())
""",
    "an asyncio client whose calls wait": """
async def f():
    client = AsyncClient(ADDRESS)
    client.mine = client, [asyncio.ensure_future(client.get("parked")) for _ in range(3)]
    await client.get("k")
asyncio.run(f())
""",
    "forty clients together": """
clients = [Client(ADDRESS) for _ in range(40)]
for client in clients:
    client.get("k")
    client.others = clients
del client, clients
""",
}

SCRIPT = """
import asyncio, faulthandler, gc, sys
from kvnode import AsyncClient, Client, KvnodeError
faulthandler.dump_traceback_later({patience_s}, exit=True)
ADDRESS = sys.argv[1]
{holder}
gc.collect()
print("collected")
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
def test_a_cycle_that_holds_a_client_is_collected_and_the_program_ends(holder, host):
    def answers(asked):
        waits = getattr(asked.operations[0], "key", b"") == b"parked"
        return () if waits else answering(FOUND, token=encode_token("c", {X: 3}))(asked)

    with FakeNode(answers) as node:
        script = SCRIPT.format(patience_s=PATIENCE_S, holder=holder)
        address = node.listen.replace("127.0.0.1", host)
        ran = subprocess.run(
            [sys.executable, "-c", script, address],
            capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False,
        )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "collected\n"), ran.stderr


LAST_WORD = """
class Lock:
    def __init__(self):
        self.client, self.itself = Client(ADDRESS), self
        self.client.get("k")
    def __del__(self):
        print("deleted at", self.client.get("k"))
Lock()
"""


def test_an_object_uses_its_client_once_more_when_both_are_collected():
    """What they own is closed before: this was an error of ZeroMQ's."""
    with FakeNode(answering(FOUND)) as node:
        script = SCRIPT.format(patience_s=PATIENCE_S, holder=LAST_WORD)
        ran = subprocess.run(
            [sys.executable, "-c", script, node.listen],
            capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False,
        )  # fmt: skip
        assert (ran.returncode, ran.stdout) == (0, "deleted at 1\ncollected\n"), ran.stderr
        assert "Exception ignored" not in ran.stderr
