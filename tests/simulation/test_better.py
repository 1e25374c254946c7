"""What a node must have before it speaks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kvnode.core.messages import Claim
from tests.simulation.better import Better
from tests.simulation.cluster import Cluster
from tests.simulation.disk import new_disk
from tests.simulation.machine import Machine
from tests.simulation.oracle import Seen
from tests.simulation.plan import Plan
from tests.simulation.world import Violation, World


class Joining:
    """N1 joins, while these had something when it started; N4 speaks later."""

    def __init__(self, **speaking: Seen) -> None:
        self.cluster = Cluster(World(), replace(Plan.of(0), nodes=4, faults=()))
        self.cluster.machines = {it: Machine(self.cluster, it) for it in self.cluster.names}
        self.machine = self.cluster.machines["N1"]
        self.machine.better = Better(speaking)

    def finds(self, name: str, seen: Seen | None) -> None:
        """Another one goes on with a disk that has this, or on which nobody has joined."""
        other = self.cluster.machines[name]
        other.disk, other.seen = new_disk(), seen or 0
        if seen is not None:
            other.disk.families["oracle"] = {b"joined": b"", b"seen": seen.to_bytes(1, "big")}
        self.cluster.speaks_anew(other)

    def may_speak_with(self, seen: Seen) -> bool:
        return self.machine.better.is_enough(seen)


def test_who_has_a_part_of_what_others_have_may_not_speak() -> None:
    joining = Joining(N2=0b111, N3=0b1111)
    assert not joining.may_speak_with(0b1011)
    assert joining.may_speak_with(0b10111)


def test_what_another_has_is_enough_that_went_back_or_has_just_joined() -> None:
    joining = Joining(N2=0b111, N3=0b1111)
    joining.finds("N2", None)
    joining.finds("N2", 0b1)
    assert joining.may_speak_with(0b1)
    joining.finds("N4", 0b10)
    assert joining.may_speak_with(0b10) and not joining.may_speak_with(0)


def test_what_another_had_is_enough_though_that_has_nothing_any_more() -> None:
    joining = Joining(N2=0b11, N3=0b1111)
    joining.finds("N2", None)
    assert joining.may_speak_with(0b11) and not joining.may_speak_with(0b1)


def test_where_nobody_has_anything_any_more_the_cluster_is_new() -> None:
    joining = Joining(N2=0b11)
    joining.finds("N2", None)
    assert joining.may_speak_with(0)
    joining.finds("N3", 0b1)
    assert joining.may_speak_with(0), "as it has done already, perhaps"


def test_who_claims_something_speaks_before_its_first_write() -> None:
    joining = Joining(N2=0b11)
    other = joining.cluster.machines["N3"]
    other.disk.families["oracle"] = {b"seen": b"\1"}
    other.seen = 0b1
    other.claim(Claim("N3", 1, {}, {}, 0, {}, 0))
    assert not other.speaks and not joining.may_speak_with(0b1)
    other.claim(Claim("N3", 1, {"N2~0000001000000001": 1}, {}, 0, {}, 0))
    assert other.speaks and joining.may_speak_with(0b1)


def test_who_claims_something_must_have_what_another_has() -> None:
    joining = Joining(N2=0b11)
    with pytest.raises(Violation, match="N1 claims something though it lacks"):
        joining.machine.claim(Claim("N1", 1, {"N2~0000001000000001": 1}, {}, 0, {}, 0))
