"""The daemon's loop: what a turn reads, what it publishes, and what an end leaves."""

from __future__ import annotations

import logging
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from threading import Event

import pytest
import zmq

from kvnode.cli.cluster import PATIENCE_S, LocalNode, until
from kvnode.codec.batches import decode_batch
from kvnode.codec.client import PING, encode_request, get, put
from kvnode.codec.gossip import BATCH, decode_claim, decode_header
from kvnode.codec.snapshots import Part, encode_part
from kvnode.codec.token import decode_token
from kvnode.core.batch import Batch
from kvnode.core.continuity import TURN_US_MAX
from kvnode.core.limits import GOSSIP_BYTES_MAX
from kvnode.core.messages import Pull
from kvnode.core.vector import new_origin
from kvnode.daemon import loop
from kvnode.daemon.config import load
from kvnode.daemon.logs import LOGGER
from kvnode.daemon.loop import Daemon
from kvnode.daemon.node import Node
from kvnode.daemon.sink import Sink
from kvnode.storage.directory import DataDirectory
from kvnode.transport.sockets import connect, receive_frames, subscriber
from tests.daemon.raw import Raw


@pytest.fixture
def config(tmp_path):
    node = LocalNode("X", tmp_path, [])  # never started: it holds the ports
    settings = {"name": "X", "data": node.data, "listen": node.listen, "gossip": node.gossip}
    yield load(settings | {"heartbeat_ms": 50}, {})


@pytest.fixture
def directory(config):
    directory = DataDirectory(config.data, name=config.name, cluster=config.cluster)
    yield directory
    directory.close()


@contextmanager
def running(config, directory):
    """A daemon in a thread of this process. In the end it is woken up to stop."""
    ours, wake_up = socket.socketpair()
    with ours, wake_up, ThreadPoolExecutor(1) as pool:
        daemon = pool.submit(lambda: Daemon(config, directory, Sink(2, lambda _: b"")).run(wake_up))
        try:
            yield
        finally:
            ours.send(b"\0")
            daemon.result(PATIENCE_S)


@pytest.mark.parametrize("bound", ["REQUESTS_PER_TURN", "RECEIVED_BYTES_PER_TURN"])
def test_requests_beyond_the_bounds_of_a_turn_are_served_in_the_next(
    bound, config, directory, monkeypatch
):
    monkeypatch.setattr(loop, bound, 1)
    with running(config, directory), Raw(config) as raw:
        for number in range(50):
            raw.send(encode_request(number, None, 0, [put(b"k", b"%d" % number), get(b"k")]))
        answers = [raw.answer() for _ in range(50)]
    assert [answer.id for answer in answers] == list(range(50))
    seen = [answer.results[1][1][0][3] for answer in answers]
    assert seen == [b"%d" % number for number in range(50)]


def test_small_batches_are_published_before_they_are_claimed_and_large_ones_only_claimed(
    config, directory
):
    with (
        running(config, directory),
        zmq.Context() as context,
        subscriber(context) as peer,
        Raw(config) as raw,
    ):
        connect(peer, config.gossip)

        def heard():
            assert peer.poll(PATIENCE_S * 1000), "nothing was published"
            head, body = receive_frames(peer, 2)
            header = decode_header(head)
            return decode_batch(body) if header.kind == BATCH else decode_claim(header, body)

        def batches_until_claimed(seq):
            batches = []
            while isinstance(item := heard(), Batch) or seq not in item.delivered.values():
                batches += [item.first] if isinstance(item, Batch) else []
            return batches

        heard()  # it is subscribed now
        batches_until_claimed(1)  # its member record
        raw.ask(put(b"k", b"small"))
        assert batches_until_claimed(2) == [2]
        raw.ask(put(b"k", bytes(GOSSIP_BYTES_MAX)))
        assert batches_until_claimed(3) == []


def test_a_daemon_that_has_ended_leaves_its_ports_and_its_data_to_the_next(config, directory):
    for start in range(3):
        with running(config, directory), Raw(config) as raw:
            _, _, ((_, versions, _), *_) = raw.ask(get(b"starts"), put(b"starts", b"%d" % start))
            assert [version[3] for version in versions] == [
                b"%d" % before for before in range(start)
            ][-1:]


@pytest.mark.parametrize("taken", ["listen", "gossip"])
def test_a_daemon_that_finds_a_port_taken_leaves_the_rest_to_the_next(taken, config, directory):
    with zmq.Context() as context, context.socket(zmq.PULL) as squatter:
        squatter.bind(getattr(config, taken))
        with pytest.raises(zmq.ZMQError, match="in use"):
            Daemon(config, directory, Sink(2, lambda _: b""))
    with running(config, directory), Raw(config) as raw:
        assert raw.ask(PING).results == [["ok", "X"]]


