"""Peers that are known by names, where nobody can say what these stand for."""

from __future__ import annotations

import select
import socket
import time
from contextlib import suppress
from functools import partial
from threading import Thread

import pytest
import zmq

from kvnode.cli.cluster import PATIENCE_S, LocalNode, until
from kvnode.client.sync import Client
from kvnode.codec.client import Introduction
from kvnode.core.messages import Inputs
from kvnode.daemon.links import Links
from kvnode.daemon.logs import Complaints
from kvnode.daemon.mesh import Mesh
from kvnode.daemon.names import ASK_AGAIN_US, Names
from tests.conftest import FLAGS, start_with_data
from tests.daemon.fake_peer import FakePeer
from tests.names import is_asked

#: A name is asked for twice, five seconds each: this is well below what is left of that.
AT_ONCE_S = 4


@pytest.fixture
def start_with(tmp_path, alone_with):
    """Starts a node that has a file of its own in place of one of the machine's."""
    started = []

    def start_with(place, text, *peers):
        node = LocalNode("X", tmp_path, FLAGS, prefix=alone_with(place, text))
        node.peers = list(peers)
        started.append(node)
        start_with_data(node)
        return node

    yield start_with
    for node in started:
        if node.process is not None:
            node.stop()


@pytest.fixture
def start_lost(name_server, start_with):
    """Starts a node that asks this name server for a peer, and has these others."""
    address, _ = name_server.getsockname()
    return partial(
        start_with, "/etc/resolv.conf", f"nameserver {address}\n", "tcp://peer.example.net:7411"
    )


def test_clients_are_answered_while_the_node_asks_for_a_name_in_vain(name_server, start_lost):
    lost = start_lost()
    is_asked(name_server)
    with Client(lost.listen, timeout_s=AT_ONCE_S, wait_s=0) as client:
        for n in range(10):
            client.put(f"k/{n}", n)
        assert client.count("k/") == 10


def test_a_node_that_asks_for_a_name_in_vain_ends_at_once(name_server, start_lost):
    lost = start_lost()
    is_asked(name_server)
    until("it answers", lambda: lost.status())
    started = time.monotonic()
    assert lost.stop() == 0
    assert time.monotonic() - started < AT_ONCE_S


def test_a_node_that_asks_for_a_name_in_vain_hears_those_whom_it_can_reach(
    name_server, start_lost, make_node
):
    other = make_node("Y")
    other.start()
    lost = start_lost(other.listen)
    is_asked(name_server)
    until("both are members", lambda: len(other.status()["peers"]) == 1 and lost.status()["vector"])
    for n in range(20):
        with lost.client() as client:
            client.put("k", n)
            token = client.token
        with Client(other.listen, token=token, timeout_s=AT_ONCE_S, wait_s=AT_ONCE_S) as client:
            assert client.get("k") == n
            client.put("l", n)
            token = client.token
        with Client(lost.listen, token=token, timeout_s=AT_ONCE_S, wait_s=AT_ONCE_S) as client:
            assert client.get("l") == n


def test_a_peer_whose_host_moves_is_followed(start_with, tmp_path):
    """Whatever it is called: no part of the address but the host may be taken for the host."""
    with FakePeer() as peer:
        port = peer.listen.rpartition(":")[2]
        peer.gossip = peer.gossip.replace("127.0.0.1", "tcp")
        node = start_with("/etc/hosts", "127.0.0.2 tcp\n", f"tcp://tcp:{port}")
        until("it is looked for", lambda: node.status()["peers"])
        assert node.status()["peers"][0]["name"] is None, "nobody is there"
        (tmp_path / "hosts").write_text("127.0.0.1 tcp\n")
        peer.until_heard(node)


def test_a_peer_whose_host_nobody_knows_is_told_and_known_later(start_with, tmp_path):
    with FakePeer() as peer:
        port = peer.listen.rpartition(":")[2]
        node = start_with("/etc/hosts", "", f"tcp://peer.invalid:{port}")
        until("it says so", lambda: node.status()["complaints"].get("unknown_hosts"))
        assert "unknown hosts: peer.invalid: " in node.log.read_text()
        (tmp_path / "hosts").write_text("127.0.0.1 peer.invalid\n")
        peer.until_heard(node)


def test_a_name_is_reached_once_it_is_known_and_a_number_at_once():
    names = Names(Complaints())
    assert names.numbers("tcp://127.0.0.2:7411") == ("tcp://127.0.0.2:7411",)
    assert names.numbers("tcp://localhost:7411") == ()
    assert select.select([names.answered], [], [], PATIENCE_S)[0]
    assert names.receive()
    assert names.numbers("tcp://localhost:7411")[0] == "tcp://127.0.0.1:7411"
    names.close()


def test_a_host_is_asked_for_again_after_a_while_and_has_moved_only_if_it_has():
    names = Names(Complaints())
    names.numbers("tcp://localhost:1")
    for steady_us, asks in ((ASK_AGAIN_US, True), (2 * ASK_AGAIN_US - 1, False)):
        until("nobody is asked", lambda: names.receive() is not None and not names._asking)
        names.ask_again("tcp://localhost:2", steady_us)
        assert bool(names._asking) is asks
    names.close()


