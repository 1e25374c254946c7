"""Write concerns: who has synced a write, and which replies may leave for it."""

from __future__ import annotations

import pytest

from kvnode.core.concerns import Concerns, awaits_replicas, with_concern
from kvnode.core.limits import Limits
from kvnode.core.messages import Claim, Report
from kvnode.core.requests import AwaitReplicas, Operation, Put, Request
from kvnode.core.results import (
    Concern,
    Conflict,
    Entry,
    Replicated,
    Reply,
    Result,
    Unreplicated,
    Written,
)
from kvnode.core.succession import Succession
from kvnode.core.vector import Dot, Vector, new_origin
from kvnode.core.versions import Version

X, OLD, Y = new_origin("X", 2, 1), new_origin("X", 1, 1), new_origin("Y", 1, 1)
NEXT = new_origin("X", 3, 1)
PUT = Put(b"k", b"v")


def reply(seq: int, replicas: int, deadline_us: int = 1000, size_bytes: int = 10) -> Reply:
    """What is held back for a write; its id is the seq."""
    concern = Concern(Dot(X, seq), Dot(X, seq), replicas, deadline_us, size_bytes)
    return Reply("client", seq, (Written(Dot(X, seq), 7),), ran=True, concern=concern)


def holding(*replies: Reply, limits: Limits | None = None) -> Concerns:
    concerns = Concerns(X, limits or Limits())
    for each in replies:
        assert each.concern is not None
        concerns.promise(each.concern)
        concerns.hold(each)
    return concerns


def told(replies: list[Reply]) -> dict[int, Result]:
    """The last result of each, by id."""
    assert all(it.concern is None and len(it.results) == 2 for it in replies)
    return {it.id: it.results[-1] for it in replies}


# --- what a request asks for


def request(*operations: Operation) -> Request:
    return Request("client", 1, {}, None, operations, 50)


@pytest.mark.parametrize(
    ("results", "dot"),
    [
        ([Written(Dot(X, 3), 7)], Dot(X, 3)),
        ([Written(Dot(X, 3), 7), Entry((), 0), Written(Dot(X, 5), 8)], Dot(X, 5)),
        ([Written(Dot(X, 3), 7), Conflict(())], Dot(X, 3)),
        ([Conflict(())], None),
        ([Entry((Version(1, X, 1, b"v"),), 0)], None),
        ([], None),
    ],
)
def test_the_last_write_of_a_request_is_waited_for_if_there_is_one(
    results: list[Result], dot: Dot | None
) -> None:
    asked = request(PUT, AwaitReplicas(2, 30))
    before = Reply("client", 1, (*results, Replicated(0)), ran=True)
    after = with_concern(before, asked, 40, steady_us=5, latest=Dot(X, 9))
    if dot is None:
        assert after is before, "nothing to wait for: it is answered with 0"
    else:
        assert after.results == tuple(results) and after.concern is not None
        assert after.concern[:4] == (dot, dot, 2, 30_005)
        assert after.concern.size_bytes > 40


@pytest.mark.parametrize(("latest", "awaited"), [(Dot(X, 9), Dot(X, 9)), (Dot(X, 0), Dot(X, 1))])
def test_for_a_write_of_an_earlier_incarnation_one_of_this_one_stands(
    latest: Dot, awaited: Dot
) -> None:
    """A request that was done once is asked for again after a restart."""
    before = Reply("client", 1, (Written(Dot(Y, 3), 7), Replicated(0)), ran=True)
    after = with_concern(before, request(PUT, AwaitReplicas(2, 30)), 40, 5, latest)
    assert after.concern is not None
    assert (after.concern.dot, after.concern.awaited) == (Dot(Y, 3), awaited)


def test_only_who_asks_for_it_waits() -> None:
    written = Reply("client", 1, (Written(Dot(X, 1), 7),), ran=True)
    assert not awaits_replicas(request(PUT))
    assert awaits_replicas(request(PUT, AwaitReplicas(1, 0)))
    assert with_concern(written, request(PUT), 0, 0, Dot(X, 9)) is written


# --- what may leave