@pytest.mark.parametrize(
    ("given", "levels", "told"),
    [
        ({}, [], ""),
        (
            {"advertise_listen": "public.example:1"},
            ["INFO"],
            r"others .* at tcp://public\.example:1, and its gossip at tcp://",
        ),
        (
            {"listen": "tcp://0.0.0.0:{}"},
            ["WARNING"],
            r"others .* at tcp://rack4:\d+, and .* host's name; .*set --advertise-listen$",
        ),
    ],
    ids=["where it listens", "where it is told", "where it is guessed"],
)
def test_the_log_says_where_others_are_told_to_reach_the_node(
    given, levels, told, config, directory, caplog, monkeypatch
):
    monkeypatch.setattr("socket.gethostname", lambda: "rack4")
    caplog.set_level(logging.INFO, LOGGER.name)
    port = config.listen.rpartition(":")[2]
    settings = {"name": "X", "data": config.data, "listen": config.listen, "gossip": config.gossip}
    given = {name: value.format(port) for name, value in given.items()}
    config = load(settings | {"heartbeat_ms": 50} | given, {})
    with running(config, directory), Raw(config) as raw:
        raw.send(encode_request(1, None, 0, [PING]))
        raw.answer()
    found = [it for it in caplog.records if it.getMessage().startswith("others are told")]
    assert [it.levelname for it in found] == levels
    assert all(re.match(told, it.getMessage()) for it in found)


@pytest.fixture
def unasked(monkeypatch):
    """Whom each turn is told that there was no way to ask."""
    unasked = []
    turn = Node.turn

    def noted(node, inputs, now, outbox):
        unasked.append(list(inputs.unasked))
        turn(node, inputs, now, outbox)

    monkeypatch.setattr(Node, "turn", noted)
    return unasked


def test_a_peer_that_is_heard_and_can_not_be_asked_is_told_of_in_the_next_turn(
    config, directory, fake, unasked
):
    """And only in that."""
    origin = new_origin("F", 1, 1)

    def claims(happens):
        fake.claim({origin: 1})
        return happens()

    with running(replace(config, join=(fake.listen,)), directory):
        until("it is asked", lambda: claims(lambda: fake.pulls))
        fake.stop_listening()
        until("the turn is told", lambda: claims(lambda: ["F"] in unasked))
    assert unasked[unasked.index(["F"]) + 1] == []


def test_a_snapshot_goes_on_when_its_connection_is_back(config, directory, fake, unasked):
    """What has come of it is not asked for again."""
    origin = new_origin("F", 1, 1)
    first, second = (None, b""), (7, b"tk")
    part = encode_part(Part(7, b"", 1, 1, [], [], b"tk"))
    fake.fetched = lambda asked: part if asked.number is None else None

    def claims(happens):
        fake.claim({origin: 1}, floor={origin: 1})
        return happens()

    with running(replace(config, join=(fake.listen,), heartbeat_ms=500), directory):
        until("more is asked for", lambda: claims(lambda: second in fake.fetches))
        fake.stop_listening()
        until("it can't be asked", lambda: claims(lambda: ["F"] in unasked))
        before = fake.fetches.count(second)
        fake.listen_again()
        until("it is", lambda: claims(lambda: fake.fetches.count(second) > before))
    assert fake.fetches.count(first) == 1


#: After so many turns a node that has just been founded has nothing to do by itself.
TURNS_UNTIL_IDLE = 10


def test_the_next_turn_comes_at_once_where_there_was_no_way_to_ask_a_peer(
    config, directory, monkeypatch
):
    """And does not wait for the next heartbeat."""
    config = replace(config, heartbeat_ms=60_000)
    told = Event()
    turn = Node.turn
    turns = count()

    def asking(node, inputs, now, outbox):
        turn(node, inputs, now, outbox)
        if inputs.unasked == ["F"]:
            told.set()
        elif next(turns) == TURNS_UNTIL_IDLE:
            outbox.pull(Pull("F", {}))

    monkeypatch.setattr(Node, "turn", asking)
    with running(config, directory), Raw(config) as raw:
        for _ in range(TURNS_UNTIL_IDLE):
            raw.ask(PING)
        assert told.wait(PATIENCE_S)


def test_a_daemon_that_misses_time_goes_on_as_a_new_incarnation(config, directory, monkeypatch):
    missing_us = [0]
    now = loop._now
    monkeypatch.setattr(
        loop, "_now", lambda: now()._replace(steady_us=now().steady_us + missing_us[0])
    )

    with running(config, directory), Raw(config) as raw:
        tokens = [raw.ask(put(b"k", b"v")).token for _ in range(2)]
        missing_us[0] = 2 * TURN_US_MAX
        tokens += [raw.ask(put(b"k", b"v")).token for _ in range(2)]
    origins = [list(decode_token(token)[1]) for token in tokens]
    assert origins[0] == origins[1] != origins[2] == origins[3]
