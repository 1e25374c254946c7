"""When a node may take itself for a part of the cluster, and when it is ready for clients."""

from __future__ import annotations

import pytest

from kvnode.core.catch_up import HEAR_HEARTBEATS, CatchUp
from kvnode.core.messages import Claim
from kvnode.core.repair import ALIVE_HEARTBEATS
from kvnode.core.succession import Cut

HEARTBEAT_US = 500_000
X, Y = "X~0000001000000001", "Y~0000001000000001"


class Starter:
    """A node that has started, with these peers; what it has is set by the test."""

    def __init__(self, *peers: str) -> None:
        self.has: dict[str, int] = {}
        self.has_joined = False
        self.is_refused = False
        self._peers = set(peers)
        self._catch_up = CatchUp(heartbeat_us=HEARTBEAT_US)
        self._now_us = 7

    def looks(
        self,
        after_heartbeats: float = 1,
        instance: int = 1,
        *,
        lacks_others: bool = False,
        **claimed: int,
    ) -> str:
        """Time goes by, and peers claim to have so many of Y's writes, and to lack what others have
        or not; how it stands then."""
        self._now_us += int(after_heartbeats * HEARTBEAT_US)
        claims = [
            Claim(
                *(name, instance, {Y: seq} if seq else {}, {}, 0, {}, 0),
                is_not_all=lacks_others,
            )
            for name, seq in claimed.items()
        ]
        heard = self._catch_up.heard | claimed.keys()
        self._catch_up.look(
            claims,
            Cut.restored(self.has, {origin: {} for origin in self.has}),
            self._now_us,
            joined=self.has_joined,
            unheard=bool(self._peers - heard),
            refused=self.is_refused,
        )
        return self.stands

    @property
    def stands(self) -> str:
        if not self.has_joined and not self._catch_up.may_join:
            return "joining"
        return "ready" if self._catch_up.is_done else "late"


def test_who_knows_of_no_peer_founds_a_cluster_at_once() -> None:
    assert Starter().looks() == "ready"


def test_who_has_heard_all_that_it_knows_of_founds_one_if_they_have_nothing() -> None:
    node = Starter("A", "B")
    assert node.looks() == "joining"
    assert node.looks(A=0) == "joining"
    assert node.looks(B=0) == "ready"


def test_as_long_as_one_was_never_heard_that_may_have_something_it_founds_none() -> None:
    node = Starter("A", "B")
    assert {node.looks(A=0) for _ in range(10 * HEAR_HEARTBEATS)} == {"joining"}


def test_who_hears_that_others_have_something_founds_none_whoever_it_knows_of() -> None:
    node = Starter("A", "B")
    node.looks(A=0, lacks_others=True)
    assert {node.looks(B=0) for _ in range(10 * HEAR_HEARTBEATS)} == {"joining"}
    assert node.looks(A=0) == "ready", "nobody has, as it turned out"


def test_it_joins_with_what_a_peer_had_at_first_and_not_what_is_written_meanwhile() -> None:
    node = Starter("A")
    assert node.looks(A=3) == "joining"
    node.has = {Y: 2}
    assert node.looks(A=5) == "joining"
    node.has = {Y: 3}
    assert node.looks(A=7) == "ready"


def test_its_own_writes_do_not_count() -> None:
    node = Starter("A")
    node.has = {X: 100}
    assert node.looks(A=1) == "joining"


def test_as_long_as_a_peer_lives_that_has_more_it_is_waited_for() -> None:
    node = Starter("A")
    assert {node.looks(A=1) for _ in range(10 * HEAR_HEARTBEATS)} == {"joining"}


def test_it_stays_ready() -> None:
    node = Starter("A")
    node.has = {Y: 1}
    assert node.looks(A=1) == "ready"
    assert node.looks(A=9) == "ready"


def test_beside_a_peer_that_has_something_one_that_is_away_is_waited_for_some_heartbeats() -> None:
    node = Starter("A", "B")
    node.has = {Y: 1}
    for _ in range(HEAR_HEARTBEATS):
        assert node.looks(A=1) == "joining"
    assert node.looks(A=1) == "ready"


def test_what_only_a_peer_had_that_fell_silent_is_not_waited_for() -> None:
    node = Starter("A", "B")
    node.has = {Y: 1}
    assert node.looks(A=9, B=1) == "joining"
    assert node.looks(ALIVE_HEARTBEATS - 1, B=1) == "joining"
    assert node.looks(B=1) == "ready"


def test_that_a_peer_fell_silent_which_had_something_does_not_make_the_cluster_new() -> None:
    node = Starter("A", "B")
    assert node.looks(A=9, B=0) == "joining"
    assert {node.looks(B=0) for _ in range(10 * HEAR_HEARTBEATS)} == {"joining"}


def test_a_peer_that_started_again_on_an_empty_disk_has_nothing_to_be_waited_for() -> None:
    node = Starter("A")
    assert node.looks(A=9) == "joining"
    assert node.looks(instance=2, A=0) == "ready", "all that are known have nothing now"


# --- with data


def with_data(*peers: str) -> Starter:
    """A node that had joined before it started."""
    node = Starter(*peers)
    node.has, node.has_joined = {Y: 1}, True
    return node


@pytest.mark.parametrize("has_joined", [False, True])
def test_what_a_peer_had_whose_machine_went_back_in_time_is_not_waited_for(
    has_joined: bool,
) -> None:
    """It is the same process; what it had then may be nowhere."""
    node = Starter("A")
    node.has_joined = has_joined
    waits = "late" if has_joined else "joining"
    assert node.looks(A=5) == waits
    assert node.looks(A=3) == waits
    node.has = {Y: 3}
    assert node.looks(A=0) == waits, "who claims nothing has not joined"
    assert node.looks(A=4) == waits
    assert node.looks(A=3) == "ready"


def test_it_is_late_until_it_has_what_its_peers_had() -> None:
    node = with_data("A")
    assert node.looks(A=3) == "late"
    node.has = {Y: 3}
    assert node.looks(A=9) == "ready"


@pytest.mark.parametrize("claimed", [{}, {"A": 0}], ids=["none was heard", "one was heard"])
def test_it_waits_some_heartbeats_for_peers_that_are_away(claimed: dict[str, int]) -> None:
    node = with_data("A", "B")
    for _ in range(HEAR_HEARTBEATS):
        assert node.looks(**claimed) == "late"
    assert node.looks(**claimed) == "ready"


def test_who_is_refused_and_hears_nobody_is_late_however_long_it_waits() -> None:
    node = with_data("A")
    node.is_refused = True
    assert {node.looks() for _ in range(2 * HEAR_HEARTBEATS)} == {"late"}


def test_what_a_peer_says_that_tells_not_all_is_not_all_that_there_is() -> None:
    """Its machine may have gone back in time: then it tells nobody what it wrote since."""
    node = Starter("A")
    assert node.looks(A=3, lacks_others=True) == "joining"
    node.has = {Y: 3}
    assert node.looks(A=3, lacks_others=True) == "joining"
    assert node.looks(A=5) == "joining", "what it says later counts"
    node.has = {Y: 5}
    assert node.looks(A=5) == "ready"
