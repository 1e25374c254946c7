"""A node whose machine went back in time moves what it wrote since, whatever its disk does then.

X has made `confirmed`, which its peer Y has as well. Then it wrote `mine` twice under dots under
which Y has another write, `theirs`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from kvnode.codec.batches import decode_batch, encode_batch
from kvnode.core import replica as replica_module
from kvnode.core.batch import Change
from kvnode.core.chain import chained, check_of, told_check_of
from kvnode.core.continuity import PATIENCE_HEARTBEATS
from kvnode.core.limits import GOSSIP_BYTES_MAX
from kvnode.core.members import member_key
from kvnode.core.messages import Claim, Inputs, Pulled, Report
from kvnode.core.requests import AwaitReplicas, Put, Watch
from kvnode.core.results import Unreplicated
from kvnode.core.standing import INQUIRY_FAILURES_MAX
from kvnode.core.vector import new_origin
from kvnode.daemon.node import REOPEN_US, Durability
from kvnode.errors import Refused, StorageError
from kvnode.storage.soundness import examined
from tests.daemon.recorded import (
    HEARTBEAT_US,
    LONG_US,
    OTHER,
    Recorded,
    failures,
    others_write,
    published,
)

KEPT_OR_LOST = pytest.mark.parametrize("kept", [True, False], ids=["kept", "lost"])


class Reverted(Recorded):
    """X, before it has heard of it."""

    def __init__(self, durability: Durability = Durability.ALWAYS) -> None:
        super().__init__(durability)
        self.turn(self.put("confirmed", "v"))
        self.old = self.origins[-1]
        self.hears({self.old: 1}, self.chain)
        shared = self.chain
        self.turn(self.put("mine", "1"))
        self.turn(self.put("mine", "2"))
        write = (Change(b"theirs", b"v"),)
        told = (self.old, 2, {}, self.now_us + 5, (write,))
        self.theirs = decode_batch(encode_batch(*told, shared))
        self.events.clear()

    @property
    def chain(self) -> bytes:
        """That of what it wrote last."""
        return self.node.replica.state.chain_of(self.old)

    def claim_of_y(self, delivered, chain, *, name="Y"):
        checks = b"".join(told_check_of(chain if o == self.old else b"") for o in delivered)
        digest = self.node.replica.state.digest
        return Claim(name, 1, delivered, delivered, digest, {}, self.now_us, checks=checks)

    def hears(self, delivered, chain, *, after_us=0, name="Y"):
        """A turn with what Y claims."""
        self.now_us += after_us
        return self.turn(claims=(self.claim_of_y(delivered, chain, name=name),))

    def hears_of_theirs(self, after_us=HEARTBEAT_US):
        """A turn in which X sees that Y has another write there, and asks for it."""
        return self.hears({self.old: 2}, chained(self.theirs.encoded), after_us=after_us)

    def compares(self, *requests):
        """A turn with Y's answer: X mends in it."""
        return self.turn(*requests, pulled=(Pulled("Y", (self.theirs,)),))

    def mends(self):
        self.hears_of_theirs()
        self.compares()
        assert self.node.mended == 1

    def goes_on(self, after_us=HEARTBEAT_US, turns=1):
        for _ in range(turns):
            self.now_us += after_us
            self.turn()

    def is_mended(self):
        """Both has what it had, under new dots, and takes theirs."""
        assert [self.value(key) for key in ("confirmed", "mine")] == ["v", "2"]
        entries = self.node.replica.cut.entries
        assert entries[self.old] == 1
        (new,) = set(entries) - {self.old}
        assert entries[new] == 3, "two writes, and the record of where they went"
        versions = self.node.replica.versions(b"mine")
        assert [(it.origin, it.seq) for it in versions] == [(new, 2)]
        self.turn(pulled=(Pulled("Y", (self.theirs,)),))
        assert [self.value(key) for key in ("mine", "theirs")] == ["2", "v"]
        assert entries_of(self)[self.old] == 2
        assert not self.node.replica.alarms.raised
        assert not self.node.replica.standing.is_quiet
        assert examined(self.disk).problems == []
        return True


