"""The synchronous client among several nodes, some of which do not answer."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

from kvnode import (
    Client,
    CommitFailed,
    Dot,
    IndefiniteError,
    InvalidRequest,
    TimedOut,
    Unavailable,
    Unreachable,
)
from kvnode.cli.cluster import PATIENCE_S, LocalNode, until
from kvnode.codec.answers import encode_answer
from kvnode.codec.server import Position
from kvnode.codec.token import encode_token
from kvnode.core.requests import Once, Put
from kvnode.core.vector import new_origin
from tests.client.fake_node import FakeNode, answering, silent
from tests.client.test_sync_failures import nobodys_address
from tests.conftest import FLAGS

X = new_origin("X", 1, 1)
WRITTEN = ("ok", X, 3, 7, None)
FOUND = ("ok", [[7, X, 3, b"\x01", None]], 0)
UNAVAILABLE = ("error", "unavailable", "the disk is full", False)
OVERLOADED = ("error", "overloaded", "too many", False)
DELAYED = ("delayed", "why", {X: 3}, {}, [[X, 3, 3]])
COMMIT_FAILED = ("error", "commit_failed", "who knows", True)


@contextmanager
def nodes(*answers):
    """Fake nodes that answer so."""
    with ExitStack() as stack:
        yield [stack.enter_context(FakeNode(each)) for each in answers]


def client_of(*fakes, timeout_s=3.0, wait_s=0.0, **options):
    return Client(*(node.listen for node in fakes), timeout_s=timeout_s, wait_s=wait_s, **options)


@pytest.mark.parametrize("result", [UNAVAILABLE, OVERLOADED, DELAYED], ids=lambda it: it[0:2])
@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
def test_a_node_that_surely_did_nothing_is_left_for_the_next(result, *, write):
    with nodes(answering(result), answering(WRITTEN if write else FOUND)) as (bad, good):
        with client_of(bad, good) as client:
            assert client.address == bad.listen
            assert (client.put("k", 1).seq if write else client.get("k")) == (3 if write else 1)
            assert client.address == good.listen
            client.put("k", 1) if write else client.get("k")
        assert (len(bad.asked), len(good.asked)) == (1, 2), "it stays where it was answered"


@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
def test_where_nobody_listens_the_next_is_asked_soon(write):
    with nodes(answering(WRITTEN if write else FOUND)) as (good,):
        start = time.monotonic()
        with Client(nobodys_address(), good.listen, timeout_s=60) as client:
            client.put("k", 1) if write else client.get("k")
        assert time.monotonic() - start < 30


def test_a_read_that_is_not_answered_is_tried_elsewhere_with_the_token():
    token = encode_token("c", {X: 3})
    with nodes(silent, answering(FOUND, token=token)) as (mute, good):
        with client_of(mute, good, timeout_s=1, token=token) as client:
            assert client.get("k") == 1
        assert [asked.token for asked in mute.asked + good.asked] == 2 * [{X: 3}]


def test_a_write_that_is_not_answered_is_tried_nowhere_else():
    with nodes(silent, answering(WRITTEN)) as (mute, good):
        with client_of(mute, good, timeout_s=0.3) as client, pytest.raises(TimedOut):
            client.put("k", 1)
        assert good.asked == []


@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
def test_a_client_of_one_node_asks_it_a_few_times(write):
    with nodes(answering(UNAVAILABLE)) as (bad,):
        with client_of(bad) as client, pytest.raises(Unavailable, match="the disk is full"):
            client.put("k", 1) if write else client.get("k")
        assert len(bad.asked) == 3


def test_what_concerns_a_node_is_asked_of_the_one_that_the_client_is_at():
    with nodes(answering(UNAVAILABLE), answering(("ok", "X"))) as (bad, good):
        with client_of(bad, good) as client, pytest.raises(Unavailable):
            client.ping()
        assert (len(bad.asked), len(good.asked)) == (1, 0)


@pytest.mark.parametrize("address", ["", "nowhere:", "smoke://signals"])
def test_any_address_that_is_none_is_refused_at_once(address):
    with pytest.raises(InvalidRequest, match="no address of a node"):
        Client("127.0.0.1:1", address)


# --- writes that are asked for again


class OnceNode:
    """A fake node that does a request with an id once, and is out of order the first times."""

    def __init__(self, *first, name="X"):
        self.first = list(first)
        self.name = name
        self.done = {}

    def __call__(self, asked):
        if isinstance(asked.operations, Position):
            return [encode_answer(asked.id, None, [("ok", self.name, len(self.done))])]
        once, *_ = asked.operations
        assert isinstance(once, Once)
        repeated = once.id in self.done
        self.done.setdefault(once.id, len(self.done) + 1)
        result = ("ok", X, self.done[once.id], 7, None)
        if self.first and (failure := self.first.pop(0)) is not None:
            return [encode_answer(asked.id, None, [failure])]
        known = ("ok", repeated, len(self.done))
        return [encode_answer(asked.id, encode_token("c", {X: 1}), [known, result])]


def test_a_write_in_doubt_is_asked_for_again_with_its_id():
    with nodes(OnceNode(COMMIT_FAILED, UNAVAILABLE), silent) as (node, other):
        with client_of(node, other, retry_writes=True) as client:
            assert client.put("k", 1).seq == 1
            assert client.put("k", 1).seq == 2
        _, *asked = node.asked
        ids = [it.operations[0].id for it in asked]
        assert len(ids) == 4 and len(set(ids[:3])) == 1 and ids[3] != ids[0]
        assert asked[0].operations == asked[2].operations
        assert other.asked == []


def test_a_read_has_no_id():
    with nodes(answering(FOUND)) as (node,), client_of(node, retry_writes=True) as client:
        assert client.get("k") == 1


def test_without_being_told_so_a_client_asks_for_no_write_again():
    with nodes(answering(COMMIT_FAILED)) as (node,):
        with client_of(node) as client, pytest.raises(CommitFailed):
            client.put("k", 1)
        (asked,) = node.asked
        assert asked.operations == (Put(b"k", b"\x01"),)


def test_another_node_at_the_address_leaves_it_in_doubt():
    with nodes(OnceNode(COMMIT_FAILED, ("error", "wrong_node", "this is Y", False))) as (node,):
        with client_of(node, retry_writes=True) as client, pytest.raises(CommitFailed):
            client.put("k", 1)
        assert len(node.asked) == 3


def test_a_node_that_is_another_than_it_was_is_asked_who_it_is():
    with nodes(OnceNode(("error", "wrong_node", "so much was done since", False))) as (node,):
        with client_of(node, retry_writes=True) as client:
            assert client.put("k", 1).seq == 1
        assert [type(it.operations) for it in node.asked] == [Position, tuple, Position, tuple]


def test_who_does_not_say_who_it_is_was_sent_nothing():
    with nodes(silent) as (node,):
        client = client_of(node, retry_writes=True, timeout_s=0.3)
        with client, pytest.raises(Unreachable, match="nothing was sent"):
            client.put("k", 1)


# --- real nodes


def test_reads_go_on_at_the_next_node_when_one_is_killed(make_cluster):
    """In mid-stream, with the token; a request that was on its way costs no timeout."""
    with make_cluster("XY") as cluster:
        cluster.wait_for_mesh()
        x, y = cluster["X"], cluster["Y"]
        with Client(x.listen, y.listen, timeout_s=600, wait_s=600) as client:
            client.put("counter", 7)
            seen = []

            def kill():
                until("it is amid its reads", lambda: len(seen) > 100)
                x.stop(signal.SIGKILL)

            killing = threading.Thread(target=kill)
            killing.start()
            start = time.monotonic()
            while killing.is_alive() or client.address == x.listen:
                seen.append(client.get("counter"))
            assert set(seen) == {7}
            assert client.address == y.listen
            assert client.put("counter", 8).origin.startswith("Y~")
            assert time.monotonic() - start < 300, "no timeout was waited for"
            x.start()
            y.stop(signal.SIGKILL)
            y.start()  # X needs it: what the session has seen is only there
            assert client.get("counter") == 8


#: A node that dies when it has committed a request with an id, and has answered nobody.
DYING = """
import os, signal, sys
from kvnode.daemon.node import Node
send = Node._send

