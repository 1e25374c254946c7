"""Which nodes a client asks."""

from __future__ import annotations

import re

import pytest

from kvnode import AsyncClient, Client, InvalidRequest
from kvnode.client.addresses import addresses_of


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch):
    monkeypatch.delenv("KVNODE_NODE", raising=False)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("127.0.0.1:7411", "tcp://127.0.0.1:7411"),
        ("tcp://127.0.0.1:7421", "tcp://127.0.0.1:7421"),
        ("node.example", "tcp://node.example:7411"),
        ("tcp://node.example", "tcp://node.example:7411"),
        ("127.0.0.1", "tcp://127.0.0.1:7411"),
        ("[::1]", "tcp://[::1]:7411"),
        ("[2001:db8::1]:80", "tcp://[2001:db8::1]:80"),
    ],
)
def test_a_host_without_a_port_gets_the_usual_one(given, address):
    assert addresses_of([given]) == [address]


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        (["127.0.0.1", 7411], "as in Client('HOST:7411')"),
        (["127.0.0.1", "7411"], "as in 'HOST:7411'"),
        ([["a", "b"]], "an argument of its own, as in Client('a:7411', 'b:7411')"),
        ([("127.0.0.1", 7411)], "an argument of its own"),
        ([{"a", "b"}], "an argument of its own"),
        (["a:7411,b:7411"], "an argument of its own"),
        (["::1"], "write '[::1]:7411'"),
        ([None], "write 'HOST:PORT'"),
        ([b"127.0.0.1:7411"], "write 'HOST:PORT'"),
        ([""], "write 'HOST:PORT'"),
        (["tcp://"], "write 'HOST:PORT'"),
        (["host:"], "write 'HOST:PORT'"),
        (["host:port"], "write 'HOST:PORT'"),
        (["smoke://signals"], "write 'HOST:PORT'"),
        (["a*b:1"], "write 'HOST:PORT'"),
        (["[::::]:7411"], "write 'HOST:PORT'"),
        (["127.0.0.1:7411", "host:0"], "write 'HOST:PORT'"),
        (["host:65536"], "write 'HOST:PORT'"),
        (["*:7411"], "write 'HOST:PORT'"),
        (["http://host:7411"], "write 'HOST:PORT'"),
        (["ipc:///tmp/node"], "write 'HOST:PORT'"),
        (["two words"], "write 'HOST:PORT'"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_is_no_address_is_refused_with_the_right_way(kind, given, advice):
    with pytest.raises(InvalidRequest, match=f"no address of a node: .*{re.escape(advice)}"):
        kind(*given)


def test_who_gives_none_asks_those_of_the_environment(monkeypatch):
    assert addresses_of([]) == ["tcp://127.0.0.1:7411"]
    monkeypatch.setenv("KVNODE_NODE", "a, tcp://b:7421 ")
    assert addresses_of([]) == ["tcp://a:7411", "tcp://b:7421"]
    assert addresses_of(["c"]) == ["tcp://c:7411"], "what is given comes first"
    monkeypatch.setenv("KVNODE_NODE", "")
    assert addresses_of([]) == ["tcp://127.0.0.1:7411"]


def test_a_client_asks_the_node_of_the_environment(monkeypatch, trio):
    monkeypatch.setenv("KVNODE_NODE", trio["Y"].listen)
    with Client() as client:
        assert client.ping() == "Y" and client.address == trio["Y"].listen
    assert AsyncClient().address == trio["Y"].listen


def test_what_is_wrong_in_the_environment_is_told_by_its_name(monkeypatch):
    monkeypatch.setenv("KVNODE_NODE", "a:7411,,b:7411")
    with pytest.raises(InvalidRequest, match="KVNODE_NODE: '' is no address"):
        Client()
