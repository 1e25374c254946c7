"""What a node answers of itself, whatever its data does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import zmq

from kvnode.codec.batches import decode_batch, encode_batch
from kvnode.codec.client import Introduction
from kvnode.codec.records import MemberRecord, encode_member
from kvnode.codec.server import DROP, GOSSIP, Fault, Hello, Members, Ping, Position, Since, Status
from kvnode.core.batch import Change
from kvnode.core.members import member_key
from kvnode.core.vector import Dot
from kvnode.daemon.config import load
from kvnode.daemon.connections import Connections
from kvnode.daemon.links import Links
from kvnode.daemon.logs import Complaints
from kvnode.daemon.mesh import Mesh
from kvnode.daemon.questions import Questions
from kvnode.daemon.sink import Sink
from kvnode.errors import StorageError
from tests.daemon.recorded import HEARTBEAT_US, OTHER, Recorded

PROTOCOL = Path(__file__).parents[2] / "docs" / "PROTOCOL.md"
INSTANCE = 7
MUCH = 1 << 20


@pytest.fixture
def node():
    return Recorded()


@pytest.fixture
def complaints():
    return Complaints()


@pytest.fixture
def make(node, complaints):
    """Questions to a node that was started with these settings."""
    with zmq.Context() as context:
        meshes = []

        def make(**settings):
            about = Introduction("c", "X", INSTANCE, "tcp://x:1", "tcp://x:2", None)
            mesh = Mesh(
                context,
                zmq.Poller(),
                about,
                (),
                Links(),
                complaints,
                endpoint="",
                heartbeat_us=HEARTBEAT_US,
            )
            meshes.append(mesh)
            config = load({"name": "X", "cluster": "c"} | settings, {})
            connections = Connections({}, complaints)
            log = Sink(2, lambda _: b"")
            return Questions(config, INSTANCE, node.node, mesh, connections, complaints, log)

        yield make
        for mesh in meshes:
            mesh.close()


@pytest.fixture
def answer(make, node):
    """What a node with the usual settings answers."""
    questions = make()
    return lambda question: questions.answer(question, node.now_us)


def hello(cluster, record=None):
    return Hello(Introduction(cluster, "Y", 1, "tcp://y:1", "tcp://y:2", record))


def fill_the_disk(node):
    node.disk.full = True
    node.turn(node.put("k", "v"))


def break_the_disk(node):
    """It can't be read either."""
    node.broken["read after"] = StorageError("bad sector")
    fill_the_disk(node)


def test_a_ping_is_answered_with_the_name(answer):
    assert answer(Ping()) == ("ok", "X")
    assert answer(Position()) == ("ok", "X", 0)


def test_a_ping_tells_that_the_disk_fails(answer, node):
    fill_the_disk(node)
    status, code, message, maybe = answer(Ping())
    assert (status, code, maybe) == ("error", "unavailable", False)
    assert "no space left" in message


def test_a_pull_is_answered_with_what_the_asker_lacks(answer, node):
    node.turn(node.put("k", "v"))
    node.turn(node.put("k", "w"))
    (own,) = node.origins
    _, first_and_second = answer(Since({}, MUCH))
    assert len(first_and_second) == 2
    assert answer(Since({own: 1}, MUCH)) == ("ok", first_and_second[1:])
    assert answer(Since({own: 2, OTHER: 5}, MUCH)) == ("ok", [])


def test_a_pull_is_answered_while_the_disk_takes_no_writes(answer, node):
    node.turn(node.put("k", "v"))
    fill_the_disk(node)
    status, batches = answer(Since({}, MUCH))
    assert (status, len(batches)) == ("ok", 1)


def test_a_pull_fails_clearly_while_the_disk_does(answer, node):
    break_the_disk(node)
    status, code, _, maybe = answer(Since({}, MUCH))
    assert (status, code, maybe) == ("error", "unavailable", False)


def test_a_greeting_is_answered_with_who_and_where_one_is(make, node):
    questions = make(gossip="tcp://0.0.0.0:7412", advertise_gossip="tcp://x.example:7412")
    greeting = questions.answer(hello("c"), node.now_us)
    about = ("c", "X", INSTANCE, "tcp://x.example:7412")
    assert greeting == ("ok", *about, False, None, True)


def test_who_greets_from_another_cluster_is_refused_and_counted(answer, complaints):
    status, code, message, maybe = answer(hello("elsewhere"))
    assert (status, code, maybe) == ("error", "wrong_cluster", False)
    assert "'c'" in message and "'elsewhere'" in message
    assert complaints.counts == {"refused_peers": 1}


def test_links_are_cut_only_where_the_daemon_was_started_so(answer, make, node):
    fault = Fault("Y", GOSSIP, DROP)
    assert answer(fault)[:2] == ("error", "refused")
    assert make(allow_faults=True).answer(fault, node.now_us) == ("ok",)


def test_the_status_has_just_the_fields_that_the_protocol_document_lists(answer):
    section = PROTOCOL.read_text().partition("### Status")[2].partition("\n##")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    listed = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    _, status = answer(Status())
    assert sorted(status) == sorted(listed)


def test_the_status_is_told_while_the_disk_fails(answer, node):
    fill_the_disk(node)
    _, status = answer(Status())
    storage = status["storage"]
    assert (storage["serving"], storage["writable"], status["name"]) == (True, False, "X")


def record_of_y(seq, *change):
    """What Y writes of itself."""
    write = (Change(member_key(OTHER), *change),)
    return decode_batch(encode_batch(OTHER, seq, {}, 1_000_000_000 + seq, (write,)))


def test_who_was_forgotten_is_told(answer, node):
    record = encode_member(MemberRecord("tcp://y:1", "tcp://y:2"))
    greeted = hello("c", Dot(OTHER, 1))
    assert answer(greeted)[-3] is False, "it may be that its record has not come yet"
    node.turn(batches=(record_of_y(1, record),))
    assert answer(greeted)[-3] is False
    node.turn(batches=(record_of_y(2, None),))
    assert answer(greeted)[-3] is True


def test_who_greets_under_this_nodes_name_is_refused_and_shown(make, node, complaints):
    questions = make()
    rival = Hello(Introduction("c", "X", INSTANCE + 1, "tcp://127.0.0.1:1", "tcp://x:2", None))
    assert questions.answer(rival, node.now_us)[:2] == ("error", "refused")
    assert complaints.counts == {"refused_peers": 1}
    _, status = questions.answer(Status(), node.now_us)
    assert [peer["address"] for peer in status["peers"]] == ["tcp://127.0.0.1:1"]


def test_members_are_told_with_what_is_known_of_them(answer, node):
    record = encode_member(MemberRecord("tcp://y:1", "tcp://y:2"))
    node.turn(batches=(record_of_y(1, record),))
    status, (x, y) = answer(Members())
    assert status == "ok"
    assert (x["name"], x["self"], x["origin"], x["alive"]) == ("X", True, None, True)
    pins = y.pop("pins")
    assert (pins["by"], pins["bytes"]) == ("Y", node.node.log_bytes)
    assert y == {
        "name": "Y",
        "self": False,
        "origin": OTHER,
        "addresses": ["tcp://y:1"],
        "peer": None,
        "alive": False,
        "silent_ms": None,
        "lag_updates": None,
    }


def test_a_record_that_nobody_can_read_is_told_as_such(answer, node):
    node.turn(batches=(record_of_y(1, b"\xc1"),))
    assert answer(Members())[1][1]["addresses"] == ["unreadable"]
