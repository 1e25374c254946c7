"""A clock that jumps: nothing is lost, no order broken, and it is told whose clock is ahead."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvnode.cli.cluster import LocalNode, until
from kvnode.client.sync import Client
from tests.nemesis.clocks import HOUR_S, shift, shiftable
from tests.nemesis.cluster import PEOPLE, NamespacedCluster
from tests.nemesis.network import Network
from tests.nemesis.tools import fake_time_library


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[NamespacedCluster]:
    """A, whose clock can be shifted, B and C."""
    if fake_time_library() is None:
        pytest.skip("libfaketime is not installed")
    with Network(["A", "B", "C", PEOPLE]) as network:
        under = {"A": shiftable(tmp_path, "A")}
        with NamespacedCluster("ABC", tmp_path, network, under=under) as cluster:
            cluster.wait_for_mesh()
            yield cluster


def stamp_us(client: Client, key: str) -> int:
    """The stamp of what a key holds, which must be one version."""
    (version,) = client.read(key)
    return version.stamp_us


def clock_alarms(node: LocalNode) -> list[str]:
    """What a node says of its clock."""
    return [alarm for alarm in node.status()["alarms"] if "the clock of" in alarm]


def restart(node: LocalNode) -> None:
    """It believes the first time that it reads."""
    node.stop(signal.SIGKILL)
    node.start()


def told_ahead(cluster: NamespacedCluster) -> dict[str, list[str]]:
    """Of whom each node says that their clock is ahead."""
    return {name: [*status["clocks_ahead_ms"]] for name, status in cluster.statuses().items()}


def test_a_clock_that_jumps_back_an_hour_loses_no_write_and_breaks_no_order(
    trio: NamespacedCluster, tmp_path: Path
) -> None:
    node = trio["A"]
    stamps = []
    with node.client() as client:
        for number in range(5):
            client.put("key", number)
            client.put(f"key-{number}", number)
            stamps.append(stamp_us(client, "key"))
        assert abs(stamps[-1] / 1_000_000 - time.time()) < HOUR_S / 2
        shift(tmp_path, "A", -HOUR_S)
        for number in range(5, 10):
            client.put("key", number)
            client.put(f"key-{number}", number)
            stamps.append(stamp_us(client, "key"))
        assert client.get("key") == 9
        token = client.token
    until("A tells that its clock has jumped", lambda: clock_alarms(node))

    restart(node)  # a new process reads only the clock that is wrong
    everyone = {"A": ["B", "C"], "B": [], "C": []}
    until("A tells that all are ahead of it", lambda: told_ahead(trio) == everyone)
    with node.client(token) as client:
        assert client.get("key") == 9
        client.put("key", 10)
        client.put("key-10", 10)
        stamps.append(stamp_us(client, "key"))
        token = client.token
    with trio["B"].client(token) as client:
        assert client.get("key") == 10
        client.put("key", 11)
        stamps.append(stamp_us(client, "key"))
    assert stamps == sorted(set(stamps))

    until("all agree", trio.agree)
    for each in trio.nodes.values():
        with each.client() as client:
            assert client.get("key") == 11 and len(client.read("key")) == 1
            assert [client.get(f"key-{number}") for number in range(11)] == [*range(11)]
    shift(tmp_path, "A", 0)
    restart(trio["A"])
    until("nobody is ahead", lambda: not any(told_ahead(trio).values()))


def test_a_peer_whose_clock_is_far_ahead_is_told_and_nobody_else(
    trio: NamespacedCluster, tmp_path: Path
) -> None:
    shift(tmp_path, "A", HOUR_S)
    restart(trio["A"])
    with trio["A"].client() as client:
        client.put("key", "from the future")
        token = client.token
    with trio["B"].client(token) as client:
        client.put("key", "after it")  # B stamps from the future too, and has a right clock
        token = client.token
    with trio["C"].client(token) as client:
        assert client.get("key") == "after it"
        assert stamp_us(client, "key") / 1_000_000 > time.time() + HOUR_S / 2
    blamed = {"A": [], "B": ["A"], "C": ["A"]}
    until("A is told to be ahead", lambda: told_ahead(trio) == blamed)
    ahead_ms = trio["C"].status()["clocks_ahead_ms"]["A"]
    assert abs(ahead_ms / 1000 - HOUR_S) < HOUR_S / 10
    assert "clocks ahead: that of A by" in trio["C"].log.read_text()
    shift(tmp_path, "A", 0)
    restart(trio["A"])
    until("nobody is ahead", lambda: not any(told_ahead(trio).values()))


def test_a_clock_that_is_ahead_for_a_moment_ends_no_lease_and_lengthens_none(
    trio: NamespacedCluster, tmp_path: Path
) -> None:
    node = trio["A"]
    shift(tmp_path, "A", 24 * HOUR_S)
    until("A tells that its clock has jumped", lambda: clock_alarms(node))
    with node.client() as client:
        client.put("during", 1, ttl_s=60)
        assert abs(client.read("during")[0].expires_at.timestamp() - time.time() - 60) < 30
        assert stamp_us(client, "during") / 1_000_000 < time.time() + HOUR_S
    shift(tmp_path, "A", 0)
    until("the alarm has ended", lambda: not clock_alarms(node))
    with trio["B"].client() as client:
        client.put("lease", "of B", ttl_s=600)
        token = client.token
    with node.client(token) as client:
        assert client.get("lease") == "of B"
