"""The replica as a member: joining, registering, renewing its record, forgetting others."""

from __future__ import annotations

import pytest

from kvnode.codec.batches import decode_batch, encode_batch
from kvnode.codec.client import forget, get, put
from kvnode.codec.token import encode_token
from kvnode.core.batch import Batch, Change
from kvnode.core.catch_up import HEAR_HEARTBEATS
from kvnode.core.clock import Now
from kvnode.core.doubts import DOUBT_HEARTBEATS
from kvnode.core.limits import Limits
from kvnode.core.members import member_key
from kvnode.core.messages import Claim, Effects, Inputs
from kvnode.core.registration import REGISTER_HEARTBEATS, REGISTER_TRIES_MAX
from kvnode.core.repair import ALIVE_HEARTBEATS
from kvnode.core.replica import Identity, Replica
from kvnode.core.results import Delayed, Entry, Failed, Lost, Result, Written
from kvnode.core.vector import Dot, Vector, new_origin
from kvnode.storage.memory import MemoryDisk, MemoryStore
from tests.cluster import HEARTBEAT_US, request

REGISTER_US = REGISTER_HEARTBEATS * HEARTBEAT_US
Y, Z = (new_origin(name, 1, 1) for name in "YZ")


class Member:
    """X's replica on a disk, and the time."""

    def __init__(self, disk: MemoryDisk | None = None, incarnation: int = 1) -> None:
        self.disk = disk or MemoryDisk()
        self.store = MemoryStore(self.disk)
        self.origin = new_origin("X", 1, incarnation)
        self.now_us = 1_000
        self.replica = Replica(
            Identity("X", incarnation, b"address"),
            self.store.load(),
            self.store,
            encode_batch,
            lambda: 0.5,
            new_origin=iter([self.origin, new_origin("X", 2, incarnation)]).__next__,
            limits=Limits(),
            heartbeat_us=HEARTBEAT_US,
            commits_are_synced=True,
        )

    def turn(self, inputs: Inputs | None = None, after_us: int = 0) -> Effects:
        """A turn, after some time, and its commit."""
        self.now_us += after_us
        effects = self.replica.turn(inputs or Inputs(), Now(self.now_us, self.now_us))
        if effects.commit is not None:
            self.store.commit(effects.commit, sync=True)
        return effects

    def ask(self, *operations: list[object], after_us: int = 0) -> list[Result]:
        """What a client is told."""
        asked = request(None, None, 0, operations, self.now_us)
        (reply,) = self.turn(Inputs(requests=[asked]), after_us).replies
        return list(reply.results)

    def hear(self, delivered: Vector, name: str = "Y", after_us: int = 0) -> Effects:
        """A turn with a peer's claim."""
        return self.turn(Inputs(claims=[claim(delivered, name)]), after_us)

    def restarted(self, incarnation: int) -> Member:
        """The next process on the same disk."""
        return Member(self.disk, incarnation)

    @property
    def members(self) -> set[str]:
        return self.replica.members.names()


def claim(delivered: Vector, name: str = "Y") -> Claim:
    return Claim(name, 1, delivered, delivered, 0, {}, 0)


def registration(origin: str, deps: Vector | None = None) -> Batch:
    """Another's first batch: its member record."""
    writes = ((Change(member_key(origin), b"theirs"),),)
    encoded = encode_batch(origin, 1, deps or {}, 1, writes)
    return Batch(origin, 1, deps or {}, 1, writes, encoded)


# --- registering


def test_a_process_registers_soon_after_its_start_though_nobody_writes() -> None:
    member = Member()
    assert member.turn().publish == ()
    assert member.turn(after_us=REGISTER_US - 1).publish == ()
    (batch,) = member.turn(after_us=1).publish
    assert batch.writes == ((Change(member_key(member.origin), b"address"),),)
    assert member.members == {"X"}
    assert member.replica.record == Dot(member.origin, 1)
    assert member.turn(after_us=10 * REGISTER_US).publish == ()


def test_it_wakes_for_that() -> None:
    member = Member()
    member.turn()
    while member.replica.wake_us() < 1_000 + REGISTER_US:
        member.turn(after_us=member.replica.wake_us() - member.now_us)
        assert member.members == set()
    member.turn(after_us=member.replica.wake_us() - member.now_us)
    assert member.members == {"X"}


