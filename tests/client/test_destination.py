"""Nodes that a client knows by names: where these are, and who is not held up by them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import zmq

from kvnode import Client, InvalidRequest, Unreachable
from kvnode.cli.cluster import PATIENCE_S
from kvnode.client import destination
from kvnode.client.destination import ASK_AGAIN_S, Destination
from tests.client.fake_node import FakeNode, answering
from tests.names import is_asked

FOUND = ("ok", [[7, "X~1~1", 3, b"\x01", None]], 0)

#: A name is asked for twice, five seconds each: this is well below.
AT_ONCE_S = 4

SYNC = """
import sys, time
from kvnode import Client

started = time.monotonic()
with Client(*sys.argv[1:]) as client:
    print(client.get("k"))
print(time.monotonic() - started)
"""

ASYNC = """
import asyncio, sys, time
from kvnode import AsyncClient

async def read():
    async with AsyncClient(*sys.argv[1:]) as client:
        print(await client.get("k"))

started = time.monotonic()
asyncio.run(read())
print(time.monotonic() - started)
"""


def named(node):
    """The address of a node, with a name in it."""
    return node.listen.replace("127.0.0.1", "node.example")


def run(prefix, script, *addresses):
    command = [*prefix, sys.executable, "-c", script, *addresses]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


@pytest.mark.parametrize("script", [SYNC, ASYNC], ids=["sync", "asyncio"])
@pytest.mark.parametrize("first", [True, False], ids=["asked first", "asked never"])
def test_a_name_that_is_asked_for_in_vain_holds_up_no_other_node(
    first, script, alone_with, name_server
):
    address = name_server.getsockname()[0]
    lost = "tcp://node.example:7411"
    prefix = alone_with("/etc/resolv.conf", f"nameserver {address}\n")
    with FakeNode(answering(FOUND)) as node:
        addresses = (lost, node.listen) if first else (node.listen, lost)
        value, took_s = run(prefix, script, *addresses)
    assert value == "1"
    assert float(took_s) < AT_ONCE_S
    if first:
        is_asked(name_server)


# --- as told by a resolver that the test plays


class Resolver:
    """Whom it is asked for, and what it will say."""

    def __init__(self):
        self.asked = []
        self.tell = None

    def __call__(self, host, tell):
        self.asked.append(host)
        self.tell = tell


@pytest.fixture
def resolver(monkeypatch):
    resolver = Resolver()
    monkeypatch.setattr(destination, "look_up", resolver)
    return resolver


@pytest.fixture
def sought():
    """For a node of a name; closed in the end."""
    with zmq.Context() as context:
        sought = Destination(context, "tcp://node.example:7411")
        yield sought
        sought.socket.close()


def test_one_answer_is_awaited_at_a_time_and_the_next_is_sought_after_a_while(resolver, sought):
    for now_s in (0.0, 1.0, 2.0):
        assert sought.seek(now_s) < ASK_AGAIN_S
    assert resolver.asked == ["node.example"]
    resolver.tell(OSError(None, "nobody knows"))
    assert sought.seek(3.0) == ASK_AGAIN_S
    assert sought.seek(2.9 + ASK_AGAIN_S) == ASK_AGAIN_S
    assert len(resolver.asked) == 1
    sought.seek(3.0 + ASK_AGAIN_S)
    assert len(resolver.asked) == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "within 0.2 s: no name server has said where node.example is"),
        (OSError(None, "nobody knows"), "within 0.2 s: node.example: nobody knows"),
        ("127.0.0.1", "within 0.2 s$"),
    ],
)
def test_what_is_known_of_a_host_is_told_to_who_waited_for_it(answer, message, resolver):
    with Client("node.example:1", timeout_s=0.2) as client:
        for _ in range(2):  # it is asked, and then it has been
            with pytest.raises(Unreachable) as raised:
                client.ping()
            if answer is not None and len(resolver.asked) == 1:
                resolver.tell(answer)
    assert re.search(f"no connection to tcp://node.example:1 {message}", str(raised.value))


def test_a_node_whose_host_moves_is_followed(monkeypatch):
    """It is not where it was said to be first, and then it is."""
    places = iter(["127.0.0.2", "127.0.0.2"])
    monkeypatch.setattr(destination, "look_up", lambda host, tell: tell(next(places, "127.0.0.1")))
    with FakeNode(answering(FOUND)) as node, Client(named(node), timeout_s=PATIENCE_S) as client:
        assert client.get("k") == 1
        assert client.address == named(node)
    assert next(places, None) is None


def test_who_is_connected_asks_no_more(monkeypatch):
    asked = []

    def look_up(host, tell):
        asked.append(host)
        tell("127.0.0.1")

    monkeypatch.setattr(destination, "look_up", look_up)
    monkeypatch.setattr(destination, "ASK_AGAIN_S", 0)
    with (
        FakeNode(answering(FOUND)) as node,
        Client(named(node), timeout_s=PATIENCE_S) as client,
    ):
        assert client.get("k") == 1
        before = len(asked)
        assert [client.get("k") for _ in range(10)] == 10 * [1]
    assert len(asked) == before > 0


def test_a_number_is_connected_to_and_not_asked_for(resolver):
    with FakeNode(answering(FOUND)) as node, Client(node.listen) as client:
        assert client.get("k") == 1
    assert resolver.asked == []


@pytest.mark.parametrize(
    "address", ["127.0.0.1:0", "127.0.0.1:65536", "node.example:65536", "*:7411", "[::::]:7411"]
)
def test_where_no_node_can_be_is_told_at_once(address):
    with pytest.raises(InvalidRequest, match="is no address of a node"):
        Client(address)