def entries_of(node):
    return node.node.replica.cut.entries


@pytest.fixture(params=[Durability.ALWAYS, Durability.INTERVAL])
def node(request):
    return Reverted(request.param)


# --- it mends


def test_what_it_wrote_is_there_under_new_dots_and_theirs_comes_beside_it(node):
    node.mends()
    assert node.is_mended()


def test_the_mend_is_synced_whatever_the_durability(node):
    node.hears_of_theirs()
    events = node.compares()
    assert events.count(("commit synced",)) == 1
    node.crash()
    assert node.is_mended()


def test_what_is_moved_reaches_others_like_anybodys(node):
    node.mends()
    (new,) = set(entries_of(node)) - {node.old}
    found = [decode_batch(it) for it in node.node.since({node.old: 2}, 1 << 20)]
    assert [(it.origin, it.first, it.last) for it in found] == [
        (new, 1, 1),
        (new, 2, 2),
        (new, 3, 3),
    ]
    assert found[0].previous == chained(node.node._store.since({node.old: 1}, 1)[0])


def test_the_next_write_is_a_later_incarnations(node):
    node.mends()
    (new,) = set(entries_of(node)) - {node.old}
    node.turn(node.put("k", "v"))
    latest = node.origins[-1]
    assert latest not in (new, node.old)
    assert published(node)[-1] == (latest, 1, 1)
    assert node.node.replica.cut.succession.ends[latest] == {new: 3}


def test_it_mends_once(node):
    node.mends()
    assert node.is_mended()
    for _ in range(2):
        node.hears_of_theirs()
        node.compares()
    assert node.node.mended == 1
    assert ("pull", "Y") not in node.events[-2:]


def test_what_was_confirmed_since_its_last_write_stays_where_it_is():
    """That is known in memory only."""
    node = Recorded()
    node.turn(node.put("confirmed", "v"))
    (old,), shared = node.origins[-1:], node.node.replica.state.chain_of(node.origins[-1])
    node.turn(node.put("mine", "1"))
    theirs = encode_batch(old, 2, {}, node.now_us + 5, ((Change(b"theirs", b"v"),),), shared)
    for seq, chain in ((1, shared), (2, chained(theirs))):
        claim = Claim("Y", 1, {old: seq}, {}, 0, {}, node.now_us, checks=check_of(chain))
        node.turn(claims=(claim,))
    node.turn(pulled=(Pulled("Y", (decode_batch(theirs),)),))
    assert node.node.mended == 1
    assert entries_of(node)[old] == 1
    assert [node.value(key) for key in ("confirmed", "mine")] == ["v", "1"]
    assert examined(node.disk).problems == []


# --- while it is in doubt


def test_while_it_compares_it_takes_writes_and_tells_nobody(node):
    node.hears_of_theirs()
    node.events.clear()
    claimed = len(node.claims)
    written = node.put("k", "v")
    node.turn(written)
    node.goes_on(turns=2)
    assert node.answers(written.id)[0].dot
    assert published(node) == []
    told = [dict(it.delivered) for it in node.claims[claimed:]]
    assert len(told) == 2 and told[0] == told[1] == {node.old: 3}
    assert node.node.since({}, 1 << 20) == []
    with pytest.raises(Refused, match="may have gone back in time"):
        node.node.snapshot(None, b"", 1 << 20, node.now_us)


def test_what_it_took_meanwhile_is_moved_as_well(node):
    node.hears_of_theirs()
    node.turn(node.put("k", "v"))
    node.compares()
    assert node.value("k") == "v"
    (new,) = set(entries_of(node)) - {node.old}
    assert entries_of(node) == {node.old: 1, new: 4}


def test_a_peer_that_does_not_answer_is_given_up_and_what_is_unconfirmed_moved(node):
    node.hears_of_theirs()
    asked = 1
    while not node.node.mended:
        assert asked < 99
        asked += 1
        node.now_us = max(node.now_us + HEARTBEAT_US, node.node.wake_us())
        node.hears_of_theirs(0)
    assert node.events.count(("pull", "Y")) == INQUIRY_FAILURES_MAX + 1
    assert node.is_mended()