def test_the_first_write_registers_at_once_in_the_same_batch() -> None:
    member = Member()
    (written,) = member.ask(put(b"a", b"1"))
    assert isinstance(written, Written)
    assert written.dot == Dot(member.origin, 2)
    assert member.replica.record == Dot(member.origin, 1)
    assert member.turn(after_us=REGISTER_US).publish == ()


def test_reading_registers_nobody() -> None:
    member = Member()
    member.ask(get(b"a"))
    assert member.members == set()


def test_each_process_renews_the_record_in_place_of_the_one_before() -> None:
    member = Member()
    member.ask(put(b"a", b"1"))
    again = member.restarted(2)
    assert again.replica.record == Dot(member.origin, 1), "until it registers"
    again.ask(put(b"a", b"2"))
    assert again.replica.record == Dot(again.origin, 1)
    assert len(again.replica.members.records("X")) == 1
    assert again.store.versions(member_key(member.origin)) == ()


def test_who_lacks_what_peers_claim_waits_with_registering_but_not_for_ever() -> None:
    member = Member()
    member.ask(put(b"a", b"1"))
    again = member.restarted(2)
    for _ in range(REGISTER_HEARTBEATS + REGISTER_TRIES_MAX):
        assert again.hear({Y: 9}, after_us=HEARTBEAT_US).publish == ()
    assert len(again.hear({Y: 9}, after_us=HEARTBEAT_US).publish) == 1


def test_what_only_a_dead_peer_had_keeps_nobody_from_registering() -> None:
    member = Member()
    member.ask(put(b"a", b"1"))
    again = member.restarted(2)
    again.hear({Y: 9})
    turns = [again.turn(after_us=HEARTBEAT_US).publish for _ in range(ALIVE_HEARTBEATS + 1)]
    assert sum(map(len, turns)) == 1


# --- joining


def is_refused(
    member: Member, operation: list[object], token: Vector | None = None, *, unheard: bool = False
) -> bool:
    """Whether a client is told that the node joins, and that nothing was done."""
    encoded = None if token is None else encode_token("c", token)
    asked = request(None, encoded, 1000, [operation], member.now_us)
    inputs = Inputs(requests=[asked], unheard=unheard)
    ((refused,),) = (reply.results for reply in member.turn(inputs).replies)
    return isinstance(refused, Failed) and (refused.code, refused.maybe) == ("joining", False)


def test_who_knows_of_nobody_answers_at_once() -> None:
    member = Member()
    assert member.ask(get(b"a")) == [Entry((), 0)]
    assert isinstance(member.ask(put(b"a", b"1"))[0], Written)


def test_who_has_nothing_though_others_have_answers_nobody() -> None:
    member = Member()
    member.hear({Y: 1})
    assert is_refused(member, get(b"a"))
    assert is_refused(member, put(b"a", b"1"))
    assert member.replica.cut.entries == {}


def test_who_has_begun_to_answer_goes_on_whatever_others_have() -> None:
    member = Member()
    member.hear({})
    assert member.ask(get(b"a")) == [Entry((), 0)], "others that have nothing do not count"
    member.hear({Y: 1})
    assert member.ask(get(b"a")) == [Entry((), 0)], "a client was told so before"


def test_who_has_nothing_and_has_not_heard_all_answers_nobody_however_long_it_takes() -> None:
    member = Member()
    for _ in range(3 * HEAR_HEARTBEATS):
        effects = member.turn(Inputs(unheard=True), HEARTBEAT_US)
        assert effects.publish == ()
        assert is_refused(member, get(b"a"), unheard=True)


def test_what_it_was_told_of_unheard_peers_holds_until_it_is_told_otherwise() -> None:
    """As in the turn that a driver makes of reads after a commit has failed."""
    member = Member()
    member.turn(Inputs(unheard=True))
    asked = request(None, None, 0, [get(b"a")], member.now_us)
    (reply,) = member.turn(Inputs(requests=[asked])).replies
    assert isinstance(reply.results[0], Failed)
    member.turn(Inputs(unheard=False))
    assert member.ask(get(b"a")) == [Entry((), 0)]


