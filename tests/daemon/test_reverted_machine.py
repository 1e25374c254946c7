"""A machine that goes back in time with its memory and disk, or runs twice: real nodes."""

from __future__ import annotations

import shutil
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from kvnode import Client
from kvnode.cli.cluster import LocalNode, until
from kvnode.core.vector import new_origin
from tests.conftest import FLAGS

ORIGIN = new_origin("X", 1_795_440_000, 7)
RUNNER = str(Path(__file__).with_name("same_again.py"))


@pytest.fixture
def make_same(tmp_path):
    """Makes processes of X that all go on as one incarnation."""
    nodes = []

    def make(place):
        prefix = (sys.executable, RUNNER, ORIGIN)
        nodes.append(LocalNode("X", tmp_path / place, FLAGS, prefix=prefix))
        nodes[-1].data.parent.mkdir(exist_ok=True)
        return nodes[-1]

    yield make
    for node in nodes:
        if node.process is not None:
            node.stop(signal.SIGKILL)


@contextmanager
def standing_still(node):
    """It hears nobody, and nobody hears it."""
    node.process.send_signal(signal.SIGSTOP)
    yield
    node.process.send_signal(signal.SIGCONT)


def put(node: LocalNode, key: str, value: int) -> bytes:
    with Client(node.listen) as client:
        client.put(key, value)
        return client.token


def shown(node: LocalNode, *keys: str) -> list[object]:
    with Client(node.listen) as client:
        return client.get_many(keys)


def have(value: list[object], *nodes: LocalNode, keys: str) -> None:
    for node in nodes:
        until(
            f"{node.name} at {node.listen} has {value}",
            lambda node=node: shown(node, *keys) == value,
        )


def agree(*nodes: LocalNode) -> None:
    """They have one vector and one digest, and nothing is wrong."""

    def states() -> bool:
        told = [node.status() for node in nodes]
        alarms = [alarm for status in told for alarm in status["alarms"] if "twice" in alarm]
        vectors = {tuple(sorted(status["vector"].items())) for status in told}
        return len(vectors) == 1 and len({it["digest"] for it in told}) == 1 and not alarms

    until("they agree", states)


def confirmed(x: LocalNode, y: LocalNode) -> None:
    """Y has claimed what X has."""
    until("Y has all", lambda: y.status()["vector"] == x.status()["vector"])


@pytest.fixture
def pair(make_same, make_node):
    """X and Y, who have a=1."""
    x, y = make_same("first"), make_node("Y")
    x.founds = True
    x.peers, y.peers = [y.listen], [x.listen]
    x.start()
    y.start()
    until("Y has joined", lambda: not y.status()["joining"])
    put(x, "a", 1)
    have([1], y, keys="a")
    confirmed(x, y)
    return x, y


def test_what_it_wrote_before_and_after_is_everywhere(pair, tmp_path):
    x, y = pair
    x.stop(signal.SIGKILL)
    shutil.copytree(x.data, tmp_path / "saved")
    x.start()
    put(x, "b", 2)
    put(x, "before", 2)
    have([2, 2], y, keys=("b", "before"))
    x.stop(signal.SIGKILL)
    shutil.rmtree(x.data)
    shutil.copytree(tmp_path / "saved", x.data)
    with standing_still(y):
        x.start()
        token = put(x, "b", 3)
        put(x, "after", 3)
    have([1, 3, 2, 3], x, y, keys=("a", "b", "before", "after"))
    agree(x, y)
    assert x.status()["mended"] == 1
    assert "went back in time" in x.log.read_text()
    with Client(y.listen, token=token) as client:
        assert client.get("b") == 3


def test_a_copy_that_runs_beside_its_original_loses_nothing(pair, make_same):
    x, y = pair
    x.stop(signal.SIGKILL)
    twin = make_same("second")
    shutil.copytree(x.data, twin.data)
    twin.peers = [y.listen]
    with standing_still(y):
        x.start()
        twin.start()
        put(x, "of X", 2)
        put(twin, "of the twin", 3)
    have([2, 3], y, x, twin, keys=("of X", "of the twin"))
