"""What a service manager is told, by a daemon and by what tells it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from kvnode.cli.cluster import PATIENCE_S, LocalNode, until
from kvnode.daemon.logs import LOGGER
from kvnode.daemon.supervisor import Supervisor
from tests.conftest import FLAGS
from tests.daemon.fake_peer import FakePeer

SECOND_US = 1_000_000

JOINS = "joins: its disk was empty, and it has not yet what its peers have"
WATCHDOG_MS = 200

#: A node that lives pings twice in the time of its watchdog; so long it is never silent.
SILENCE_S = 5 * WATCHDOG_MS / 1000


class Manager:
    """Somebody who listens at an address as systemd does."""

    def __init__(self, address):
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address[0] == "@" else address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def fill(self):
        """Have it take no more, as one that is too busy to read."""
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as others,
            suppress(BlockingIOError),
        ):
            while True:
                others.sendto(b"NOTHING=1", self._socket.getsockname())

    def told(self):
        """All that is told by now."""
        self._socket.settimeout(0)
        told = []
        while (one := self._next()) is not None:
            told.append(one)
        return told

    def next_told(self, patience_s=PATIENCE_S):
        """The next that is told; None if that takes too long."""
        self._socket.settimeout(patience_s)
        return self._next()

    def until_told(self, wanted):
        """What is told up to that, and that."""
        told = []
        while wanted not in told:
            told.append(self.next_told())
            assert told[-1] is not None, f"not told: {wanted}; but {told}"
        return told

    def _next(self):
        try:
            return self._socket.recv(4096).decode().splitlines()
        except (TimeoutError, BlockingIOError):
            return None


@pytest.fixture
def address(tmp_path):
    return str(tmp_path / "notify")


@pytest.fixture
def manager(address):
    with Manager(address) as manager:
        yield manager


@pytest.fixture
def make(address):
    """Makes what tells the manager, with these variables beside its address."""
    made = []

    def make(**variables):
        made.append(Supervisor({"NOTIFY_SOCKET": address} | variables))
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.close()


# --- by itself


def test_the_manager_is_told_of_start_state_and_end(manager, make):
    supervisor = make()
    supervisor.ready("serves", 0)
    supervisor.turned("serves", 1)
    supervisor.turned("takes no writes:\n  no\nspace", 2)
    supervisor.turned("serves", 3)
    supervisor.stopping()
    assert manager.told() == [
        ["READY=1", "STATUS=serves"],
        ["STATUS=takes no writes: no space"],
        ["STATUS=serves"],
        ["STOPPING=1", "STATUS=is stopping"],
    ]


@pytest.mark.parametrize("place", ["@kvnode/{}", "{tmp_path}/kvnode@1/{}"])
def test_an_address_is_no_file_only_if_an_at_sign_leads(place, tmp_path):
    (tmp_path / "kvnode@1").mkdir()
    address = place.format(secrets.token_hex(8), tmp_path=tmp_path)
    with Manager(address) as manager:
        supervisor = Supervisor({"NOTIFY_SOCKET": address})
        supervisor.ready("serves", 0)
        supervisor.close()
        assert manager.told() == [["READY=1", "STATUS=serves"]]


def test_without_an_address_nobody_is_told_and_nothing_is_due():
    supervisor = Supervisor({"WATCHDOG_USEC": "1000"})
    supervisor.ready("serves", 0)
    supervisor.turned("joins", 10 * SECOND_US)
    supervisor.stopping()
    assert supervisor.wake_us() is None
    supervisor.close()


def test_a_watched_node_pings_twice_in_the_watchdogs_time(manager, make):
    supervisor = make(WATCHDOG_USEC=str(4 * SECOND_US))
    supervisor.ready("serves", 10 * SECOND_US)
    manager.told()
    for steady_s, pings, due_s in ((11, 0, 12), (12, 1, 14), (13, 0, 14), (15, 1, 17)):
        supervisor.turned("serves", steady_s * SECOND_US)
        assert manager.told() == pings * [["WATCHDOG=1"]]
        assert supervisor.wake_us() == due_s * SECOND_US


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "often"},
        {"WATCHDOG_USEC": "4", "WATCHDOG_PID": str(os.getppid())},
    ],
    ids=["nothing said", "off", "no number", "another process"],
)
def test_a_node_that_is_not_watched_does_not_ping(variables, manager, make):
    supervisor = make(**variables)
    supervisor.ready("serves", 0)
    supervisor.turned("serves", 60 * SECOND_US)
    assert supervisor.wake_us() is None
    assert manager.told() == [["READY=1", "STATUS=serves"]]


def test_it_is_watched_if_the_watchdog_means_it(make):
    assert make(WATCHDOG_USEC="4", WATCHDOG_PID=str(os.getpid())).wake_us() is not None


@pytest.fixture
def log(caplog, monkeypatch):
    """What the node logs."""
    monkeypatch.setattr(LOGGER, "handlers", [caplog.handler])
    monkeypatch.setattr(LOGGER, "propagate", False)
    return caplog


def test_a_manager_that_is_gone_is_told_in_vain(make, log):
    supervisor = make()
    supervisor.ready("serves", 0)  # nobody listens there
    supervisor.turned("serves", 1)
    assert log.messages == ["can't tell the service manager READY=1: No such file or directory"]


def test_what_a_busy_manager_does_not_take_is_told_later_and_only_the_newest_of_it(
    manager, make, log
):
    supervisor = make(WATCHDOG_USEC=str(2 * SECOND_US))
    manager.fill()
    supervisor.ready("joins", 0)
    supervisor.turned("serves", SECOND_US)
    supervisor.turned("serves", 2 * SECOND_US)
    assert log.messages == [
        "can't tell the service manager READY=1: Resource temporarily unavailable"
    ], "once"
    assert ["READY=1"] not in manager.told()
    supervisor.turned("serves", 2 * SECOND_US)
    assert manager.told() == [["READY=1", "STATUS=serves", "WATCHDOG=1"]]
    supervisor.turned("serves", 2 * SECOND_US)
    assert manager.told() == []


# --- by a daemon


@pytest.fixture
def start(manager, tmp_path):
    """Starts a node that is watched."""
    nodes = []

    def start(*peers):
        variables = (f"NOTIFY_SOCKET={manager.address}", f"WATCHDOG_USEC={WATCHDOG_MS}000")
        node = LocalNode("X", tmp_path, FLAGS, prefix=("env", *variables))
        node.peers = list(peers)
        nodes.append(node)
        node.start()
        return node

    yield start
    for node in nodes:
        if node.process is not None:
            node.stop(signal.SIGKILL)


def test_a_daemon_is_ready_then_lives_then_stops(manager, start):
    node = start()
    assert manager.next_told() == ["READY=1", "STATUS=serves"]
    with socket.create_connection(("127.0.0.1", int(node.listen.rpartition(":")[2]))):
        pass  # it listened before it said so
    for _ in range(3):
        assert manager.next_told() == ["WATCHDOG=1"]
    assert node.stop() == 0
    assert ["STOPPING=1", "STATUS=is stopping"] in manager.told()


def test_a_daemon_that_stands_still_pings_no_more(manager, start):
    node = start()
    manager.until_told(["WATCHDOG=1"])
    node.process.send_signal(signal.SIGSTOP)
    stat = Path(f"/proc/{node.process.pid}/stat")
    until("it stands still", lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
    manager.told()
    assert manager.next_told(SILENCE_S) is None
    node.process.send_signal(signal.SIGCONT)
    manager.until_told(["WATCHDOG=1"])


def test_a_daemon_whose_peers_do_not_answer_is_ready(manager, start):
    start("tcp://127.0.0.1:1")
    assert manager.next_told() == ["READY=1", f"STATUS={JOINS}"]


def test_a_daemon_that_joins_is_ready_and_says_what_it_does(manager, start):
    with FakePeer() as peer:
        start(peer.listen)
        assert manager.next_told() == ["READY=1", f"STATUS={JOINS}"]


def test_a_daemon_that_a_watchdog_ends_leaves_in_its_log_where_it_was(manager, start):
    node = start()
    manager.until_told(["WATCHDOG=1"])
    assert node.stop(signal.SIGABRT) == -signal.SIGABRT
    log = node.log.read_text()
    assert "Fatal Python error: Aborted" in log and " in _turn" in log