def test_a_session_that_has_seen_something_is_told_so_too_and_not_that_it_is_lost() -> None:
    member = Member()
    for _ in range(10 * DOUBT_HEARTBEATS):
        member.turn(Inputs(unheard=True), HEARTBEAT_US)
        assert is_refused(member, get(b"a"), token={Y: 1}, unheard=True)


def test_who_joins_does_not_register_however_long_it_takes() -> None:
    member = Member()
    for _ in range(3 * REGISTER_TRIES_MAX):
        assert member.hear({Y: 1}, after_us=HEARTBEAT_US).publish == ()


def test_who_has_a_part_of_what_its_peers_have_joins_on_and_claims_nothing() -> None:
    member = Member()
    member.hear({Y: 2})
    member.turn(Inputs(batches=[registration(Y)]))
    assert is_refused(member, get(b"a"))
    claim = member.turn(Inputs(known=("tcp://y:1",)), after_us=HEARTBEAT_US).claim
    assert claim is not None
    assert (claim.delivered, claim.synced, claim.floor, claim.digest) == ({}, {}, {}, 0)
    assert claim.known == ("tcp://y:1",), "who hears it must not take the cluster for empty"


def test_who_has_joined_tells_nobody_where_others_are() -> None:
    member = Member()
    member.ask(put(b"a", b"1"))
    claim = member.turn(Inputs(known=("tcp://y:1",)), after_us=HEARTBEAT_US).claim
    assert claim is not None
    assert claim.known == ()


def test_who_was_killed_while_it_joined_joins_on() -> None:
    member = Member()
    member.hear({Y: 2})
    member.turn(Inputs(batches=[registration(Y)]))
    again = member.restarted(2)
    again.turn(Inputs(unheard=True))
    assert is_refused(again, get(b"a"), unheard=True)


def test_it_has_joined_with_all_that_its_peers_had_and_says_so_on_its_disk() -> None:
    member = Member()
    member.hear({Y: 1})
    member.turn(Inputs(batches=[registration(Y)]))
    assert isinstance(member.ask(put(b"a", b"1"))[0], Written)
    again = member.restarted(2)
    again.turn(Inputs(unheard=True))
    assert len(again.ask(get(b"a"))) == 1, "a node with data answers alone"


def test_who_has_data_never_joins_though_others_have_more() -> None:
    member = Member()
    member.ask(put(b"a", b"1"))
    member.hear({Y: 9})
    assert isinstance(member.ask(put(b"a", b"1"))[0], Written)


def test_who_knows_of_others_and_heard_none_calls_nothing_lost() -> None:
    member = Member()
    member.ask(put(b"a", b"1"))

    def told(*, unheard: bool) -> set[type[Result]]:
        """What sessions get that have seen what is not here, one after the other."""
        results = set()
        for _ in range(10 * DOUBT_HEARTBEATS):
            token = encode_token("c", {Z: 1})
            asked = request(None, token, 0, [get(b"a")], member.now_us)
            inputs = Inputs(requests=[asked], unheard=unheard)
            results |= {type(it.results[0]) for it in member.turn(inputs, HEARTBEAT_US).replies}
        return results

    assert told(unheard=True) == {Delayed}
    assert told(unheard=False) == {Delayed, Lost}, "all that there are is this node"


# --- forgetting


def refusal(member: Member, name: str, after_us: int = 0) -> str:
    (refused,) = member.ask(forget(name), after_us=after_us)
    assert isinstance(refused, Failed)
    assert (refused.code, refused.maybe) == ("refused", False)
    return refused.message


def with_peer() -> Member:
    """X, which counts Y as a member."""
    member = Member()
    member.ask(put(b"a", b"1"))
    member.turn(Inputs(batches=[registration(Y)]))
    assert member.members == {"X", "Y"}
    return member


def test_the_living_can_not_be_forgotten() -> None:
    member = with_peer()
    member.hear({Y: 1})
    assert "Y is alive" in refusal(member, "Y")
    assert "Y is alive" in refusal(member, "Y", ALIVE_HEARTBEATS * HEARTBEAT_US - 1)
    assert "X is alive" in refusal(member, "X")
    assert member.members == {"X", "Y"}


