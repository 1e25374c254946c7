"""What a client raises when things go wrong, and that it goes on afterwards."""

from __future__ import annotations

import datetime
import math
import socket
import time

import msgpack
import pytest
import zmq

from kvnode import (
    Client,
    CommitFailed,
    DefiniteError,
    IndefiniteError,
    InvalidRequest,
    KvnodeError,
    Overloaded,
    Refused,
    SessionLost,
    TimedOut,
    Unavailable,
    Unreachable,
    Unsupported,
)
from kvnode.cli.cluster import until
from kvnode.codec.token import encode_token
from kvnode.core.limits import VALUE_BYTES_MAX
from kvnode.core.vector import new_origin
from tests.client.fake_node import FakeNode, answering, mute, silent

ORIGIN = new_origin("X", 1, 1)
ENDLESS = []
ENDLESS.append(ENDLESS)

# What a client can't send; the call is made with a client.
INVALID = {
    "an object": lambda client: client.put("k", object()),
    "a set": lambda client: client.put("k", {1}),
    "a date": lambda client: client.put("k", datetime.date(2026, 1, 1)),
    "too large an integer": lambda client: client.put("k", 2**64),
    "too small an integer": lambda client: client.put("k", -(2**63) - 1),
    "an endless list": lambda client: client.put("k", ENDLESS),
    "half a character": lambda client: client.put("k", "\ud800"),
    "a value too large": lambda client: client.put("k", bytes(VALUE_BYTES_MAX)),
    "an empty key": lambda client: client.get(""),
    "a number as key": lambda client: client.get(5),
    "a key too long": lambda client: client.delete(4097 * "k"),
    "half a character as key": lambda client: client.read("\ud800"),
    "a key of kvnode's own": lambda client: client.get("\0kvnode/member/X"),
    "a name that is none": lambda client: client.forget("a~b"),
    "a name in bytes": lambda client: client.forget(b"X"),
    "a negative wait": lambda client: client.get("k", wait_s=-1),
    "a wait too long": lambda client: client.get("k", wait_s=601),
    "a wait without end": lambda client: client.get("k", wait_s=math.inf),
    "no number to wait": lambda client: client.get("k", wait_s=math.nan),
}

CODES = {
    "malformed": InvalidRequest,
    "too_large": InvalidRequest,
    "unknown_operation": Unsupported,
    "wrong_version": Unsupported,
    "overloaded": Overloaded,
    "refused": Refused,
    "wrong_cluster": Refused,
    "unavailable": Unavailable,
    "joining": Unavailable,
    "clock_exhausted": Unavailable,
    "commit_failed": CommitFailed,
    "a code of tomorrow": DefiniteError,
}

GARBAGE = {
    "garbage": b"\xc1",
    "no answer": msgpack.packb([]),
    "no result": msgpack.packb([1, None, []]),
    "two results": msgpack.packb([1, None, [["ok", []], ["ok", []]]]),
    "a result in words": msgpack.packb([1, None, ["ok"]]),
    "ok and nothing": msgpack.packb([1, None, [["ok"]]]),
    "ok and a number": msgpack.packb([1, None, [["ok", 5]]]),
    "a short version": msgpack.packb([1, None, [["ok", [[1]]]]]),
    "a strange status": msgpack.packb([1, None, [["fine", []]]]),
    "a short error": msgpack.packb([1, None, [["error", "unavailable"]]]),
    "delayed for nothing": msgpack.packb([1, None, [["delayed", "so", {}, {}, [1]]]]),
}


def nobodys_address():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.parametrize("call", INVALID.values(), ids=INVALID)
def test_what_can_never_succeed_is_refused_and_not_sent(call):
    with FakeNode(answering(("ok", "X"))) as node, Client(node.listen) as client:
        with pytest.raises(InvalidRequest):
            call(client)
        client.ping()
        assert len(node.asked) == 1


@pytest.mark.parametrize("token", [b"", b"\xc1", b"garbage", msgpack.packb(["kvnode", []])])
def test_a_garbage_token_is_refused_at_once(token):
    with pytest.raises(InvalidRequest, match="no session token"):
        Client(token=token)


