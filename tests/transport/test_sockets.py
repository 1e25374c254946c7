"""Requests, answers and frames over real sockets on loopback."""

from __future__ import annotations

import os
import socket
import struct

import pytest
import zmq

from kvnode.transport import sockets
from kvnode.transport.sockets import (
    PROBE_TIMEOUT_S,
    Return,
    bound,
    dealer,
    receive_frames,
    receive_request,
    send_answer,
    tcp_address,
)
from tests.daemon.slow_link import SlowLink

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


# --- connections that fall silent


@pytest.mark.parametrize("kind", [zmq.ROUTER, zmq.PUB])
def test_the_kernel_sees_to_it_that_the_other_side_is_there_on_both_ends(context, kind):
    with bound(context, kind, "tcp://127.0.0.1:*") as listening:
        accepted = listening.get_monitor_socket(zmq.EVENT_ACCEPTED)
        address = listening.getsockopt_string(zmq.LAST_ENDPOINT)
        connecting = sockets._socket(context, zmq.SUB if kind == zmq.PUB else zmq.DEALER)
        connected = connecting.get_monitor_socket(zmq.EVENT_CONNECTED)
        sockets.connect(connecting, address)
        for monitor in (accepted, connected):
            assert monitor.poll(PATIENCE_MS)
            event, _ = monitor.recv_multipart()
            _, descriptor = struct.unpack("=hi", event)
            with socket.socket(fileno=os.dup(descriptor)) as end:
                assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                wait_ms = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert wait_ms == 1000 * PROBE_TIMEOUT_S
                idle_s, between_s, probes = (
                    end.getsockopt(socket.IPPROTO_TCP, option)
                    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
                )
                assert idle_s + probes * between_s == PROBE_TIMEOUT_S
        listening.disable_monitor()
        connecting.disable_monitor()
        for each in (accepted, connected, connecting):
            each.close(linger=0)


@pytest.mark.parametrize("is_request", [True, False])
def test_a_message_may_be_on_its_way_for_longer_than_a_silent_one_is_waited_for(
    context, is_request, monkeypatch
):
    monkeypatch.setattr(sockets, "PROBE_INTERVAL_S", 1)
    monkeypatch.setattr(sockets, "PROBE_TIMEOUT_S", 2)
    large = bytes(1_600_000)
    with (
        SlowLink(400_000) as link,
        bound(context, zmq.ROUTER, "tcp://127.0.0.1:*") as router,
        dealer(
            context, link.gate(router.getsockopt_string(zmq.LAST_ENDPOINT), is_request)
        ) as client,
    ):
        client.setsockopt(zmq.SNDTIMEO, PATIENCE_MS)
        client.send(large if is_request else b"?")
        assert router.poll(4 * PATIENCE_MS)
        to, payload = receive_request(router)
        assert payload == (large if is_request else b"?")
        assert send_answer(router, to, large)
        assert client.poll(4 * PATIENCE_MS)
        assert receive_frames(client, 1) == [large]
