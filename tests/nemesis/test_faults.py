"""The faults do what they say: else the nemesis would prove nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kvnode.cli.cluster import until
from tests.nemesis import links
from tests.nemesis.cluster import PEOPLE, NamespacedCluster
from tests.nemesis.field import Field
from tests.nemesis.load import Load
from tests.nemesis.network import Network

#: Many heartbeats.
_LONG_MS = 3_000


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Field]:
    """A and B, without clients."""
    with (
        Network(["A", "B", PEOPLE]) as network,
        NamespacedCluster("AB", tmp_path, network) as cluster,
    ):
        cluster.wait_for_mesh()
        load = Load(cluster, network, 0, clients=0, acts_per_s=1)
        yield Field(network, cluster, load, tmp_path)


def silence_ms(field: Field, listener: str) -> int:
    """How long a node has not heard the other."""
    (peer,) = field.node(listener).status()["peers"]
    return int(peer["silent_ms"])


def test_a_cut_of_data_has_one_direction(pair: Field) -> None:
    with links.one_way_data(pair, "A", "B"):
        until("B does not hear A", lambda: silence_ms(pair, "B") > _LONG_MS)
        until("A hears B", lambda: silence_ms(pair, "A") < _LONG_MS)
    assert pair.toll["one_way_data"]
    until("B hears A again", lambda: silence_ms(pair, "B") < _LONG_MS)


@pytest.mark.slow
def test_what_one_way_hides_comes_afterwards(pair: Field) -> None:
    with links.mute(pair, "A"), pair.node("A").client() as client:
        client.put("key", "value")
        until("B does not hear A", lambda: silence_ms(pair, "B") > _LONG_MS)
        with pair.node("B").client() as other:
            assert other.get("key") is None
    until("B has it", lambda: pair.cluster.agree())
    with pair.node("B").client() as other:
        assert other.get("key") == "value"
