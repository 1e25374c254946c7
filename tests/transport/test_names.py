"""Hosts that addresses name: which are names, and where they are."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Thread

import pytest

from kvnode.cli.cluster import PATIENCE_S
from kvnode.transport.names import at, host_of, look_up, named_host

#: Addresses, their hosts, and whether these go by names.
ADDRESSES = [
    ("tcp://localhost:7411", "localhost", True),
    ("tcp://kvnode-0.kvnode-peers:7411", "kvnode-0.kvnode-peers", True),
    ("tcp://tcp:65535", "tcp", True),
    ("tcp://127.0.0.1:7411", "127.0.0.1", False),
    ("tcp://[::1]:7411", "[::1]", False),
    ("tcp://[fe80::1%eth0]:7411", "[fe80::1%eth0]", False),
    ("tcp://*:7411", "*", False),
    ("tcp://localhost:0", None, False),
    ("tcp://localhost:65536", None, False),
    ("tcp://127.0.0.1:99999", None, False),
    ("tcp://[::::]:7411", None, False),
    ("tcp://[127.0.0.1]:7411", None, False),
    ("tcp://[::1%\n]:7411", None, False),
    ("tcp://[name]:7411", None, False),
    ("tcp://:7411", None, False),
    ("tcp://::1:7411", None, False),
    ("tcp://two words:7411", None, False),
    ("localhost:7411", None, False),
    ("ipc://localhost:7411", None, False),
    ("", None, False),
]


@pytest.mark.parametrize(("address", "host", "is_named"), ADDRESSES)
def test_only_what_has_a_host_and_a_port_is_an_address_and_only_names_are_looked_up(
    address, host, is_named
):
    assert host_of(address) == host
    assert named_host(address) == (host if is_named else None)


@pytest.mark.parametrize("number", ["127.0.0.1", "[::1]"])
def test_a_number_takes_the_place_of_the_name_and_of_nothing_else(number):
    assert at(number, "tcp://tcp:7411") == f"tcp://{number}:7411"


def looked_up(host):
    answers = SimpleQueue()
    look_up(host, answers.put)
    return answers.get(timeout=PATIENCE_S)


def test_a_host_is_where_the_machine_says():
    assert looked_up("localhost") == "127.0.0.1"


@pytest.mark.parametrize("host", [".", "a" * 64, "two..dots"])
def test_what_can_be_no_name_is_told_as_unknown(host):
    assert isinstance(looked_up(host), OSError)


def test_where_no_thread_can_be_started_a_host_is_unknown(monkeypatch):
    def no_more(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", no_more)
    assert looked_up("localhost").strerror == "can't start new thread"
