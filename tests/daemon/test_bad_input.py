"""Whatever comes to a node's sockets: it is counted, and the node goes on with its work."""

from __future__ import annotations

import random
import socket

import pytest
import zmq

from kvnode.cli.cluster import until
from kvnode.codec.client import PING, encode_request, get, put
from kvnode.codec.packing import MESSAGE_BYTES_MAX
from kvnode.codec.token import encode_token
from kvnode.core.limits import KEY_BYTES_MAX, KIB, VALUE_BYTES_MAX
from kvnode.core.vector import new_origin
from kvnode.transport.sockets import ANSWERS_HIGH_WATER
from tests.daemon.raw import Raw

ORIGIN = new_origin("Z", 1, 1)


def bad_requests(node):
    return node.status()["complaints"].get("bad_requests", 0)


def serves(node):
    with node.client() as client:
        client.put("k", "v")
        return client.get("k") == "v"


def test_a_token_of_another_cluster_is_refused_and_counted(node):
    before = sum(node.status()["complaints"].values())
    with Raw(node) as raw:
        raw.send(encode_request(7, encode_token("elsewhere", {ORIGIN: 1}), 0, [get(b"k")]))
        id_, code, message = raw.error()
    assert (id_, code) == (7, "wrong_cluster")
    assert "'elsewhere'" in message and "'kvnode'" in message
    assert sum(node.status()["complaints"].values()) == before + 1


def test_the_largest_key_and_value_are_taken(node):
    key, value = bytes(KEY_BYTES_MAX), bytes(VALUE_BYTES_MAX)
    with Raw(node) as raw:
        raw.ask(put(key, value))
        ((_, ((_, _, _, found, _),), _),) = raw.ask(get(key)).results
    assert found == value


def test_a_request_between_the_greatest_message_and_the_greatest_frame_is_answered(node):
    with Raw(node) as raw:
        raw.send(bytes(2 * MESSAGE_BYTES_MAX))
        assert raw.error()[:2] == (None, "too_large")


def test_a_frame_beyond_all_limits_ends_its_connection_and_no_other(node):
    with Raw(node) as raw, Raw(node) as other:
        raw.send(bytes(2 * MESSAGE_BYTES_MAX + 1))
        assert other.ask(PING).results == [["ok", "X"]]
        assert not raw.socket.poll(100)
    assert serves(node)


def test_a_req_with_its_delimiter_is_answered_as_it_expects(node):
    with Raw(node, zmq.REQ) as raw:
        assert raw.ask(PING).results == [["ok", "X"]]
        raw.send(b"garbage")
        assert raw.error()[1] == "malformed"
        assert raw.ask(put(b"k", b"v")).results[0][0] == "ok"


def test_good_requests_among_bad_ones_are_served_in_their_order(node):
    with Raw(node) as raw:
        for number in range(100):
            raw.send(encode_request(number, None, 0, [PING]))
            raw.send(b"\xc1")
        answered = [raw.answer().id for _ in range(200)]
    assert [id_ for id_ in answered if id_ is not None] == list(range(100))


def test_2000_messages_of_garbage_are_counted_and_the_node_goes_on(node):
    rng = random.Random(2000)
    before = bad_requests(node)
    with Raw(node) as raw:
        for _ in range(2000):
            count = rng.choice([1, 1, 1, 2, 3])
            raw.send(*(rng.randbytes(rng.randrange(200)) for _ in range(count)))
        until("all are counted", lambda: bad_requests(node) == before + 2000)
    assert serves(node)
    assert "Traceback" not in node.log.read_text()


def test_mutilated_requests_do_no_harm(node):
    rng = random.Random(1)
    sound = encode_request(1, encode_token("kvnode", {ORIGIN: 1}), 5, [put(b"key", b"value")])
    with Raw(node) as raw:
        for _ in range(1000):
            broken = bytearray(sound)
            for _ in range(rng.randrange(1, 4)):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
            raw.send(bytes(broken[: rng.randrange(1, len(broken) + 1)]))
            raw.answer()
    assert serves(node)


def test_a_client_that_reads_no_answers_loses_them_and_harms_nobody(node):
    with Raw(node) as good, Raw(node, unread_max=1) as deaf:
        good.ask(put(b"large", bytes(16 * KIB)))
        for _ in range(2 * ANSWERS_HIGH_WATER + 2000):
            deaf.send(encode_request(1, None, 0, [get(b"large")]))
        until("answers are dropped", lambda: node.status()["complaints"].get("dropped_answers"))
        assert good.ask(PING).results == [["ok", "X"]]


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", bytes(64), b"\xff" + bytes(200), b""])
def test_what_is_not_even_zeromq_does_no_harm(sent, node):
    for address in (node.listen, node.gossip):
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(sent)
    assert serves(node)