def test_a_claim_that_comes_with_the_answer_changes_nothing(node):
    node.hears_of_theirs()
    claims = (node.claim_of_y({node.old: 2}, chained(node.theirs.encoded)),)
    node.turn(pulled=(Pulled("Y", (node.theirs,)),), claims=claims)
    assert node.node.mended == 1
    assert node.is_mended()


def test_nor_does_one_of_another_peer_that_knows_nothing(node):
    node.hears_of_theirs()
    node.hears({}, b"", name="Z")
    assert node.node.replica.standing.is_quiet
    node.turn(pulled=(Pulled("Y", (node.theirs,)),), claims=(node.claim_of_y({}, b"", name="Z"),))
    assert node.node.mended == 1
    assert node.is_mended()


def test_a_large_write_meanwhile_is_told_to_nobody_either(node):
    node.hears_of_theirs()
    claimed = len(node.claims)
    node.turn(node.put("k", "v" * (GOSSIP_BYTES_MAX + 1)))
    assert len(node.claims) == claimed


def test_who_can_not_show_its_history_is_not_asked(node):
    """Its log starts later."""
    claim = node.claim_of_y({node.old: 2}, chained(node.theirs.encoded))
    node.now_us += HEARTBEAT_US
    events = node.turn(claims=(replace(claim, floor={node.old: 2}),))
    assert ("pull", "Y") not in events
    assert node.node.mended == 1
    assert node.is_mended()


def test_one_whose_log_starts_where_the_comparison_does_is_asked(node):
    claim = node.claim_of_y({node.old: 2}, chained(node.theirs.encoded))
    node.now_us += HEARTBEAT_US
    events = node.turn(claims=(replace(claim, floor={node.old: 1}),))
    assert ("pull", "Y") in events


def test_as_it_mends_it_asks_for_nothing(node):
    """The answer would come to what it is no more."""
    node.hears_of_theirs()
    delivered = {node.old: 2, OTHER: 1}
    claim = node.claim_of_y(delivered, chained(node.theirs.encoded))
    answer = Pulled("Y", (node.theirs,))
    assert ("pull", "Y") not in node.turn(pulled=(answer,), claims=(claim,))
    assert node.node.mended == 1


def test_what_it_wrote_in_doubt_is_told_at_once_when_it_is_sure(node):
    node.now_us += PATIENCE_HEARTBEATS * HEARTBEAT_US + 1
    node.turn(node.put("k", "v"))
    latest = node.origins[-1]
    assert published(node) == []
    assert node.claims[-1].delivered == {node.old: 3}
    node.hears({node.old: 3}, node.chain)
    assert node.claims[-1].delivered == {latest: 1}


# --- more than it moves


def test_what_is_too_much_takes_a_person_and_it_stays_quiet(node, monkeypatch):
    monkeypatch.setattr(replica_module, "MENDED_BYTES_MAX", 1)
    node.hears_of_theirs()
    node.compares()
    assert "parted" in node.node.replica.alarms.raised
    assert node.node.mended == 0
    node.events.clear()
    for _ in range(3):
        node.hears_of_theirs()
        node.turn(node.put("k", "v"))
    assert node.value("k") == node.value("confirmed") == "v"
    assert published(node) == [] and ("pull", "Y") not in node.events
    assert entries_of(node)[node.old] >= 3


def test_after_a_mere_guess_it_tells_all_that_it_has_again(node, monkeypatch):
    """Y has a later incarnation of X, and no log that tells whether that ends these writes."""
    monkeypatch.setattr(replica_module, "MENDED_BYTES_MAX", 1)
    later = {new_origin("X", 9, 9): 1}
    node.turn(claims=(replace(node.claim_of_y(later, b""), floor=later),))
    assert not node.node.replica.alarms.raised
    node.turn(node.put("k", "v"))
    node.goes_on()
    assert node.claims[-1].delivered == node.node.replica.cut.heads