@pytest.mark.parametrize(
    ("synced", "left"),
    [
        ({"X": 9}, {}),
        ({"X": 9, "Y": 1}, {1: 2}),
        ({"X": 9, "Y": 2}, {1: 2, 2: 2}),
        ({"X": 9, "Y": 9}, {1: 2, 2: 2, 4: 2}),
        ({"X": 0, "Y": 9}, {}),
        ({"X": 9, "Y": 0, "Z": 2}, {1: 2, 2: 2}),
        ({"X": 9, "Y": 2, "Z": 2}, {1: 3, 2: 3}),
        ({"X": 9, "Y": 3, "Z": 3}, {1: 3, 2: 3, 3: 3}),
    ],
)
def test_a_reply_leaves_once_so_many_have_its_write(
    synced: dict[str, int], left: dict[int, int]
) -> None:
    concerns = holding(reply(1, 2), reply(2, 2), reply(3, 3), reply(4, 2))
    assert told(concerns.settle(synced, 0)) == {id_: Replicated(n) for id_, n in left.items()}
    assert concerns.count == 4 - len(left)
    assert concerns.settle(synced, 0) == [], "each leaves once"


def test_a_repeated_request_waits_for_its_earlier_write_alone() -> None:
    concerns = holding(reply(9, 2), reply(3, 2))
    assert told(concerns.settle({"X": 9, "Y": 3}, 0)) == {3: Replicated(2)}


def test_one_replica_is_this_node_alone() -> None:
    concerns = holding(reply(1, 1), reply(2, 1))
    assert told(concerns.settle({"X": 1}, 0)) == {1: Replicated(1)}


def test_who_waits_in_vain_is_told_who_has_it() -> None:
    concerns = holding(reply(1, 3, deadline_us=100), reply(2, 3, deadline_us=90))
    assert concerns.wake_us() == 90
    assert concerns.settle({"X": 2, "Y": 1}, 89) == []
    assert told(concerns.settle({"X": 2, "Y": 1}, 90)) == {
        2: Unreplicated("the time is up", Dot(X, 2), 3, ("X",))
    }
    assert told(concerns.settle({"Y": 1, "X": 2}, 100)) == {
        1: Unreplicated("the time is up", Dot(X, 1), 3, ("X", "Y"))
    }
    assert concerns.is_idle and concerns.wake_us() is None


def test_what_is_reached_at_the_last_moment_is_reached() -> None:
    concerns = holding(reply(1, 2, deadline_us=100))
    assert told(concerns.settle({"X": 1, "Y": 1}, 100)) == {1: Replicated(2)}


def test_more_replicas_than_there_are_members_is_no_error_before_the_time_is_up() -> None:
    concerns = holding(reply(1, 1024))
    assert concerns.settle({"X": 1, "Y": 1}, 999) == []
    assert told(concerns.settle({"X": 1, "Y": 1}, 1000))[1].names == ("X", "Y")  # type: ignore[union-attr]


def test_all_that_is_held_back_is_told_when_the_replica_ends() -> None:
    concerns = holding(reply(1, 2), reply(2, 2), reply(3, 3))
    assert told(concerns.abandon({"X": 3, "Y": 1}, "why")) == {
        1: Replicated(2),
        2: Unreplicated("why", Dot(X, 2), 2, ("X",)),
        3: Unreplicated("why", Dot(X, 3), 3, ("X",)),
    }
    assert concerns.is_idle and (concerns.count, concerns.size_bytes) == (0, 0)


def test_others_are_asked_for_the_latest_write_once_if_it_waits() -> None:
    concerns = holding(reply(1, 2), reply(2, 2))
    assert concerns.unasked() == Dot(X, 2)
    assert concerns.unasked() is None
    concerns = holding(reply(1, 1))
    concerns.settle({"X": 1}, 0)
    assert concerns.unasked() is None, "this node alone was enough"


# --- room


def test_what_is_promised_takes_room_before_it_is_held_and_until_it_leaves() -> None:
    concerns = Concerns(X, Limits(concerns_max=2))
    for seq in (1, 2):
        assert concerns.has_room
        concern = reply(seq, 1).concern
        assert concern is not None
        concerns.promise(concern)
    assert not concerns.has_room
    concerns.hold(reply(1, 1))
    concerns.hold(reply(2, 1))
    assert not concerns.has_room
    concerns.settle({"X": 1}, 0)
    assert concerns.has_room


def test_room_is_counted_in_bytes_too() -> None:
    concerns = holding(reply(1, 1, size_bytes=60), limits=Limits(concern_bytes_max=100))
    assert concerns.has_room
    concern = reply(2, 1, size_bytes=40).concern
    assert concern is not None
    concerns.promise(concern)
    assert not concerns.has_room


# --- who has what


def claim(synced: Vector, instance: int = 1) -> Claim:
    return Claim("Y", instance, {X: 9, OLD: 9}, synced, 0, {}, 0)


