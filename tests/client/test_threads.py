"""One client that many threads share."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from kvnode import Client, KvnodeError, Overloaded
from kvnode.cli.cluster import PATIENCE_S, until
from kvnode.client import pool
from kvnode.codec.token import decode_token
from tests.client.fake_node import FakeNode, answering
from tests.client.test_connection import FOUND
from tests.client.test_sync_failures import nobodys_address

THREADS = 8


def test_each_reads_its_own_writes_and_the_session_has_seen_all(trio):
    dots = []

    def work(client, name):
        for number in range(50):
            key = f"threads/{name}/{number}"
            dots.append(client.put(key, number))
            assert client.get(key) == number
            assert client.get_many([key]) == [number]
            with client.pipeline() as pipeline:
                value = pipeline.get(key)
            assert value.result() == number
        found = dict(client.scan(f"threads/{name}/", page=7))
        assert sorted(found.values()) == list(range(50))

    with Client(trio["X"].listen, timeout_s=PATIENCE_S) as client:
        with ThreadPoolExecutor(THREADS) as threads:
            for working in [threads.submit(work, client, name) for name in range(THREADS)]:
                working.result()
        _, seen = decode_token(client.token)
        assert len(set(dots)) == THREADS * 50
        assert max(dot.seq for dot in dots) <= seen[dots[0].origin]
    with Client(trio["Y"].listen, token=client.token, wait_s=PATIENCE_S) as other:
        assert other.count("threads/") == THREADS * 50


def test_writes_that_are_made_once_are_made_once_by_each(trio):
    def work(client):
        return [client.put("once", number).seq for number in range(50)]

    with (
        Client(trio["X"].listen, timeout_s=PATIENCE_S, retry_writes=True) as client,
        ThreadPoolExecutor(THREADS) as threads,
    ):
        working = [threads.submit(work, client) for _ in range(THREADS)]
        seqs = [seq for each in working for seq in each.result()]
    assert len(set(seqs)) == THREADS * 50


def test_a_watch_of_one_thread_holds_up_no_other(trio):
    with Client(trio["X"].listen, timeout_s=PATIENCE_S) as client:
        watches = [client.watch(f"quiet/{number}") for number in range(THREADS)]
        with ThreadPoolExecutor(THREADS) as threads:
            following = [threads.submit(next, watch) for watch in watches]
            until("they all wait", lambda: client.status()["watches"] == THREADS)
            start_s = time.monotonic()
            for number in range(THREADS):
                client.put(f"quiet/{number}", number)
            assert [each.result().value for each in following] == list(range(THREADS))
            assert time.monotonic() - start_s < PATIENCE_S


def test_where_the_first_node_is_dead_all_go_on_at_once():
    def read(client):
        start_s = time.monotonic()
        assert client.get("k") == 1
        return time.monotonic() - start_s

    with (
        FakeNode(answering(FOUND)) as node,
        Client(nobodys_address(), node.listen, timeout_s=60) as client,
        ThreadPoolExecutor(30) as threads,
    ):
        took_s = [each.result() for each in [threads.submit(read, client) for _ in range(30)]]
        assert max(took_s) < 15, "one after the other they would take 30 s"
        assert read(client) < 1


def test_a_call_that_finds_no_place_is_told_so_in_its_time(monkeypatch):
    """All others wait at the node."""
    monkeypatch.setattr(pool, "CALLS_MAX", 3)

    def answers(asked):
        return () if asked.operations[0].key == b"parked" else answering(FOUND)(asked)

    with FakeNode(answers) as node:
        client = Client(node.listen, timeout_s=PATIENCE_S)

        def park():
            with pytest.raises(KvnodeError):
                client.get("parked")

        waiting = [threading.Thread(target=park) for _ in range(3)]
        for thread in waiting:
            thread.start()
        until("they wait at the node", lambda: len(node.asked) == 3)
        client.timeout_s = 0.3
        start_s = time.monotonic()
        with pytest.raises(Overloaded, match="nothing was sent"):
            client.get("k")
        assert time.monotonic() - start_s < 5
        client.close()
        for thread in waiting:
            thread.join()


def test_clients_may_be_made_used_and_closed_in_any_thread(trio):
    made = []

    def make():
        made.append(Client(trio["X"].listen, timeout_s=PATIENCE_S))
        made[-1].ping()

    for _ in range(2):
        with ThreadPoolExecutor(1) as thread:
            thread.submit(make).result()
    one, other = made
    assert one.ping() == other.ping() == "X"
    with ThreadPoolExecutor(1) as thread:
        thread.submit(one.close).result()
    other.close()