def test_it_takes_in_what_others_wrote_all_the_same(node, monkeypatch):
    monkeypatch.setattr(replica_module, "MENDED_BYTES_MAX", 1)
    node.hears_of_theirs()
    node.compares()
    delivered = {node.old: 2, OTHER: 1}
    events = node.hears(delivered, chained(node.theirs.encoded), after_us=HEARTBEAT_US)
    assert ("pull", "Y") in events
    node.turn(pulled=(Pulled("Y", (others_write(1),)),))
    assert node.value("k") == "theirs"


# --- who waits


def test_who_waits_for_a_past_waits_on(node):
    read = node.get("k", token={OTHER: 1}, wait_us=LONG_US)
    write = node.put("w", "v", token={OTHER: 1}, wait_us=LONG_US)
    node.turn(read, write)
    node.mends()
    assert not any(reply.id in (read.id, write.id) for reply in node.replies)
    node.turn(batches=(others_write(1),))
    assert node.answers(read.id)[0].versions
    assert node.answers(write.id)[0].dot.origin == node.origins[-1]


def test_a_session_that_saw_what_was_moved_sees_it_though_nobody_has_the_old_dot(node):
    node.mends()
    read = node.get("mine", token={node.old: 3})
    node.turn(read)
    assert node.answers(read.id)[0].versions[0].value == b"2"


def test_one_that_may_have_seen_theirs_waits_for_that_as_well():
    node = WithMember()
    node.mends()
    read = node.get("theirs", token={node.old: 2}, wait_us=LONG_US)
    node.turn(read)
    assert not any(reply.id == read.id for reply in node.replies)
    node.turn(pulled=(Pulled("Y", (node.theirs,)),))
    assert node.answers(read.id)[0].versions[0].value == b"v"


def test_requests_of_the_turn_in_which_it_mends_are_answered_before(node):
    node.hears_of_theirs()
    read, write = node.get("mine"), node.put("k", "v")
    node.compares(read, write)
    assert node.answers(read.id)[0].versions[0].value == b"2"
    assert node.answers(write.id)[0].dot.origin == node.origins[0]
    assert node.value("k") == "v"


# --- the disk fails


@KEPT_OR_LOST
def test_a_mend_whose_commit_fails_is_there_or_is_made_later(node, kept):
    node.hears_of_theirs()
    node.disk.fail_next_commit = kept
    events = node.compares()
    assert ("failed commit",) in events
    assert node.node.health.failures == 1 and node.node.health.writable
    if not kept:
        assert entries_of(node) == {node.old: 3}
        assert node.node.replica.standing.is_quiet
        assert published(node) == []
        node.hears_of_theirs()
        node.compares()
    assert node.is_mended()


