"""A node whose clients take nearly all file descriptors: the store keeps what it needs."""

from __future__ import annotations

import errno
import os
import resource
import socket
from contextlib import ExitStack
from functools import partial

import pytest

from kvnode.cli.cluster import LocalNode, until
from kvnode.daemon.descriptors import (
    LEFT_ENOUGH,
    LEFT_FEW,
    LIMIT_LOW,
    LIMIT_MIN,
    Descriptors,
)
from kvnode.daemon.logs import Complaints
from tests.conftest import FLAGS


@pytest.fixture
def limited(tmp_path):
    """Starts a node that may have so many descriptors."""
    with ExitStack() as stack:

        def limited(limit, soft=None):
            limits = f"ulimit -Sn {soft or limit} && ulimit -Hn {limit}"
            prefix = ("sh", "-c", f'{limits} && exec "$@"', "sh")
            node = LocalNode("X", tmp_path, FLAGS, prefix=prefix)
            node.start()
            stack.callback(lambda: node.process and node.stop())
            return node

        yield limited


def connected(node):
    host, _, port = node.listen.removeprefix("tcp://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def alarms(client):
    return [it for it in client.status()["alarms"] if "descriptors" in it]


def test_clients_that_take_them_all_are_told_of(limited):
    node = limited(LIMIT_MIN)
    with node.client() as client, ExitStack() as crowd:
        client.put("k", 1)
        for _ in range(LIMIT_MIN):
            crowd.enter_context(connected(node))
        (alarm,) = until("it tells", lambda: alarms(client))
        assert f"nearly all of the {LIMIT_MIN} file descriptors of X are in use" in alarm
        until("it has none", lambda: "no_descriptors_left" in client.status()["complaints"])
        client.put("k", 2)
        assert client.status()["complaints"] == {"no_descriptors_left": 1}, "not each try"
        crowd.close()
        until("the alarm has ended", lambda: not alarms(client))
    log = node.log.read_text()
    assert "ALARM: nearly all" in log and "the alarm has ended: nearly all" in log
    assert f"no descriptors left: all {LIMIT_MIN} are in use" in log


def test_a_node_takes_as_many_as_it_may(limited):
    node = limited(2 * LIMIT_LOW, soft=LIMIT_MIN)
    until("it serves", node.status)
    limits = resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE)
    assert limits == (2 * LIMIT_LOW, 2 * LIMIT_LOW)
    assert "file descriptors" not in node.log.read_text()


def test_a_low_limit_is_told_at_the_start(limited):
    node = limited(LIMIT_LOW - 1)
    until("it serves", node.status)
    assert "WARNING X: this process may have 1023 file descriptors" in node.log.read_text()


def test_a_node_does_not_start_with_hardly_any(limited):
    node = limited(LIMIT_MIN - 1)
    assert node.process.wait(30) == 2
    node.process = None
    assert "to 1024 or more" in node.log.read_text()


def test_what_is_left_is_few_until_there_is_enough_again():
    used = [os.dup(0) for _ in range(2 * LEFT_ENOUGH)]
    descriptors = Descriptors(used[LEFT_ENOUGH] + LEFT_FEW, Complaints())
    seen = []
    for count in (LEFT_ENOUGH, 2, LEFT_FEW, LEFT_FEW):
        descriptors.look()
        seen.append(descriptors.are_few)
        for _ in range(count):
            if used:
                os.close(used.pop())
    assert seen[0] is True and seen[-1] is False and seen == sorted(seen, reverse=True)
    for number in used:
        os.close(number)


def test_that_none_is_left_counts_once_until_there_are_enough_again(monkeypatch):
    limit, complaints = 1000, Complaints()
    descriptors = Descriptors(limit, complaints)
    counts = []
    for free in (0, 0, LEFT_FEW, 0, LEFT_ENOUGH, 0):
        monkeypatch.setattr(os, "dup", partial(numbered, limit - free, limit))
        monkeypatch.setattr(os, "close", lambda _: None)
        descriptors.look()
        counts.append(complaints.counts["no_descriptors_left"])
    monkeypatch.undo()
    assert counts == [1, 1, 1, 1, 1, 2]


def numbered(number, limit, _):
    """What `os.dup` does where this number is the next."""
    if number >= limit:
        raise OSError(errno.EMFILE, "Too many open files")
    return number
