"""What holds for all tests: property tests repeat exactly, slow tests run with --slow only."""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings

from kvnode.cli.cluster import LocalCluster, LocalNode, until
from tests.names import alone_with, name_server  # noqa: F401  # fixtures

# The same examples on every run: a test that fails once fails again. Time limits would
# judge the machine, not the code.
settings.register_profile("kvnode", derandomize=True, deadline=None, max_examples=100)
settings.load_profile("kvnode")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow, too")
    parser.addoption("--rewrite", action="store_true", help="write what comes of tests/cases")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --slow the slow tests are deselected: a skip would look like a gap."""
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


# --- real daemons on loopback; each is ended by the test, or the module, that started it

#: Short heartbeats: repair acts on them. Links can be held.
FLAGS = ("--heartbeat-ms", "100", "--allow-faults")


def start_with_data(node):
    """Start a node that was alone before, so that it answers though it hears none of its peers."""
    node.founds = True
    node.start()
    until(f"{node.name} has data", lambda: node.status()["vector"])
    node.stop()
    node.start()


@pytest.fixture
def make_node(tmp_path):
    """Makes nodes that the test starts itself."""
    nodes = []

    def make(name, *flags):
        nodes.append(LocalNode(name, tmp_path, [*FLAGS, *flags]))
        return nodes[-1]

    yield make
    for node in nodes:
        if node.process is not None:
            node.stop(signal.SIGKILL)


@pytest.fixture
def make_cluster(tmp_path):
    """Makes nodes that are each other's peers, and that the test starts itself."""
    clusters = []

    def make(names, *flags):
        clusters.append(LocalCluster(names, tmp_path, *FLAGS, *flags))
        return clusters[-1]

    yield make
    for cluster in clusters:
        cluster.__exit__(None, None, None)


@pytest.fixture(scope="module")
def trio(tmp_path_factory):
    """X, Y and Z, running. Tests that share them leave them running and healed."""
    cluster = LocalCluster("XYZ", tmp_path_factory.mktemp("trio"), *FLAGS)
    with cluster:
        cluster.wait_for_mesh()
        yield cluster