def report(seq: int, origin: str = X, instance: int = 1) -> Report:
    return Report("Y", instance, origin, seq, b"some")


def synced_by_y(concerns: Concerns, latest: Claim, succession: Succession | None = None) -> int:
    return concerns.synced({"Y": latest}, {"Y"}, succession or Succession())["Y"]


def test_a_claim_tells_what_is_synced_not_what_is_delivered() -> None:
    assert synced_by_y(holding(), claim({X: 3})) == 3
    assert synced_by_y(holding(), claim({})) == 0


def test_who_is_no_member_or_never_spoke_does_not_count() -> None:
    claims = {"Y": claim({X: 3}), "Y at tcp://y:1": claim({X: 3})}
    assert holding().synced(claims, {"Y", "Z"}, Succession()) == {"Y": 3}
    assert holding().synced(claims, set(), Succession()) == {}


def test_a_report_raises_what_was_claimed_until_the_next_claim_replaces_it() -> None:
    concerns, latest = holding(), claim({X: 3})
    concerns.reported(report(5), latest, last=9)
    concerns.reported(report(4), latest, last=9)
    assert synced_by_y(concerns, latest) == 5
    concerns.retract("Y")
    assert synced_by_y(concerns, claim({}, instance=2)) == 0, "its disk was wiped"


@pytest.mark.parametrize(
    ("told_by", "latest"),
    [
        (report(5, origin=OLD), claim({})),
        (report(5, origin=Y), claim({})),
        (report(10), claim({})),
        (report(5, instance=2), claim({})),
        (report(5), None),
    ],
    ids=["earlier incarnation", "other origin", "never written", "other process", "never heard"],
)
def test_a_report_that_does_not_count(told_by: Report, latest: Claim | None) -> None:
    concerns = holding()
    concerns.reported(told_by, latest, last=9)
    assert synced_by_y(concerns, claim({})) == 0


# --- going on as another incarnation


def test_who_waits_waits_on_for_the_next_incarnations_first_write() -> None:
    concerns = holding(reply(3, 1), reply(4, 2))
    concerns.unasked()
    concerns.go_on_as(NEXT)
    assert concerns.unasked() == Dot(NEXT, 1)
    assert not concerns.settle({"Y": 0, "Z": 0}, 1)
    assert told(concerns.settle({"Y": 1, "Z": 0}, 1)) == {3: Replicated(1)}
    assert told(concerns.settle({"Y": 1, "Z": 1}, 1)) == {4: Replicated(2)}
    assert concerns.is_idle


def test_who_waits_in_vain_is_told_of_the_write_that_was_made() -> None:
    concerns = holding(reply(3, 2))
    concerns.go_on_as(NEXT)
    (gave_up,) = concerns.settle({"Y": 1}, 1000)
    assert gave_up.results[-1] == Unreplicated("the time is up", Dot(X, 3), 2, ("Y",))


def test_a_reply_of_the_turn_that_went_on_anew_waits_with_the_others() -> None:
    concerns = Concerns(X, Limits())
    concerns.go_on_as(NEXT)
    concerns.hold(reply(3, 1))
    assert not concerns.settle({"Y": 0}, 1)
    assert told(concerns.settle({"Y": 1}, 1)) == {3: Replicated(1)}


def test_what_was_reported_of_the_incarnation_before_counts_no_more() -> None:
    concerns = holding(reply(3, 1))
    claim = Claim("Y", 1, {}, {}, 0, {}, 0)
    concerns.reported(report(3), claim, 3)
    concerns.go_on_as(NEXT)
    assert concerns.synced({"Y": claim}, {"Y"}, Succession()) == {"Y": 0}
    concerns.reported(report(3), claim, 3)
    assert concerns.synced({"Y": claim}, {"Y"}, Succession()) == {"Y": 0}
    concerns.reported(report(1, NEXT), claim, 1)
    assert concerns.synced({"Y": claim}, {"Y"}, Succession()) == {"Y": 1}


def test_before_the_first_write_there_is_nothing_that_others_could_report() -> None:
    concerns = Concerns("", Limits())
    first = Concern(Dot(OLD, 4), Dot("", 1), 1, 1000, 10)
    concerns.hold(Reply("client", 4, (Written(Dot(OLD, 4), 7),), ran=True, concern=first))
    assert concerns.unasked() is None
    concerns.go_on_as(X)
    assert concerns.unasked() == Dot(X, 1)
