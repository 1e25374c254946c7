"""Channels: what a call does when somebody ends it from without."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from kvnode import Client, IndefiniteError, InvalidRequest, KvnodeError, Unreachable
from kvnode.cli.cluster import PATIENCE_S, until
from kvnode.client.failover import Course, Patience
from kvnode.codec import client as ask
from kvnode.codec.token import encode_token
from tests.client.fake_node import FakeNode, answering, mute, silent
from tests.client.test_connection import COMMIT_FAILED, X, nodes

LONG_S = 10 * PATIENCE_S


class InThread:
    """A call in another thread, and what it raised."""

    def __init__(self, call):
        self.error = None
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._call()
        except BaseException as error:
            self.error = error

    def ended(self):
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return self.error


def test_closing_a_client_ends_the_call_of_another_thread():
    with FakeNode(silent) as node:
        client = Client(node.listen, timeout_s=LONG_S)
        calls = [InThread(lambda: client.put("k", 1)) for _ in range(3)]
        until("they are asked", lambda: len(node.asked) == 3)
        client.close()
        for call in calls:
            error = call.ended()
            assert isinstance(error, IndefiniteError)
            assert "closed before" in str(error)
        until("the node is told", lambda: len(node.cancelled) == 3)
        with pytest.raises(InvalidRequest, match="this client is closed"):
            client.get("k")


def test_closing_a_client_ends_what_waits_for_a_connection():
    with mute() as address:
        client = Client(address, timeout_s=LONG_S)
        call = InThread(lambda: client.put("k", 1))
        until("it is connecting", lambda: client._connection._pool()._calls._free < 128)
        client.close()
        error = call.ended()
    assert isinstance(error, Unreachable)
    assert "closed before anything was sent" in str(error)


def test_closing_a_client_leaves_a_write_in_doubt_that_was():
    """It waits for its turn to be asked for again."""
    position = ("ok", "X", 1)

    def answers(asked):
        is_question = not isinstance(asked.operations, tuple)
        return answering(position if is_question else COMMIT_FAILED)(asked)

    with FakeNode(answers) as node:
        client = Client(node.listen, timeout_s=LONG_S, retry_writes=True)
        call = InThread(lambda: client.put("k", 1))
        until("it was asked again", lambda: len(node.asked) > 4)
        client.close()
        assert isinstance(call.ended(), IndefiniteError)


def test_closing_a_session_ends_what_is_asked_in_it_alone():
    with FakeNode(silent) as node, Client(node.listen, timeout_s=LONG_S) as client:
        session = client.session()
        mine, others = InThread(lambda: session.get("k")), InThread(lambda: client.get("k"))
        until("they are asked", lambda: len(node.asked) == 2)
        session.close()
        assert isinstance(mine.ended(), IndefiniteError)
        assert others.error is None


def test_closing_a_watch_ends_the_thread_that_follows_it(trio):
    with Client(trio["X"].listen, timeout_s=PATIENCE_S) as client:
        watch = client.watch("closed/")
        following = InThread(lambda: next(watch))
        until("it waits", lambda: client.status()["watches"] == 1)
        watch.close()
        assert isinstance(following.ended(), KvnodeError)
        until("the node holds nothing of it", lambda: not client.status()["watches"])


def test_two_threads_can_t_follow_one_watch():
    with FakeNode(silent) as node, Client(node.listen, timeout_s=LONG_S) as client:
        watch = client.watch("k", since=encode_token("c", {X: 3}))
        InThread(lambda: next(watch))
        until("it is asked", lambda: node.asked)
        with pytest.raises(InvalidRequest, match="another thread follows this watch"):
            watch.poll()
        with pytest.raises(InvalidRequest, match="another thread follows this watch"):
            next(watch)


INTERRUPTED = """
import sys
from kvnode import Client

with Client(sys.argv[1]) as client:
    watch = client.watch("interrupted/")
    print("begun", flush=True)
    try:
        next(watch)
    except KeyboardInterrupt:
        print("interrupted", client.get("nothing"), flush=True)
"""


def test_a_call_that_is_interrupted_leaves_nothing_at_the_node(trio):
    with Client(trio["X"].listen, timeout_s=PATIENCE_S) as client:
        script = [sys.executable, "-c", INTERRUPTED, trio["X"].listen]
        with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "begun\n"
            until("it waits", lambda: client.status()["watches"] == 1)
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted None\n"
        until("the node holds nothing of it", lambda: not client.status()["watches"])


def test_a_node_that_is_left_keeps_nothing_open():
    """Only lines that come to no connection are kept, to be come back to."""
    with nodes(silent, silent) as (one, other):
        client = Client(one.listen, other.listen, timeout_s=0.2, wait_s=0)
        for _ in range(4):
            with pytest.raises(KvnodeError):
                client.get("k")
        (channel,) = client._connection._pool()._idle
        assert len(channel._lines) == 1
        client.close()
        assert channel._lines == {}


def test_a_pause_before_another_attempt_ends_when_the_client_is_closed():
    start_s = time.monotonic()
    with FakeNode(answering(("error", "unavailable", "not now", False))) as node:
        client = Client(node.listen, timeout_s=LONG_S)
        call = InThread(lambda: client.get("k"))
        until("it is asked", lambda: node.asked)
        client.close()
        assert isinstance(call.ended(), KvnodeError)
    assert time.monotonic() - start_s < LONG_S


def test_who_waited_for_a_place_is_told_the_time_since_the_call_began():
    with mute() as address, Client(address, timeout_s=0.2) as client:
        session, now_s = client._seen, time.monotonic()
        endpoints = client._connection.endpoints
        told = "within 5 s, of which it waited 4.9 s for a place; is a node running"
        course = Course(endpoints, [ask.PING], Patience(5.0, 0).after(4.9), now_s, lambda: 0.0)
        with (
            client._connection._pool().channel(1, watches=False) as (channel, _),
            pytest.raises(Unreachable, match=told),
        ):
            channel.tried(session, course)


def test_closing_a_client_tells_who_pauses_that_it_was_closed():
    with FakeNode(answering(("error", "unavailable", "not now", False))) as node:
        client = Client(node.listen, timeout_s=LONG_S)
        call = InThread(lambda: client.put("k", 1))
        until("it is asked", lambda: node.asked)
        client.close()
        assert not isinstance(call.ended(), InvalidRequest)
