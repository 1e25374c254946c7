"""compose.yaml as people use it: nodes that are well, alone or not, and the demo's story."""

from __future__ import annotations

import pytest

from kvnode.cli.cluster import until

#: Docker asks for the first time after ten seconds.
HEALTHY_S = 90


def demo(project):
    """Play the story in a container; what it said. Fails unless it ends with 0."""
    return project.compose("--profile", "demo", "run", "--rm", "-T", "demo").stdout


def test_the_demo_starts_with_the_nodes_and_ends_with_0(project):
    project.compose("--profile", "demo", "up", "--detach")
    container = project.container("demo")
    assert project.engine.docker("wait", container).stdout == "0\n"
    story = project.engine.docker("logs", container).stdout
    assert "held back" in story and story.endswith("All steps were observed.\n")
    for service in "xyz":
        with project.client(service) as client:
            assert client.count() == 0, "it leaves nothing"
    assert "All steps were observed." in demo(project), "nor does it mind having been played"


def test_the_nodes_become_healthy_and_keep_to_their_limits(project):
    project.compose("up", "--detach")
    for service in "xyz":
        until(
            f"{service} is healthy",
            lambda service=service: (
                project.inspected(service)["State"]["Health"]["Status"] == "healthy"
            ),
            HEALTHY_S,
        )
        host = project.inspected(service)["HostConfig"]
        assert (host["Memory"], host["NanoCpus"]) == (1 << 30, 10**9)
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "5"}
        ((published,),) = host["PortBindings"].values()
        assert published["HostIp"] == "127.0.0.1"


def test_a_node_waits_for_no_other(project):
    project.up("y")
    with project.client("y") as client:
        client.put("k", "v")
        assert client.get("k") == "v"


@pytest.mark.parametrize("service", ["x", "z"])
def test_nodes_that_come_later_get_what_is_there(service, project):
    project.up("y")
    with project.client("y") as client:
        client.put("k", "v")
        project.compose("up", "--detach", service)
        with project.client(service, client.token) as late:
            project.wait_until_it_serves(service)
            assert late.get("k") == "v"
