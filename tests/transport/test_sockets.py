"""Requests, answers and frames over real sockets on loopback."""

from __future__ import annotations

import pytest
import zmq

from kvnode.transport.sockets import (
    Return,
    bound,
    dealer,
    receive_frames,
    receive_request,
    send_answer,
    tcp_address,
)

#: Only a failure waits for so long.
PATIENCE_MS = 5_000


@pytest.fixture
def context():
    made = zmq.Context()
    yield made
    made.destroy(linger=0)


@pytest.fixture
def router(context):
    with bound(context, zmq.ROUTER, "tcp://127.0.0.1:*") as socket:
        yield socket


@pytest.fixture
def client(context, router):
    with dealer(context, router.getsockopt_string(zmq.LAST_ENDPOINT)) as socket:
        socket.setsockopt(zmq.SNDTIMEO, PATIENCE_MS)
        yield socket


def next_request(router):
    assert router.poll(PATIENCE_MS), "no request came"
    return receive_request(router)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("host:1", "tcp://host:1"),
        ("[::1]:1", "tcp://[::1]:1"),
        ("tcp://host:1", "tcp://host:1"),
        ("inproc://name", "inproc://name"),
    ],
)
def test_an_address_without_a_transport_is_tcp(text, address):
    assert tcp_address(text) == address


def test_without_a_request_there_is_none(router):
    assert receive_request(router) is None


@pytest.mark.parametrize("payload", [b"asked", b""])
def test_a_dealers_one_frame_is_a_request_and_its_answer_is_one_frame(client, router, payload):
    client.send(payload)
    to, received = next_request(router)
    assert (to.delimited, received) == (False, payload)
    assert send_answer(router, to, b"answered")
    assert client.poll(PATIENCE_MS)
    assert client.recv_multipart() == [b"answered"]


def test_a_req_asks_after_a_delimiter_and_gets_its_answer(context, router):
    with context.socket(zmq.REQ) as client:
        client.connect(router.getsockopt_string(zmq.LAST_ENDPOINT))
        client.send(b"asked")
        to, received = next_request(router)
        assert (to.delimited, received) == (True, b"asked")
        assert send_answer(router, to, b"answered")
        assert client.poll(PATIENCE_MS)
        assert client.recv_multipart() == [b"answered"]


@pytest.mark.parametrize("frames", [[b"a", b"b"], [b"a", b"b", b"c"], [b"", b"a", b"b"]])
def test_a_misframed_request_has_no_payload_and_the_next_one_is_whole(client, router, frames):
    client.send_multipart(frames)
    client.send(b"sound")
    assert next_request(router)[1] is None
    assert next_request(router)[1] == b"sound"


@pytest.mark.parametrize("delimited", [False, True])
def test_an_answer_to_nobody_is_not_sent(router, delimited):
    assert not send_answer(router, Return(b"unknown", delimited), b"answered")


def test_frames_come_in_the_right_number_or_as_an_empty_list(client, router):
    assert receive_frames(client, 2) is None
    client.send(b"asked")
    identity = next_request(router)[0].identity
    for frames in ([b"a"], [b"a", b"b"], [b"a", b"b", b"c", b"d"], [b"c", b"d"]):
        router.send_multipart([identity, *frames])
    received = []
    for _ in range(4):
        assert client.poll(PATIENCE_MS)
        received.append(receive_frames(client, 2))
    assert received == [[], [b"a", b"b"], [], [b"c", b"d"]]


@pytest.mark.parametrize("address", ["nonsense", "nonsense://host:1", "tcp://host"])
def test_an_address_that_cannot_be_is_an_error_of_zeromq(context, address):
    with pytest.raises(zmq.ZMQError):
        dealer(context, address)
    with pytest.raises(zmq.ZMQError):
        bound(context, zmq.PUB, address)