def test_who_is_no_member_can_not_be_forgotten() -> None:
    assert "Z is no member" in refusal(with_peer(), "Z")


def test_who_was_silent_for_long_can() -> None:
    member = with_peer()
    member.hear({Y: 1})
    (written,) = member.ask(forget("Y"), after_us=ALIVE_HEARTBEATS * HEARTBEAT_US)
    assert isinstance(written, Written)
    assert member.members == {"X"}
    assert "Y" not in member.replica.repair.claims
    assert member.replica.others() == set()


def test_who_died_before_it_was_a_member_counts_no_longer_than_it_is_heard() -> None:
    """It could not be forgotten: it must neither pin the log nor keep anything from being lost."""
    member = with_peer()
    member.hear({}, "Z")
    assert member.replica.others() == {"Y", "Z"}
    member.turn(after_us=ALIVE_HEARTBEATS * HEARTBEAT_US)
    assert member.replica.others() == {"Y"}


def test_who_was_never_heard_can() -> None:
    member = with_peer()
    assert isinstance(member.ask(forget("Y"))[0], Written)
    assert member.members == {"X"}


def test_a_record_made_meanwhile_survives() -> None:
    member = with_peer()
    member.ask(forget("Y"))
    later = new_origin("Y", 2, 2)
    member.turn(Inputs(batches=[registration(later, {Y: 1})]))
    assert member.members == {"X", "Y"}


# --- being forgotten


def test_who_is_told_that_it_was_forgotten_joins_anew() -> None:
    member = with_peer()
    record = member.replica.record
    assert record is not None
    member.turn(after_us=REGISTER_US)
    (batch,) = member.turn(Inputs(forgotten=[record]), HEARTBEAT_US).publish
    assert batch.writes[0][0] == Change(member_key(member.origin), b"address")
    assert member.replica.record == Dot(member.origin, batch.first)


def test_an_old_record_that_was_forgotten_does_not_matter() -> None:
    member = with_peer()
    again = member.restarted(2)
    again.ask(put(b"a", b"2"))
    assert again.turn(Inputs(forgotten=[Dot(member.origin, 1)]), REGISTER_US).publish == ()
    assert again.replica.alarms.raised == {}


def test_who_delivers_that_it_was_forgotten_joins_anew() -> None:
    member = with_peer()
    member.turn(after_us=REGISTER_US)
    seen = {member.origin: 2}
    writes = ((Change(member_key(member.origin), None),),)
    forgetting = Batch(Y, 2, seen, 9_999, writes, encode_batch(Y, 2, seen, 9_999, writes))
    (batch,) = member.turn(Inputs(batches=[forgetting]), HEARTBEAT_US).publish
    assert "forgotten" in member.replica.alarms.raised
    assert member.replica.record == Dot(member.origin, batch.first)
    member.turn()
    assert member.replica.alarms.raised == {}


def test_what_an_old_log_tells_of_an_earlier_forgetting_is_no_news() -> None:
    """The disk is new: its node was a member, was forgotten, and joined again, long ago."""
    member = Member()
    first, second = new_origin("X", 1, 8), new_origin("X", 1, 9)
    seen = {first: 1}
    writes = ((Change(member_key(first), None),),)
    forgetting = Batch(Y, 1, seen, 5, writes, encode_batch(Y, 1, seen, 5, writes))
    member.turn(Inputs(batches=[registration(first), forgetting]))
    assert member.replica.alarms.raised == {}
    member.turn(Inputs(batches=[registration(second, {first: 1, Y: 1})]))
    assert member.members == {"X"}


# --- incarnations that come to light late


@pytest.mark.parametrize("knows_all", [False, True])
def test_another_incarnation_of_the_name_calls_for_a_new_one(knows_all: bool) -> None:
    member = Member()
    member.ask(put(b"a", b"1"))
    assert not member.replica.has_unended()
    other = new_origin("X", 1, 7)
    member.hear({other: 1} if knows_all else {other: 2})
    member.turn(Inputs(batches=[registration(other)]))
    assert member.replica.has_unended() == knows_all, "only once all that is claimed has come"
    again = member.restarted(2)
    assert not again.replica.has_unended(), "its first write will end both"
    again.ask(put(b"a", b"2"))
    assert not again.replica.has_unended()
    assert again.replica.cut.heads == {again.origin: 2}


