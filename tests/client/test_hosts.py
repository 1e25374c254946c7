"""Nodes that a client knows by names: who is held up by these, and who is not."""

from __future__ import annotations

import errno
import gc
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from kvnode import Client, Unreachable
from kvnode.cli.cluster import PATIENCE_S, until
from kvnode.client import hosts, line
from kvnode.client.hosts import looked_up, taken
from tests.client.fake_node import FakeNode, answering
from tests.names import is_asked, telling

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

#: Is connected at the first line, and then, at the second, is not alone.
WITH_OTHERS = """
import sys, time
from kvnode import Client, Unreachable

with Client(*sys.argv[1:], timeout_s=30) as client:
    sys.stdin.readline()
    client.get("k")
    print("connected", flush=True)
    sys.stdin.readline()
    with Client(*sys.argv[1:], timeout_s=0.2) as other:
        try:
            other.get("k")
        except Unreachable:
            pass
    started = time.monotonic()
    client.get("k")
    print(time.monotonic() - started, flush=True)
"""

#: What a call is told.
TELL = """
    client.timeout_s = 1
    try:
        client.get("k")
    except Exception as error:
        print(type(error).__name__, error)
"""

SCRIPTS = pytest.mark.parametrize("script", [SYNC, ASYNC], ids=["sync", "asyncio"])


def named(node, host="localhost"):
    """The address of a node, with a name in it."""
    return node.listen.replace("127.0.0.1", host)


def found(value):
    return answering(("ok", [[7, "X~1~1", 3, bytes([value]), None]], 0))


@contextmanager
def started(prefix, script, *addresses):
    """A process that answers each line with one."""
    command = [*prefix, sys.executable, "-c", script, *addresses]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        try:
            yield client
        finally:
            client.kill()


def asked_again(client):
    client.stdin.write("\n")
    client.stdin.flush()
    return client.stdout.readline().strip()


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
        addresses = (lost, named(node)) if first else (named(node), lost)
        value, took_s = run(alone, script, *addresses)
    assert value == "1"
    assert float(took_s) < AT_ONCE_S
    if first:
        is_asked(name_server)


@SCRIPTS
def test_names_that_are_told_slowly_are_reached_all_the_same(script, alone, name_server):
    """Though the client is elsewhere when the answer comes."""
    with FakeNode(found(1)) as node, telling(name_server, after_s=SLOWLY_S):
        port = node.listen.rpartition(":")[2]
        assert run(alone, script, f"a.example:{port}", f"b.example:{port}")[0] == "1"


def test_who_is_connected_does_not_wait_for_others_of_that_name(alone, name_server):
    with (
        FakeNode(found(1)) as node,
        started(alone, WITH_OTHERS, named(node, "node.example")) as client,
    ):
        with telling(name_server):
            assert asked_again(client) == "connected"
        assert float(asked_again(client)) < AT_ONCE_S
        is_asked(name_server)


def test_a_node_is_followed_though_another_has_its_number_now(alone_with, tmp_path):
    def told(number):
        return f"{number} node.example\n"

    with FakeNode(found(1), "127.0.0.2") as node:
        port = node.listen.rpartition(":")[2]
        prefix = alone_with("/etc/hosts", told("127.0.0.2"))
        with started(prefix, AGAIN, f"node.example:{port}") as client:
            assert asked_again(client) == "1"
            (tmp_path / "hosts").write_text(told("127.0.0.3"))
            node.stop()
            with FakeNode(found(2), "127.0.0.2", port), FakeNode(found(1), "127.0.0.3", port):
                assert [asked_again(client) for _ in range(10)] == 10 * ["1"]


def test_all_numbers_of_a_name_are_tried(alone_with):
    """Nobody is at the first."""
    with FakeNode(found(1), "127.0.0.3") as node:
        port = node.listen.rpartition(":")[2]
        prefix = alone_with("/etc/hosts", "127.0.0.2 node.example\n127.0.0.3 node.example\n")
        for script in (SYNC, ASYNC):
            assert run(prefix, script, f"node.example:{port}")[0] == "1"


def test_a_name_may_have_an_ipv6_number_alone(alone_with):
    prefix = alone_with("/etc/hosts", "::1 node.example\n")
    with FakeNode(found(1), "[::1]") as node:
        assert run(prefix, SYNC, f"node.example:{node.listen.rpartition(':')[2]}")[0] == "1"


def test_that_nobody_knows_a_name_is_told(alone_with):
    prefix = alone_with("/etc/hosts", "127.0.0.1 localhost\n")
    script = SYNC.replace('print(client.get("k"))', TELL)
    told = " ".join(run(prefix, script, "node.invalid:7411"))
    assert told.startswith("Unreachable no connection to tcp://node.invalid:7411 within 1 s: ")


def test_a_lookup_that_nobody_took_in_time_is_asked_anew(monkeypatch):
    first = looked_up("localhost")
    assert looked_up("localhost") is first, "whoever comes meanwhile waits for the same"
    first.wait(PATIENCE_S)
    assert "127.0.0.1" in first.numbers
    assert looked_up("localhost") is first
    monkeypatch.setattr(hosts, "KEPT_S", -1)
    second = looked_up("localhost")
    assert second is not first
    monkeypatch.undo()
    second.wait(PATIENCE_S)
    assert taken(first) is first, "it is not there any more"
    assert looked_up("localhost") is second
    assert taken(second) is second
    assert taken(looked_up("localhost")) is not second


def test_where_no_thread_can_be_started_that_is_why_nobody_knows(monkeypatch):
    def no_more(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    with (
        Client("localhost:7411", timeout_s=0.1) as client,
        pytest.raises(Unreachable, match="can't start new thread"),
    ):
        client.get("k")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_process_that_may_open_no_more_is_told_so(host, monkeypatch):
    def full(*_, **__):
        raise zmq.ZMQError(errno.EMFILE)

    monkeypatch.setattr(line, "Attempt", full)
    with (
        Client(f"{host}:7411") as client,
        pytest.raises(Unreachable, match="Too many open files"),
    ):
        client.get("k")


def test_a_client_that_is_forgotten_leaves_nothing(trio):
    address = named(trio["X"])
    before = files_open()
    with pytest.warns(ResourceWarning):
        for _ in range(20):
            Client(address).ping()
        gc.collect()
    until("all is closed", lambda: files_open() <= before)


def test_a_client_that_is_closed_leaves_nothing(trio):
    address = named(trio["X"])
    before = files_open()
    clients = [Client(address) for _ in range(20)]
    for client in clients:
        client.ping()
        client.close()
    until("all is closed", lambda: files_open() <= before)


def files_open():
    return len(list(Path("/proc/self/fd").iterdir()))
