"""Nodes that a client knows by names: who is held up by these, and who is not."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from kvnode import AsyncClient, Client, InvalidRequest
from kvnode.cli.cluster import PATIENCE_S
from kvnode.client import hosts
from kvnode.client.hosts import NAMES_APART, expect_addresses
from tests.client.fake_node import FakeNode, answering
from tests.names import is_asked

#: A name is asked for twice, five seconds each: this is well below.
AT_ONCE_S = 4

#: Longer than a client with several nodes waits for a connection to one.
SLOWLY_S = 1.5

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

#: Reads once for each line that it is sent.
AGAIN = """
import sys
from kvnode import Client

with Client(*sys.argv[1:], timeout_s=30) as client:
    for _ in sys.stdin:
        print(client.get("k"), flush=True)
"""

SCRIPTS = pytest.mark.parametrize("script", [SYNC, ASYNC], ids=["sync", "asyncio"])


def found(value):
    return answering(("ok", [[7, "X~1~1", 3, bytes([value]), None]], 0))


def run(prefix, script, *addresses):
    command = [*prefix, sys.executable, "-c", script, *addresses]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


@pytest.fixture
def alone(alone_with, name_server):
    """The start of a command that asks only this name server."""
    return alone_with("/etc/resolv.conf", f"nameserver {name_server.getsockname()[0]}\n")


@SCRIPTS
@pytest.mark.parametrize("first", [True, False], ids=["asked first", "not asked"])
def test_a_node_whose_name_nobody_tells_holds_up_no_other(first, script, alone, name_server):
    lost = "tcp://node.example:7411"
    with FakeNode(found(1)) as node:
        addresses = (lost, node.listen) if first else (node.listen, lost)
        value, took_s = run(alone, script, *addresses)
    assert value == "1"
    assert float(took_s) < AT_ONCE_S
    if first:
        is_asked(name_server)


@SCRIPTS
def test_names_that_are_told_slowly_are_reached_all_the_same(script, alone, name_server):
    """Though the client is elsewhere when the answer comes."""

    def answer():
        while not done.is_set():
            with suppress(TimeoutError):
                timers.append(threading.Timer(SLOWLY_S, tell, name_server.recvfrom(1024)))
                timers[-1].start()

    def tell(question, client):
        """One address, of the name that was asked for: RFC 1035, section 4."""
        head = question[:2] + bytes.fromhex("8180 0001 0001 0000 0000")
        asked = question[12 : question.index(b"\0", 12) + 5]
        record = bytes.fromhex("c00c 0001 0001 00000001 0004 7f000001")
        name_server.sendto(head + asked + record, client)

    done, timers = threading.Event(), []
    name_server.settimeout(0.1)
    answers = threading.Thread(target=answer)
    answers.start()
    try:
        with FakeNode(found(1)) as node:
            port = node.listen.rpartition(":")[2]
            assert run(alone, script, f"a.example:{port}", f"b.example:{port}")[0] == "1"
    finally:
        done.set()
        for thread in (answers, *timers):
            thread.join()


def test_a_node_is_followed_though_another_has_its_number_now(alone_with, tmp_path):
    def told(number):
        return f"{number} node.example\n"

    with FakeNode(found(1), "127.0.0.2") as node:
        port = node.listen.rpartition(":")[2]
        command = [*alone_with("/etc/hosts", told("127.0.0.2")), sys.executable, "-c", AGAIN]
        client = subprocess.Popen(
            [*command, f"node.example:{port}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with client:
            try:
                assert asked_again(client) == "1"
                (tmp_path / "hosts").write_text(told("127.0.0.3"))
                node.stop()
                with FakeNode(found(2), "127.0.0.2", port), FakeNode(found(1), "127.0.0.3", port):
                    assert [asked_again(client) for _ in range(10)] == 10 * ["1"]
            finally:
                client.kill()


def asked_again(client):
    client.stdin.write("\n")
    client.stdin.flush()
    return client.stdout.readline().strip()


def test_names_have_threads_of_their_own_until_there_are_too_many(monkeypatch):
    monkeypatch.setattr(hosts, "_threads", {})
    names = [f"node-{n}.example" for n in range(NAMES_APART)]
    threads = [hosts._thread_of(name) for name in names]
    assert sorted(threads) == list(range(NAMES_APART))
    assert hosts._thread_of("one-more.example") in threads
    assert [hosts._thread_of(name) for name in names] == threads
    assert len(hosts._threads) == NAMES_APART


BAD = ["127.0.0.1:0", "127.0.0.1:65536", "node.example:65536", "*:7411", "a*b:1", "[::::]:7411"]


@pytest.mark.parametrize("address", BAD)
def test_where_no_node_can_be_is_told_at_once(address):
    for make in (Client, AsyncClient):
        with pytest.raises(InvalidRequest, match="is no address of a node; write HOST:PORT"):
            make("127.0.0.1:7411", address)
    expect_addresses(["tcp://node.example:7411", "tcp://[::1]:7411"])