def test_where_no_thread_can_be_started_the_host_is_unknown_until_one_can(monkeypatch):
    def no_more(self):
        raise RuntimeError("can't start new thread")

    complaints = Complaints()
    names = Names(complaints)
    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", no_more)
        assert names.numbers("tcp://localhost:1") == ()
        assert not names.receive()
    assert complaints.counts["unknown_hosts"] == 1
    names.ask_again("tcp://localhost:1", ASK_AGAIN_US)
    until("it is asked for, and answered", names.receive)
    assert names.numbers("tcp://localhost:1")[0] == "tcp://127.0.0.1:1"
    names.close()


@pytest.fixture
def mesh(fake):
    """One whose only peer that is."""
    with zmq.Context() as context:
        mesh = Mesh(
            context,
            zmq.Poller(),
            Introduction("kvnode", "X", 7, "tcp://127.0.0.1:1", "tcp://127.0.0.1:2", None),
            (fake.listen,),
            Links(),
            Complaints(),
            endpoint="",
            heartbeat_us=10_000,
        )
        yield mesh
        mesh.close()


def test_a_peer_that_gossips_elsewhere_each_time_leaves_no_hosts(mesh, fake):
    (peer,) = mesh.peers

    def follows():
        now_us = time.monotonic_ns() // 1000
        mesh.greet(None, now_us)
        mesh.receive_answers(peer, Inputs(), now_us, 1000)
        return peer.greeting is not None and peer.greeting.gossip_address == fake.gossip

    for number in range(5):
        fake.gossip = f"tcp://host{number}.invalid:1"
        until("it follows", follows)
    assert mesh.names._known.keys() == {"host4.invalid"}


def test_a_host_that_is_nobodys_any_more_is_forgotten():
    names = Names(Complaints())
    for address in ("tcp://localhost:1", "tcp://localhost.:1"):
        names.numbers(address)
    names.keep(["tcp://localhost:7", "tcp://127.0.0.1:7", "nonsense"])
    assert names._known.keys() == {"localhost"}
    names.close()


# --- a name with several numbers, as a headless service's, and a load balancer


@pytest.fixture
def start_at(tmp_path, alone_with):
    """Starts nodes at one port of several numbers, which all join by one name of all of these."""
    started = []

    def start_at(hosts, *numbers, name="kv.example", has_data=False):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        prefix = alone_with("/etc/hosts", "".join(f"{number} {name}\n" for number in hosts))
        for number in numbers:
            listen, gossip = f"tcp://{number}:{port}", f"tcp://{number}:{port + 1}"
            node = LocalNode(
                f"N{number}", tmp_path, FLAGS, prefix=prefix, addresses=(listen, gossip)
            )
            node.peers = [f"tcp://{name}:{port}"]
            started.append(node)
            (start_with_data if has_data else LocalNode.start)(node)
        return started

    yield start_at
    for node in started:
        if node.process is not None:
            node.stop()


NUMBERS = ("127.0.77.2", "127.0.77.3", "127.0.77.4")


def test_all_numbers_of_a_name_are_tried_though_the_first_leads_to_the_node_itself(start_at):
    """The resolver has one order for all, so one node meets itself first, and one another."""
    nodes = start_at(NUMBERS, *NUMBERS)
    names = {node.name for node in nodes}
    for node in nodes:
        until("all are members", lambda node=node: node.knows(names))
        until("all are accounted for", lambda node=node: node.status()["unheard"] == [])


def test_a_dead_number_of_a_name_is_told_and_the_others_are_heard(start_at):
    one, other = start_at(NUMBERS, *NUMBERS[:2], has_data=True)
    for node in (one, other):
        until("both are members", lambda node=node: node.knows({one.name, other.name}))
    (dead,) = until(
        "the others are heard",
        lambda: next((it for it in [one.status()["unheard"]] if len(it) == 1), None),
    )
    assert NUMBERS[2] in dead["address"]
    assert dead["reason"].startswith("never answered")


def test_a_number_that_a_name_gets_later_is_tried(start_at, tmp_path):
    one, other = start_at(NUMBERS[:1], *NUMBERS[:2])
    until("it leads to itself, and to nobody else", lambda: one.status()["unheard"] == [])
    with (tmp_path / "hosts").open("a") as hosts:  # the file that is mounted, in place
        hosts.write(f"{NUMBERS[1]} kv.example\n")
    for node in (one, other):
        until("both are members", lambda node=node: node.knows({one.name, other.name}))


def test_a_load_balancer_that_leads_to_the_node_itself_at_first_is_tried_again(make_node):
    """Each connection over a balancer leads elsewhere; a node may meet itself any number of
    times."""
    x, y = make_node("X"), make_node("Y")
    with Balancer(x.listen, x.listen, x.listen, y.listen) as balancer:
        x.peers = [balancer.listen]
        x.start()
        y.start()
        for node in (x, y):
            until("both are members", lambda node=node: node.knows({"X", "Y"}))
    assert "ERROR" not in x.log.read_text()


class Balancer:
    """Leads each connection to the next of some addresses, the last one from then on."""

    def __init__(self, *addresses):
        self._ways = [(host, int(port)) for host, port in map(_host_and_port, addresses)]
        self._server = socket.create_server(("127.0.0.1", 0))
        self.listen = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = Thread(target=self._accept, daemon=True)
        self._open = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                caller, _ = self._server.accept()
                way = self._ways.pop(0) if len(self._ways) > 1 else self._ways[0]
                try:
                    callee = socket.create_connection(way)
                except OSError:
                    caller.close()
                    continue
                self._open += [caller, callee]
                for one, other in ((caller, callee), (callee, caller)):
                    Thread(target=_forward, args=(one, other), daemon=True).start()


def _host_and_port(address):
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return host, port


def _forward(one, other):
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
