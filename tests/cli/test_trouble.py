"""Faults do what they say, undo what they did, and wipe no disk that is the last of its kind."""

from __future__ import annotations

from itertools import islice
from random import Random

import pytest

from kvnode.cli import trouble
from kvnode.cli.cluster import until
from kvnode.cli.load import Writers, found_at
from kvnode.cli.trouble import KINDS, Field, Step, plan

VALUE_BYTES = 40
FLAGS = ("--log-keep-s", "0", "--log-keep-mib", "0")


@pytest.fixture
def field(make_cluster):
    """Three nodes, and a writer at each that has begun."""
    cluster = make_cluster("XYZ", *FLAGS)
    nodes = cluster.nodes.values()
    writers = Writers(nodes, per_node=1, value_bytes=VALUE_BYTES, pause_s=0.005)
    with cluster:
        cluster.wait_for_mesh()
        with writers:
            until("they write", lambda: writers.count > 20)
            yield Field(cluster, writers)


def acknowledged_at(field, name):
    return [key for key in field.writers.acknowledged() if key.startswith(f"w/{name}")]


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_fault_the_node_goes_on_and_has_all(field, kind):
    instance = field.cluster["X"].process.pid
    with Step(kind, "X").played(field):
        count = field.writers.count
        until("the others write on", lambda: field.writers.count > count + 20)
    assert field.toll == dict.fromkeys(KINDS, 0) | {kind: 1}
    assert (field.cluster["X"].process.pid == instance) == (kind in ("stopped", "cut_off"))
    before = len(acknowledged_at(field, "X"))
    until("X takes writes again", lambda: len(acknowledged_at(field, "X")) > before)
    field.writers.__exit__(None, None, None)
    until("all agree", field.cluster.agree)
    keys = field.writers.acknowledged()
    for node in field.cluster.nodes.values():
        assert found_at(node, keys, VALUE_BYTES) == keys


def test_who_is_cut_off_takes_writes_that_the_others_do_not_see(field):
    with Step("cut_off", "X").played(field):
        before = len(acknowledged_at(field, "X"))
        until("X takes writes", lambda: len(acknowledged_at(field, "X")) > before + 5)
        newest = acknowledged_at(field, "X")[-1:]
        assert found_at(field.cluster["Y"], newest, VALUE_BYTES) == []
        assert field.cluster["Z"].status()["faults"] == {"X gossip": "drop", "X repair": "drop"}
    assert all(status["faults"] == {} for status in field.cluster.statuses().values())


def test_a_disk_that_alone_holds_something_is_not_wiped(field, monkeypatch):
    monkeypatch.setattr(trouble, "_SPARE_S", 0.2)
    with Step("cut_off", "X").played(field):
        before = len(acknowledged_at(field, "X"))
        until("only X has it", lambda: len(acknowledged_at(field, "X")) > before)
        with Step("wiped", "X").played(field):
            assert field.cluster["X"].process.poll() is None
    assert field.toll["wiped"] == 0


def test_snapshots_of_processes_that_are_gone_are_counted(field):
    with Step("wiped", "X").played(field):
        pass
    until("a snapshot came", lambda: field.cluster["X"].status()["snapshots_taken"])
    with Step("killed", "X").played(field):
        pass
    assert field.snapshots_taken == 1


def test_each_kind_has_its_turn_before_any_has_its_next():
    rounds = list(islice(plan(Random(1), ["X", "Y", "Z"]), 4 * len(KINDS)))
    for at in range(0, len(rounds), len(KINDS)):
        assert {steps[-1].kind for steps in rounds[at : at + len(KINDS)]} == set(KINDS)
    assert {len(steps) for steps in rounds} == {1, 2}
    for steps in rounds:
        assert len({step.victim for step in steps}) == len(steps)
        assert "wiped" not in [step.kind for step in steps] or len(steps) == 1


def test_a_seed_gives_the_same_faults_again():
    one, again, other = (list(islice(plan(Random(n), ["X", "Y", "Z"]), 20)) for n in (1, 1, 2))
    assert one == again != other


def test_people_are_told_who_is_befallen():
    assert str(Step("killed", "X")) == "X is killed (-9)"
    assert all("{}" in kind.told for kind in KINDS.values())
