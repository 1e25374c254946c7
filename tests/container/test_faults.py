"""What may befall a container: killed, cut off, robbed of its volume, stopped."""

from __future__ import annotations

import threading
import time

import pytest

from kvnode.cli.cluster import until
from kvnode.errors import KvnodeError

#: A stop that takes longer is no drain: Docker kills after ten seconds.
DRAIN_S = 2.0


def written(client, prefix, count=100):
    """Acknowledged writes."""
    values = {f"{prefix}/{n}": n for n in range(count)}
    for key, value in values.items():
        client.put(key, value)
    return values


def lost(client, values):
    keys = list(values)
    found = client.get_many(keys)
    return [key for key, value in zip(keys, found, strict=True) if value != values[key]]


def origin_of(client, name):
    (origin,) = [it["origin"] for it in client.members() if it["name"] == name]
    return origin


def test_a_killed_node_loses_nothing(project):
    project.up()
    with project.client("x") as client:
        values = written(client, "k")
    for service in "xyz":  # all at once: what X has then is its own
        project.compose("kill", "-s", "KILL", service)
    project.compose("up", "--detach", "--no-deps", "x")
    project.wait_until_it_serves("x")
    with project.client("x") as client:
        assert lost(client, values) == []
    project.up()
    project.wait_until_they_agree(*"xyz")


def test_a_node_whose_process_dies_is_started_again(project):
    project.up("x")
    with project.client("x") as client:
        client.put("k", "v")
    project.engine.kill(project.inspected("x")["State"]["Pid"])
    until("it was started again", lambda: project.inspected("x")["RestartCount"] == 1)
    project.wait_until_it_serves("x")
    with project.client("x") as client:
        assert client.get("k") == "v"


def test_a_node_that_is_cut_off_goes_on_and_heals(project):
    project.up()
    network, container = f"{project.name}_default", project.container("z")
    project.engine.docker("network", "disconnect", network, container)
    with project.client("x") as client:
        theirs = written(client, "x")
        client.put("both", "x")
    project.exec("z", "kv", "put", "z", "alone")
    project.exec("z", "kv", "put", "both", "z")
    assert project.exec("z", "kv", "get", "both") == "z"
    assert project.exec("z", "kv", "ls", "x/") == "", "it has heard of nothing"
    project.engine.docker("network", "connect", "--alias", "z", network, container)
    project.wait_until_they_agree(*"xyz")
    for service in "xyz":
        with project.client(service) as client:
            assert lost(client, theirs | {"z": "alone"}) == []
            assert {version.value for version in client.read("both")} == {"x", "z"}


def test_a_node_whose_volume_is_gone_is_a_new_incarnation_and_gets_its_data_back(project):
    project.up()
    with project.client("z") as client:
        values = written(client, "k")
        token = client.token
        before = origin_of(client, "Z")
    project.wait_until_they_agree(*"xyz")
    project.compose("rm", "--stop", "--force", "z")
    project.engine.docker("volume", "rm", project.volume("z"))
    project.up("z")
    with project.client("z", token) as client:
        assert lost(client, values) == []
        until("its record is a new one", lambda: origin_of(client, "Z") != before)


@pytest.mark.parametrize("others", ["yz", ""])
def test_a_stopped_node_drains_at_once_and_loses_nothing(others, project):
    project.up(*others, "x")
    acknowledged = {}

    def write():
        with project.client("x") as client:
            while True:
                key = f"k/{len(acknowledged)}"
                try:
                    client.put(key, 1)
                except KvnodeError:
                    return
                acknowledged[key] = 1

    writer = threading.Thread(target=write)
    writer.start()
    until("there is load", lambda: len(acknowledged) > 100)
    started = time.monotonic()
    project.engine.docker("stop", project.container("x"))
    took_s = time.monotonic() - started
    state = project.inspected("x")["State"]
    project.compose("up", "--detach", "x")
    writer.join()
    assert state["ExitCode"] == 0
    assert took_s < DRAIN_S
    project.wait_until_it_serves("x")
    with project.client("x") as client:
        assert client.count("k/") >= len(acknowledged)
        assert lost(client, dict(list(acknowledged.items())[-1000:])) == []