@KEPT_OR_LOST
def test_a_mend_that_fails_as_the_disk_is_full_is_there_or_is_made_when_there_is_room(node, kept):
    node.hears_of_theirs()
    node.disk.full, node.disk.fail_next_commit = True, kept or None
    node.compares()
    assert not node.node.health.writable
    for _ in range(3):
        node.goes_on(REOPEN_US // 2)
        node.hears_of_theirs(0)
        refused = [node.put("k", "v"), node.get("mine")]
        node.turn(*refused)
        assert failures(node, *refused) == 2 * [("unavailable", False)], (
            "what is there is not known"
        )
    assert published(node) == []
    node.disk.full = False
    node.goes_on(REOPEN_US)
    assert node.node.health.writable
    if not kept:
        node.hears_of_theirs()
        node.compares()
    assert node.is_mended()


@KEPT_OR_LOST
def test_who_waits_is_answered_though_the_mend_fails(node, kept):
    read = node.get("k", token={OTHER: 1}, wait_us=LONG_US)
    write = node.put("w", "v", token={OTHER: 1}, wait_us=LONG_US)
    node.turn(read, write)
    node.hears_of_theirs()
    node.disk.fail_next_commit = kept
    node.compares()
    assert failures(node, write) == [("unavailable", False)]
    node.turn(batches=(others_write(1),))
    assert node.answers(read.id)[0].versions


@KEPT_OR_LOST
def test_a_power_failure_after_a_mend_that_failed_leaves_one_or_the_other(kept):
    node = Reverted()
    node.hears_of_theirs()
    node.disk.full, node.disk.fail_next_commit = True, kept or None
    node.compares()
    node.disk.full = False
    node.crash()
    if set(entries_of(node)) == {node.old}:
        node.hears_of_theirs()
        node.compares()
    assert node.is_mended()


def test_a_sync_that_fails_after_the_mend_does_it_no_harm(node):
    node.hears_of_theirs()
    node.broken["sync"] = StorageError("bad sector")
    node.compares()
    node.goes_on(REOPEN_US)
    assert node.is_mended()


# --- it is killed


def test_one_that_is_killed_before_it_has_compared_does_so_when_it_runs_again(node):
    node.hears_of_theirs()
    node.start()
    node.hears_of_theirs()
    node.compares()
    assert node.node.mended == 1
    assert node.is_mended()


def test_one_that_is_killed_after_it_goes_on_from_there(node):
    node.mends()
    node.start()
    assert node.is_mended()


@pytest.mark.parametrize("writes", [True, False], ids=["writing", "idle"])
def test_one_that_is_killed_in_doubt_is_in_doubt_when_it_runs_again(node, writes):
    node.now_us += PATIENCE_HEARTBEATS * HEARTBEAT_US + 1
    node.turn(*([node.put("k", "v")] if writes else []))
    node.start()
    assert node.node.replica.standing.is_quiet
    node.turn(node.put("later", "v"))
    assert published(node) == []
    node.hears_of_theirs()
    node.compares()
    assert node.value("later") == "v"
    assert entries_of(node)[node.old] == 1
    assert not node.node.replica.standing.is_quiet


def test_one_that_was_not_in_doubt_is_not(node):
    node.start()
    node.turn(node.put("later", "v"))
    assert len(published(node)) == 1


def test_one_whose_process_starts_has_nothing_moved_that_is_only_said_to_be_longer(node):
    """An older disk that was put back: others have more of the same."""
    node.start()
    more = encode_batch(node.old, 4, {}, node.now_us + 9, ((Change(b"k", b"v"),),), node.chain)
    node.hears({node.old: 4}, chained(more), after_us=HEARTBEAT_US)
    for first in (2, 3):
        batch = node.node._store.batches({node.old: first}, 1)[0]
        node.turn(pulled=(Pulled("Y", (batch,)),))
    node.turn(pulled=(Pulled("Y", (decode_batch(more),)),))
    assert node.node.mended == 0
    assert entries_of(node) == {node.old: 4}
    assert not node.node.replica.standing.is_quiet


def test_what_it_wrote_before_its_disk_failed_is_its_own_still(node):
    """Else it would not move what a peer that is gone has more of."""
    node.disk.fail_next_commit = False
    node.turn(node.put("k", "lost"))
    node.hears({node.old: 5}, chained(b"unseen"), after_us=HEARTBEAT_US)
    for _ in range(99):
        node.now_us = max(node.now_us + HEARTBEAT_US, node.node.wake_us())
        node.turn()
    assert node.node.mended == 1
    assert node.value("mine") == "2"


# --- write concern


class WithMember(Reverted):
    """Y is a member."""

    def __init__(self, durability: Durability = Durability.ALWAYS) -> None:
        super().__init__(durability)
        record = (Change(member_key(OTHER), b"theirs"),)
        self.turn(batches=(decode_batch(encode_batch(OTHER, 1, {}, 1, (record,))),))

    def waits(self):
        """A turn with a put that waits for Y; the request."""
        request = self.request(Put(b"w", b"v"), AwaitReplicas(2, LONG_US // 1000))
        self.turn(request)
        return request

    def reported(self, seq, check):
        report = Report("Y", 1, self.old, seq, check)
        self.node.turn(Inputs(reports=[report]), self.now, self)

    def answered(self, request):
        return [reply.results[-1] for reply in self.replies if reply.id == request.id]


@pytest.fixture
def with_member():
    return WithMember()


def test_a_doubled_write_never_counts_as_on_the_disk_of_who_has_another_there(with_member):
    node = with_member
    waits = node.waits()  # the fourth
    assert node.answered(waits) == []
    node.hears({node.old: 5, OTHER: 1}, chained(b"another"))
    assert node.answered(waits) == []
    node.reported(4, b"else")
    node.reported(4, bytes(4))
    assert node.answered(waits) == []


def test_nobody_is_asked_to_report_it_while_it_compares(with_member):
    node = with_member
    node.hears_of_theirs()
    node.waits()
    assert not any(event[0] == "awaited" for event in node.events)


def test_who_waits_for_it_is_told_that_it_was_moved(with_member):
    node = with_member
    waits = node.waits()
    node.mends()
    (result,) = node.answered(waits)
    assert isinstance(result, Unreplicated)
    assert result.names == ("X",)
    assert "went back in time" in result.reason
    assert node.value("w") == "v"


# --- watches


def watched(node, token):
    """What a watch is told that goes on from a token: keys and values, and the next token."""
    watch = node.request(Watch(b"", is_now=False), token=token, wait_us=1)
    node.turn(watch)
    if not any(reply.id == watch.id for reply in node.replies):
        node.now_us += 1
        node.turn()
    (reply,) = (reply for reply in node.replies if reply.id == watch.id)
    (told,) = reply.results
    return [(event.key, event.value) for event in told.events], reply.token or node.node.vector


MINE = [(b"mine", b"1"), (b"mine", b"2")]
THEIRS = (b"theirs", b"v")


def test_a_watch_that_saw_either_of_two_writes_is_told_of_both_and_then_of_nothing(node):
    """Nobody knows which of them it saw."""
    events, token = watched(node, {})
    assert events == [(b"confirmed", b"v"), *MINE]
    assert token == {node.old: 3}
    node.mends()
    node.turn(pulled=(Pulled("Y", (node.theirs,)),))
    events, token = watched(node, token)
    assert events == [*MINE, THEIRS]
    for _ in range(3):
        events, token = watched(node, token)
        assert events == []


def test_it_is_told_of_theirs_when_they_come_later_and_not_of_its_own_again(node):
    _, token = watched(node, {})
    node.mends()
    events, token = watched(node, token)
    assert events == MINE
    node.turn(pulled=(Pulled("Y", (node.theirs,)),))
    events, token = watched(node, token)
    assert events == [THEIRS]
    assert watched(node, token)[0] == []


def test_one_that_saw_nothing_of_it_is_told_once(node):
    node.mends()
    node.turn(pulled=(Pulled("Y", (node.theirs,)),))
    events, token = watched(node, {node.old: 1})
    assert events == [*MINE, THEIRS]
    assert watched(node, token)[0] == []


def test_one_that_waits_as_it_mends_is_answered_once(node):
    watch = node.request(Watch(b"", is_now=False), token=node.node.vector, wait_us=LONG_US)
    node.turn(watch)
    node.mends()
    node.turn(pulled=(Pulled("Y", (node.theirs,)),))
    (reply,) = (reply for reply in node.replies if reply.id == watch.id)
    (told,) = reply.results
    token = reply.token or node.node.vector
    seen = [(event.key, event.value) for event in told.events] + watched(node, token)[0]
    assert seen == [*MINE, THEIRS]


@KEPT_OR_LOST
def test_one_that_waits_as_the_mend_fails_is_answered_once(node, kept):
    watch = node.request(Watch(b"", is_now=False), token=node.node.vector, wait_us=LONG_US)
    node.turn(watch)
    node.hears_of_theirs()
    node.disk.fail_next_commit = kept
    node.compares()
    for _ in range(2):
        node.hears_of_theirs()
        node.compares()
    node.now_us += LONG_US
    node.turn()
    assert [reply.id for reply in node.replies].count(watch.id) == 1
