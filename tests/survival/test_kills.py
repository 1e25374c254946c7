"""kill -9 at any moment: whatever a node acknowledged is there, on every node."""

from __future__ import annotations

import random
import signal

import pytest

from kvnode.cli.cluster import until
from kvnode.cli.load import Writers
from tests.survival.survivors import (
    TINY_LOG,
    all_agree,
    expect_all_acknowledged,
    expect_sound_disks,
)

NAMES = "XYZ"

#: So many writes are acknowledged between two kills, at most: also none, amid a start.
WRITES_BETWEEN = 250


def play_kills(cluster, kills, seed, victims_max=1):
    """Kill some nodes, and start them again, while clients write at all."""
    rng = random.Random(seed)
    nodes = cluster.nodes.values()
    with cluster:
        cluster.wait_for_mesh()
        with Writers(nodes, per_node=2, value_bytes=200) as writers:
            for _ in range(kills):
                enough = writers.count + rng.randrange(WRITES_BETWEEN)
                until("they write", lambda enough=enough: writers.count >= enough)
                victims = rng.sample(NAMES, rng.randint(1, victims_max))
                for name in victims:
                    assert cluster[name].stop(signal.SIGKILL) == -signal.SIGKILL
                if rng.random() < 0.5 and len(victims) < len(NAMES):
                    enough = writers.count + rng.randrange(WRITES_BETWEEN)
                    until("the others write", lambda enough=enough: writers.count >= enough)
                for name in victims:
                    cluster[name].start()
            cluster.wait_for_mesh()
        all_agree(cluster)
        expect_all_acknowledged(cluster, writers)
        assert writers.count > 10 * kills
    expect_sound_disks(cluster)


def test_ten_kills_lose_nothing(make_cluster):
    play_kills(make_cluster(NAMES), 10, seed=1)


@pytest.mark.slow
def test_a_hundred_kills_lose_nothing(make_cluster):
    play_kills(make_cluster(NAMES), 100, seed=2)


@pytest.mark.slow
def test_a_hundred_kills_with_snapshots_lose_nothing(make_cluster):
    play_kills(make_cluster(NAMES, *TINY_LOG), 100, seed=3)


@pytest.mark.slow
def test_kills_of_several_or_all_at_once_lose_nothing(make_cluster):
    play_kills(make_cluster(NAMES, *TINY_LOG), 40, seed=4, victims_max=3)
