"""Watches: what comes, where they go on, and that a node that dies takes nothing along."""

from __future__ import annotations

import signal
import threading

import pytest

from kvnode import Client, Compacted, InvalidRequest, TimedOut, UnreadableAnswer, UnreadableValue
from kvnode.cli.cluster import until
from kvnode.client.values import packed_value
from kvnode.codec.answers import encode_answer
from kvnode.codec.token import decode_token, encode_token
from kvnode.core.requests import Watch
from kvnode.core.vector import new_origin
from tests.client.fake_node import FakeNode, silent

X, Y = new_origin("X", 1, 1), new_origin("Y", 1, 1)
ONE = packed_value(1)


def answering(*pages):
    """Answers each request with the next page: events, and the seq of X in the token."""
    left = list(pages)

    def answers(asked):
        events, seen = left.pop(0)
        return [encode_answer(asked.id, encode_token("c", {X: seen}), [("ok", events)])]

    return answers


def seen(token):
    return decode_token(token)[1] if token else {}


# --- what comes


def test_a_watch_from_now_asks_where_that_is_and_goes_on_from_there():
    pages = [([], 5), ([(X, 6, 70, b"a", ONE), (X, 7, 80, b"a")], 7), ([(X, 8, 90, b"b", ONE)], 8)]
    with FakeNode(answering(*pages)) as node, Client(node.listen) as client:
        watch = client.watch()
        assert seen(watch.token) == {X: 5}
        put, delete, other = next(watch), next(watch), next(watch)
        assert (put.key, put.value, put.is_delete, put.dot, put.stamp_us) == (
            "a", 1, False, (X, 6), 70,
        )  # fmt: skip
        assert (delete.key, delete.value, delete.is_delete) == ("a", None, True)
        assert other.key == "b"
        assert [asked.operations[0] for asked in node.asked] == [
            Watch(b"", True),
            Watch(b"", False),
            Watch(b"", False),
        ]
        assert [asked.token for asked in node.asked] == [{}, {X: 5}, {X: 7}]
        assert seen(client.token) == {X: 8}, "the session has seen it, too"


def test_a_watch_from_a_token_asks_for_what_lies_beyond_it():
    token = encode_token("c", {X: 3})
    with (
        FakeNode(answering(([(X, 4, 1, b"k\xff", ONE)], 4))) as node,
        Client(node.listen) as client,
    ):
        watch = client.watch("k", since=token)
        assert seen(watch.token) == {X: 3} and not node.asked
        assert next(watch).key == "k\udcff"
        assert node.asked[0].operations == (Watch(b"k", False),)


def test_with_a_prefix_of_bytes_keys_are_bytes():
    pages = answering(([(X, 4, 1, b"k\xff", ONE, 2_000_000)], 4))
    with FakeNode(pages) as node, Client(node.listen) as client:
        (change,) = client.watch(b"k", since=encode_token("c", {})).poll(1)
        assert change.key == b"k\xff"
        assert change.expires_at is not None and change.expires_at.timestamp() == 2


def test_a_token_goes_on_after_its_change_and_never_in_the_middle_of_a_write():
    events = [(X, 4, 1, b"a"), (Y, 2, 2, b"a"), (Y, 2, 2, b"b"), (X, 5, 3, b"a")]
    with FakeNode(answering((events, 9))) as node, Client(node.listen) as client:
        watch = client.watch(since=encode_token("c", {X: 3, Y: 1}))
        changes = watch.poll(1)
        assert [seen(change.token) for change in changes] == [
            {X: 4, Y: 1},
            {X: 4, Y: 1},
            {X: 4, Y: 2},
            {X: 9},
        ]


def test_the_token_of_a_watch_is_after_what_was_taken():
    events = [(X, 1, 1, b"a"), (X, 2, 2, b"a")]
    with FakeNode(answering((events, 7), ([], 9))) as node, Client(node.listen) as client:
        watch = client.watch(since=encode_token("c", {}))
        tokens = [seen(watch.token)]
        for _ in events:
            next(watch)
            tokens.append(seen(watch.token))
        assert watch.poll() == []
        tokens.append(seen(watch.token))
        assert tokens == [{}, {X: 1}, {X: 7}, {X: 9}]


def test_what_comes_too_late_was_not_heard():
    """Else its token would move the watch on, and its changes would be missed."""
    late = []

    def answers(asked):
        if not late:
            late.append(asked.id)
            return []
        first = encode_answer(late[0], encode_token("c", {X: 1}), [("ok", [(X, 1, 1, b"a")])])
        again = encode_answer(asked.id, encode_token("c", {X: 1}), [("ok", [(X, 1, 1, b"a")])])
        return [first, again]

    with FakeNode(answers) as node, Client(node.listen, timeout_s=0.2) as client:
        watch = client.watch(since=encode_token("c", {}))
        with pytest.raises(TimedOut):
            watch.poll()
        assert [change.key for change in watch.poll(1)] == ["a"]
        assert [asked.token for asked in node.asked] == [{}, {}]


