"""Real daemons under faults and load: see the package. The seed is in NEMESIS_SEED, or 1."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.nemesis.clocks import shiftable
from tests.nemesis.cluster import PEOPLE, NamespacedCluster
from tests.nemesis.disks import small_disk
from tests.nemesis.field import Field
from tests.nemesis.load import Load
from tests.nemesis.network import Network
from tests.nemesis.relay import Relay
from tests.nemesis.schedule import carry_out, plan
from tests.nemesis.tools import fake_time_library
from tests.nemesis.verdict import pronounce

SEED = int(os.environ.get("NEMESIS_SEED", "1"))
RELAYS = "relays"

Besiege = Callable[..., Field]


@pytest.fixture
def besiege(tmp_path: Path, request: pytest.FixtureRequest) -> Besiege:
    """Plays rounds of these kinds of faults on nodes under load, and judges."""

    def besiege(
        *kinds: str,
        nodes: str = "ABC",
        rounds: int,
        at_least: int,
        clocks: bool = False,
        disks: bool = False,
        delay_s: float = 0.0,
    ) -> Field:
        planned = plan(SEED, kinds, nodes, rounds) if kinds else []
        print(f"seed {SEED}; NEMESIS_SEED={SEED} bin/test --slow {request.node.nodeid}")
        with ExitStack() as stack:
            network = stack.enter_context(Network([*nodes, PEOPLE, RELAYS]))
            relay = None
            if delay_s:
                relay = stack.enter_context(Relay(network, RELAYS, tuple(nodes), SEED))
            for name in nodes if disks else "":
                stack.enter_context(small_disk(tmp_path / name))
            under = {name: shiftable(tmp_path, name) for name in nodes} if clocks else {}
            reached_at = relay.addresses if relay else None
            cluster = NamespacedCluster(nodes, tmp_path, network, under=under, relays=reached_at)
            stack.enter_context(cluster)
            cluster.wait_for_mesh()
            load = Load(cluster, network, SEED, clients=8, acts_per_s=120)
            field = Field(network, cluster, load, tmp_path, relay)
            with load:
                if relay:
                    relay.delay_s = delay_s
                carry_out(field, planned)
                while len(load.history()) < at_least:
                    load.last(0.2)
            if relay:
                relay.delay_s = 0
                field.toll["delayed"] = relay.delayed
            history = pronounce(field, tmp_path / "history.jsonl")
        print(f"{len(history)} operations, {len(load.canaries)} canaries kept")
        print(f"given up: {dict(load.troubles)}; done by faults: {dict(field.toll)}")
        assert all(field.toll[kind] for kind in kinds), f"without effect: {field.toll}"
        return field

    return besiege


def test_one_way_cuts_and_kills(besiege: Besiege) -> None:
    besiege("one_way", "one_way_data", "killed", "unanswered", rounds=4, at_least=1_000)


@pytest.mark.slow
def test_all_cuts(besiege: Besiege) -> None:
    kinds = ["cut_off", "one_way", "one_way_data", "deaf", "mute", "unanswered", "ring"]
    besiege(*kinds, nodes="ABCD", rounds=10, at_least=5_000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["loss", "link_down", "slow_link", "paused", "wiped"])
def test_one_kind(besiege: Besiege, kind: str) -> None:
    besiege(kind, rounds=4, at_least=1_000)


@pytest.mark.slow
def test_full_disks(besiege: Besiege) -> None:
    besiege("full_disk", "one_way", rounds=6, at_least=1_000, disks=True)


@pytest.mark.slow
def test_wrong_clocks(besiege: Besiege) -> None:
    if fake_time_library() is None:
        pytest.skip("libfaketime is not installed")
    besiege("clocks_apart", "cut_off", "killed", rounds=6, at_least=1_000, clocks=True)


@pytest.mark.slow
def test_delayed_and_reordered_connections(besiege: Besiege) -> None:
    field = besiege("killed", rounds=4, at_least=1_000, delay_s=0.8)
    assert field.toll["delayed"]


@pytest.mark.slow
def test_everything_at_once(besiege: Besiege) -> None:
    kinds = ["cut_off", "one_way", "one_way_data", "deaf", "mute", "unanswered", "ring", "loss"]
    kinds += ["link_down", "slow_link", "paused", "killed", "wiped"]
    besiege(*kinds, nodes="ABCD", rounds=24, at_least=5_000)
