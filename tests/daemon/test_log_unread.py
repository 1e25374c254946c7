"""A log that nobody reads, or that can't be written: the node serves, and stops in order."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys

import pytest

from kvnode.cli.cluster import PATIENCE_S, LocalNode, until
from kvnode.errors import KvnodeError
from tests.conftest import FLAGS

PIPE_BYTES = 4096


@pytest.fixture
def start(tmp_path):
    """Starts a node whose shell redirects its streams so."""
    nodes = []

    def start(redirect):
        prefix = ("sh", "-c", f'exec "$@" {redirect}', "sh")
        nodes.append(LocalNode("X", tmp_path, [*FLAGS, "--log-level", "debug"], prefix=prefix))
        nodes[-1].launch()
        return nodes[-1]

    yield start
    for node in nodes:
        if node.process is not None:
            node.stop(signal.SIGKILL)


def serves(node):
    """Whether it answers; that it listens can't be read in a log that nobody reads."""
    try:
        return node.status()
    except KvnodeError:
        return None


def serves_and_stops(node):
    until("it serves", lambda: serves(node))
    with node.client() as client:
        client.put("k", "v")
        assert client.get("k") == "v"
    assert node.stop() == 0


@pytest.fixture
def fifo(tmp_path):
    """A named pipe that takes nothing more until it is read; and a descriptor to read it."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    assert os.write(reading, b"\n" * PIPE_BYTES) == PIPE_BYTES
    yield path, reading
    os.close(reading)


def test_a_reader_that_stands_still_holds_up_nothing(start, fifo):
    serves_and_stops(start(f"2>{fifo[0]}"))


def test_a_reader_that_goes_on_gets_what_waited(start, fifo):
    path, reading = fifo
    node = start(f"2>{path}")
    assert until("it serves", lambda: serves(node))["log_lines_dropped"] == 0
    read = bytearray()

    def reads_on():
        read.extend(os.read(reading, PIPE_BYTES))
        return b"listening at" in read

    until("the log comes", reads_on)
    assert read.startswith(b"\n" * PIPE_BYTES)
    serves_and_stops(node)


def test_a_reader_that_goes_away_holds_up_nothing(start, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    node = start(f"2>{tmp_path / 'fifo'}")
    until("it serves", lambda: serves(node))
    os.close(reading)
    serves_and_stops(node)


@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full", "0<&- 1>&- 2>&-"])
def test_a_node_serves_without_a_log(start, redirect):
    serves_and_stops(start(redirect))


def test_a_terminal_that_is_stopped_holds_up_nothing(start):
    keyboard, terminal = os.openpty()
    os.write(keyboard, b"\x13")  # Ctrl-S
    node = start(f"2>{os.ttyname(terminal)}")
    serves_and_stops(node)
    os.close(terminal)
    os.close(keyboard)


def test_an_error_at_the_start_does_not_wait_for_a_reader(start, fifo, tmp_path):
    (tmp_path / "X").write_text("no directory")
    node = start(f"2>{fifo[0]}")
    assert node.process.wait(30) == 1
    node.process = None


@pytest.mark.parametrize("flags", [("--listen", "nonsense"), ("--no-such-flag",)])
def test_a_mistake_does_not_wait_for_a_reader(fifo, flags):
    with fifo[0].open("wb", buffering=0) as unread:
        command = [sys.executable, "-m", "kvnode.cli.kvnode", "serve", *flags]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(command, stderr=unread, env=environment)
        try:
            assert process.wait(PATIENCE_S) == 2
        finally:
            process.kill()
            process.wait()


def test_a_watchdog_ends_a_node_whose_log_nobody_reads(start, fifo):
    node = start(f"2>{fifo[0]}")
    until("it serves", lambda: serves(node))
    node.process.send_signal(signal.SIGABRT)
    assert node.process.wait(PATIENCE_S) == -signal.SIGABRT
    node.process = None


def test_the_log_is_whole_at_the_end_of_a_node(make_node):
    node = make_node("X")
    node.start()
    until("it serves", lambda: serves(node))
    assert node.stop() == 0
    assert "closed cleanly" in node.log.read_text().splitlines()[-1]