def test_where_nobody_listens_nothing_is_sent():
    start = time.monotonic()
    client = Client(nobodys_address(), timeout_s=0.1, wait_s=60)
    with client, pytest.raises(Unreachable, match=client.address):
        client.put("k", "v")
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_where_nobody_listens_that_is_told_at_once_with_a_hint(host):
    port = nobodys_address().rpartition(":")[2]
    start = time.monotonic()
    with Client(f"{host}:{port}", timeout_s=600) as client:
        for _ in range(3):
            hint = f"{host}:{port}: it was refused, .*is a node running at that address"
            with pytest.raises(ConnectionError, match=hint):
                client.get("k")
        with FakeNode(answering(("ok", "X")), port=port):
            assert client.ping() == "X", "and it is tried anew"
    assert time.monotonic() - start < 60


def test_where_something_listens_and_says_nothing_that_is_told_in_the_end_with_a_hint():
    hint = "within 0.1 s; is a node running at that address"
    with mute() as address:
        client = Client(address, timeout_s=0.1)
        with client, pytest.raises(Unreachable, match=hint):
            client.get("k")


def test_what_is_no_node_is_told_at_once_too():
    with zmq.Context() as context, context.socket(zmq.PUB) as gossip:
        port = gossip.bind_to_random_port("tcp://127.0.0.1")
        client = Client(f"127.0.0.1:{port}", timeout_s=600)
        with client, pytest.raises(Unreachable, match="is that where a node takes requests"):
            client.ping()


def test_a_node_that_never_answers_may_have_done_it():
    with FakeNode(silent) as node, Client(node.listen, timeout_s=0.1, wait_s=0.1) as client:
        with pytest.raises(TimedOut, match=node.listen):
            client.put("k", "v")
        until("it came", lambda: node.asked)


def raised_by_put(node):
    with Client(node.listen) as client:
        try:
            client.put("k", "v")
        except KvnodeError as error:
            assert client.token is None
            return error
    return None


@pytest.mark.parametrize("code", CODES)
def test_every_error_code_has_its_class(code):
    kind = CODES[code]
    result = ("error", code, "what is wrong", kind is CommitFailed)
    with FakeNode(answering(result)) as node:
        error = raised_by_put(node)
    assert type(error) is kind and str(error) == "what is wrong"


def test_a_session_that_saw_what_nobody_has_any_more_can_go_on_without_it():
    result = ("lost", [(ORIGIN, 2, 3)], {ORIGIN: 1})
    token = encode_token("c", {ORIGIN: 3})
    with FakeNode(answering(result)) as node:
        with Client(node.listen, token=token) as client, pytest.raises(SessionLost) as raised:
            client.get("k")
        assert client.token == token, "it is for the caller to decide"
        assert raised.value.missing == [(ORIGIN, 2, 3)]
        assert f"{ORIGIN}:2-3" in str(raised.value)
        client = Client(node.listen, token=raised.value.token)
        with client, pytest.raises(SessionLost):
            client.get("k")
        assert [asked.token for asked in node.asked] == [{ORIGIN: 3}, {ORIGIN: 1}]


def test_an_unknown_code_that_may_have_happened_is_indefinite():
    result = ("error", "a code of tomorrow", "who knows", True)
    with FakeNode(answering(result)) as node:
        assert isinstance(raised_by_put(node), IndefiniteError)


def test_errors_are_definite_or_indefinite_and_never_both():
    definite = (InvalidRequest, Overloaded, Refused, Unavailable, Unreachable)
    assert all(issubclass(kind, DefiniteError) for kind in definite)
    assert all(issubclass(kind, IndefiniteError) for kind in (TimedOut, CommitFailed))
    assert not issubclass(DefiniteError, IndefiniteError)
    assert issubclass(DefiniteError, KvnodeError) and issubclass(IndefiniteError, KvnodeError)


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_a_garbage_answer_is_an_error_of_ours(garbage):
    def call(ask):
        with FakeNode(answers) as node, Client(node.listen, timeout_s=1) as client:
            ask(client)

    def answers(asked):
        """Each time with the id that was asked."""
        return [garbage.replace(b"\x93\x01", bytes([0x93, asked.id]), 1)]

    for ask in (lambda it: it.put("k", "v"), lambda it: it.get("k"), Client.status, Client.members):
        with pytest.raises(KvnodeError):
            call(ask)


def test_a_session_of_another_cluster_is_refused(trio):
    client = trio["X"].client(encode_token("elsewhere", {ORIGIN: 1}))
    with client, pytest.raises(Refused, match=r"'elsewhere'.*'kvnode'"):
        client.put("k", "v")