# --- after a snapshot was put in place


def followed(member: Member) -> Member:
    """The replica that follows this one in its process."""
    next_one = member.restarted(2)
    next_one.replica.goes_on(member.replica.registered)
    return next_one


def test_who_has_registered_need_not_again_after_a_snapshot_but_writes_as_a_new_incarnation() -> (
    None
):
    member = Member()
    member.ask(put(b"a", b"1"))
    first = followed(member)
    first.turn()
    assert first.turn(after_us=10 * REGISTER_US).publish == ()
    again = followed(first)
    again.turn()
    assert again.turn(after_us=10 * REGISTER_US).publish == ()
    again.ask(put(b"a", b"2"))
    assert again.replica.record == Dot(again.origin, 1)
    assert again.replica.cut.heads == {again.origin: 2}


def test_who_had_not_registered_does_so_after_a_snapshot() -> None:
    member = Member()
    member.turn()
    again = followed(member)
    again.turn()
    assert again.turn(after_us=REGISTER_US).publish


def test_who_had_registered_does_so_again_if_a_snapshot_brings_another_record_of_its_name() -> None:
    member = Member()
    member.ask(put(b"a", b"1"))
    registered = member.replica.registered
    member.turn(Inputs(batches=[registration(new_origin("X", 1, 7))]))
    again = member.restarted(2)
    again.replica.goes_on(registered)
    again.turn()
    assert again.turn(after_us=REGISTER_US).publish
    assert again.replica.cut.heads == {again.origin: 1}


def test_what_comes_to_light_later_calls_for_a_new_incarnation_all_the_same() -> None:
    member = Member()
    member.ask(put(b"a", b"1"))
    again = followed(member)
    assert not again.replica.has_unended()
    again.turn(Inputs(batches=[registration(new_origin("X", 1, 7))]))
    assert again.replica.has_unended()


# --- strangers: who is heard, and no member as yet


def founder() -> Member:
    """X, which has founded its cluster alone."""
    member = Member()
    member.turn(Inputs(unheard=False))
    member.turn(after_us=REGISTER_US)
    assert "X" in member.replica.members.names()
    return member


def test_a_claim_tells_that_its_node_lacks_what_a_stranger_has() -> None:
    member = founder()
    theirs = Claim("Y", 1, {Y: 1}, {Y: 1}, 0, {}, 0)
    told = member.turn(Inputs(claims=[theirs]), after_us=HEARTBEAT_US).claim
    assert told is not None and told.is_not_all
    told = member.turn(after_us=ALIVE_HEARTBEATS * HEARTBEAT_US).claim
    assert told is not None and not told.is_not_all, "it may be gone"


def test_who_has_all_of_a_stranger_or_knows_it_as_a_member_lacks_nothing_of_strangers() -> None:
    member = founder()
    no_record, record = (Change(b"k", b"v"),), (Change(member_key(Y), b"address"),)
    for seq, write in enumerate((no_record, record), 1):
        batch = decode_batch(encode_batch(Y, seq, {}, seq, (write,)))
        theirs = Claim("Y", 1, {Y: seq}, {Y: seq}, 0, {}, 0)
        inputs = Inputs(batches=[batch], claims=[theirs])
        told = member.turn(inputs, after_us=HEARTBEAT_US).claim
        assert told is not None and not told.is_not_all
    assert "Y" in member.replica.members.names()
    theirs = Claim("Y", 1, {Y: 3}, {Y: 3}, 0, {}, 0)
    told = member.turn(Inputs(claims=[theirs]), after_us=HEARTBEAT_US).claim
    assert told is not None and not told.is_not_all, "all wait for what it claims"


# --- going on as another incarnation


