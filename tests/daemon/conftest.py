"""One node for all tests of a module that do it no lasting harm."""

from __future__ import annotations

import pytest

from kvnode.cli.cluster import LocalNode


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """It must still be there at the end, and go in order."""
    node = LocalNode("X", tmp_path_factory.mktemp("node"), [])
    node.start()
    yield node
    assert node.stop() == 0