def die_once(node, effects, *others):
    if effects.commit is not None and effects.commit.done and os.path.exists({fuse!r}):
        os.unlink({fuse!r})
        os.kill(os.getpid(), signal.SIGKILL)
    send(node, effects, *others)

Node._send = die_once
from kvnode.cli.kvnode import main
sys.exit(main(sys.argv[4:]))
"""


@pytest.fixture
def dying(tmp_path):
    """X, which dies so once, and is started again then, perhaps without its disk."""
    fuse = tmp_path / "fuse"
    script = DYING.format(fuse=str(fuse))
    node = LocalNode("X", tmp_path, FLAGS, prefix=(sys.executable, "-c", script))
    node.start()
    died = threading.Event()

    def start_again(wipes):
        node.process.wait()
        node.process = None
        died.set()
        if wipes:
            shutil.rmtree(node.data)
        node.start()

    def light(*, wipes=False):
        nonlocal starter
        fuse.touch()
        starter = threading.Thread(target=start_again, args=[wipes])
        starter.start()

    starter = None
    yield node, light, died
    starter.join()
    node.stop()


def test_a_write_is_made_once_though_its_node_is_killed_before_it_answers(dying):
    node, light, died = dying
    with Client(node.listen, timeout_s=PATIENCE_S, retry_writes=True) as client:
        before = client.put("before", 1)
        light()
        dot = client.put("k", 1)
        assert died.is_set()
        assert (dot.origin, dot.seq) == (before.origin, before.seq + 1), "by the one that died"
        (version,) = client.read("k")
        assert version.dot == dot == Dot(version.origin, dot.seq)
        assert client.put("after", 1).origin != before.origin


def test_a_write_is_not_made_again_by_a_node_that_lost_its_disk(dying):
    node, light, died = dying
    with Client(node.listen, timeout_s=PATIENCE_S, retry_writes=True) as client:
        light(wipes=True)
        with pytest.raises(IndefiniteError):
            client.put("k", 1)
        assert died.is_set()
        assert client.get("k") is None