def test_who_may_have_gone_back_goes_on_anew_with_its_next_write() -> None:
    member = Member()
    member.ask(put(b"k", b"1"))
    member.replica.renew()
    assert member.turn(after_us=10 * REGISTER_US).publish == ()
    (result,) = member.ask(put(b"k", b"2"))
    assert isinstance(result, Written)
    assert result.dot == Dot(member.replica.origin, 2)
    assert result.dot.origin != member.origin
    assert member.replica.record == Dot(result.dot.origin, 1)
    assert member.replica.cut.heads == {result.dot.origin: 2}
    assert not member.replica.renews


def test_its_own_writes_that_it_has_not_show_that_it_has_gone_back() -> None:
    member = Member()
    member.ask(put(b"k", b"1"))
    member.hear({member.origin: 2})
    assert not member.replica.renews
    member.hear({member.origin: 3})
    assert member.replica.renews


def test_so_do_those_that_come_and_these_are_delivered() -> None:
    member = Member()
    member.ask(put(b"k", b"1"))
    lacked = ((Change(b"lacked", b"v"),),)
    batch = Batch(member.origin, 3, {}, 9, lacked, encode_batch(member.origin, 3, {}, 9, lacked))
    asked = request(None, None, 0, [put(b"k", b"2")], member.now_us)
    (made,) = member.turn(Inputs(batches=[batch], requests=[asked])).publish
    assert made.origin != member.origin and made.deps == {member.origin: 3}


def test_a_marker_waits_until_a_peer_is_heard() -> None:
    """Who went back in time is told so, perhaps, and can wait for that."""
    member = Member()
    member.hear({})
    member.ask(put(b"k", b"1"))
    waits = request(None, encode_token("c", {Y: 1}), 600_000, [get(b"k")], member.now_us)
    member.turn(Inputs(requests=[waits]))
    for _ in range(2 * DOUBT_HEARTBEATS):
        assert not member.turn(after_us=HEARTBEAT_US // 2).publish
    assert member.hear({}, after_us=HEARTBEAT_US).publish


def test_what_somebody_claims_is_in_no_doubt_and_calls_for_no_marker() -> None:
    member = Member()
    member.hear({})
    member.ask(put(b"k", b"1"))
    member.hear({Y: 1})
    waits = request(None, encode_token("c", {Y: 1}), 600_000, [get(b"k")], member.now_us)
    member.turn(Inputs(requests=[waits]))
    for _ in range(2 * DOUBT_HEARTBEATS):
        assert not member.hear({Y: 1}, after_us=HEARTBEAT_US).publish
    published = [
        member.hear({}, after_us=HEARTBEAT_US).publish for _ in range(2 * DOUBT_HEARTBEATS)
    ]
    assert any(published), "nobody claims it any more"


def test_a_marker_that_opens_another_incarnation_is_its_record() -> None:
    member = Member()
    member.hear({})
    member.ask(put(b"k", b"1"))
    waits = request(None, encode_token("c", {Y: 1}), 600_000, [get(b"k")], member.now_us)
    member.turn(Inputs(requests=[waits]))
    member.replica.renew()
    published: list[Batch] = []
    for _ in range(2 * DOUBT_HEARTBEATS):
        published += member.hear({}, after_us=HEARTBEAT_US).publish
    (batch,) = published
    assert batch.origin != member.origin and batch.first == 1
    assert member.replica.record == Dot(batch.origin, 1)


@pytest.mark.parametrize(("first", "values"), [(1, b"a"), (1, b"ab"), (2, b"b"), (2, b"x")])
def test_a_write_that_is_here_must_be_what_is_here(first: int, values: bytes) -> None:
    member = Member()
    one, two = theirs(1, b"a"), theirs(2, b"bc")
    member.turn(Inputs(batches=[one, two]))
    member.turn(Inputs(batches=[one, two]))
    assert not member.replica.alarms.raised
    other = theirs(first, values)
    member.turn(Inputs(batches=[other]))
    is_here = other in (one, two)
    assert list(member.replica.alarms.raised) == ([] if is_here else ["doubled Y"])


def theirs(first: int, values: bytes) -> Batch:
    """Another's batch, with a write for each of these."""
    writes = tuple((Change(b"k", bytes([value])),) for value in values)
    return Batch(Y, first, {}, 5, writes, encode_batch(Y, first, {}, 5, writes))