def test_a_log_that_starts_later_is_compacted():
    def answers(asked):
        return [encode_answer(asked.id, None, [("compacted", {X: 5})])]

    with FakeNode(answers) as node, Client(node.listen) as client:
        with pytest.raises(Compacted, match="then read the state anew") as raised:
            next(client.watch(since=encode_token("c", {})))
        assert raised.value.floor == {X: 5}


def test_before_that_is_raised_the_other_nodes_are_asked():
    def answers(asked):
        return [encode_answer(asked.id, None, [("compacted", {X: 5})])]

    with FakeNode(answers) as short, FakeNode(answering(([(X, 1, 1, b"a")], 1))) as long:
        with Client(short.listen, long.listen) as client:
            assert next(client.watch(since=encode_token("c", {}))).key == "a"
        assert (len(short.asked), len(long.asked)) == (1, 1)
    with FakeNode(answers) as one, FakeNode(answers) as other:
        with Client(one.listen, other.listen) as client, pytest.raises(Compacted):
            next(client.watch(since=encode_token("c", {})))
        assert (len(one.asked), len(other.asked)) == (1, 1)


@pytest.mark.parametrize("events", [7, [7], [(X, 1)], [(X, 1, 1, 2)]])
def test_what_is_no_event_is_an_error(events):
    with FakeNode(answering((events, 1))) as node, Client(node.listen) as client:
        watch = client.watch(since=encode_token("c", {}))
        with pytest.raises(UnreadableAnswer):
            watch.poll(1)


def test_a_watch_that_is_over_is_over():
    with FakeNode(silent) as node, Client(node.listen) as client:
        with client.watch(since=encode_token("c", {})) as watch:
            pass
        for ask in (watch.poll, lambda: next(watch)):
            with pytest.raises(InvalidRequest, match="over"):
                ask()
        with pytest.raises(InvalidRequest, match="no session token"):
            client.watch(since="%%%")


# --- real nodes


def test_a_watch_sees_each_change_of_its_prefix_in_order(trio):
    with trio["X"].client() as client, trio["Y"].client() as reader:
        watch = reader.watch("user/")
        client.put("user/1", 1)
        client.put("other", 1)
        client.put_many({"user/2": 2, "user/3": 3})
        client.delete("user/1")
        found = [next(watch) for _ in range(4)]
        assert [(it.key, it.value) for it in found] == [
            ("user/1", 1), ("user/2", 2), ("user/3", 3), ("user/1", None),
        ]  # fmt: skip
        assert reader.get("user/1") is None, "its session has seen the delete"


def test_a_filtered_watch_gets_on_though_nothing_of_its_prefix_comes(trio):
    with trio["X"].client() as client:
        watch = client.watch("never/")
        client.put("other", 1)
        assert watch.poll() == []
        assert seen(watch.token) == seen(client.token)


def test_what_expires_is_told_when_it_is_put(trio):
    with trio["X"].client() as client:
        watch = client.watch("lease")
        client.put("lease", 1, ttl_s=0.001)
        until("it has expired", lambda: client.get("lease") is None)
        (change,) = watch.poll(5)
        assert change.value == 1 and change.expires_at is not None
        assert watch.poll() == []


def test_a_watch_goes_on_at_another_node_where_its_own_is_killed(make_cluster):
    """In the middle of a stream: nothing missed, nothing twice, nothing before its cause."""
    with make_cluster("XYZ") as cluster:
        cluster.wait_for_mesh()
        nodes = [cluster[name].listen for name in "ZYX"]
        with cluster["X"].client() as writer, Client(*nodes, timeout_s=20) as client:
            watch = client.watch("n/")
            written = []

            def write():
                for at in range(300):
                    with cluster["XY"[at % 2]].client(writer.token) as other:
                        other.put(f"n/{at}", at)
                        writer._seen.merge(other.token)
                    written.append(at)

            thread = threading.Thread(target=write)
            thread.start()
            until("some are written", lambda: len(written) > 50)
            found = [next(watch).value for _ in range(50)]
            cluster["Z"].stop(signal.SIGKILL)
            found += [next(watch).value for _ in range(250)]
            thread.join()
            assert found == list(range(300)), "each saw the one before"
            assert client.address != cluster["Z"].listen


def test_a_value_that_can_not_be_read_spoils_its_change_alone():
    """Python can't have a list as a key of a map; another client's language may."""
    events = [(X, 1, 1, b"a", ONE), (X, 2, 2, b"b", b"\x81\x90\x01"), (X, 3, 3, b"c", ONE)]
    with FakeNode(answering((events, 3))) as node, Client(node.listen) as client:
        one, bad, other = client.watch(since=encode_token("c", {})).poll(1)
        assert (one.value, other.value) == (1, 1)
        assert isinstance(bad.value, UnreadableValue) and bad.value.key == "b"
        assert repr(bad) == f"<Change: 'b' is put by {X}:2>"


def test_a_poll_goes_on_where_a_filter_has_skipped_much():
    pages = ([], 5), ([], 9), ([(X, 10, 1, b"a")], 10)
    with FakeNode(answering(*pages)) as node, Client(node.listen) as client:
        (change,) = client.watch("a", since=encode_token("c", {})).poll(30)
        assert change.key == "a" and len(node.asked) == 3
