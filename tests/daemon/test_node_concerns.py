"""When replies that wait for replicas leave, and that none is forgotten."""

from __future__ import annotations

import pytest

from kvnode.codec.batches import decode_batch, encode_batch
from kvnode.core.batch import Change
from kvnode.core.chain import told_check_of
from kvnode.core.limits import Limits
from kvnode.core.members import member_key
from kvnode.core.messages import Chunk, Claim, Inputs, OriginState, Report
from kvnode.core.requests import AwaitReplicas, Get, Put
from kvnode.core.results import Failed, Replicated, Unreplicated, Written
from kvnode.core.vector import Dot, new_origin
from kvnode.daemon.node import Durability
from kvnode.errors import StorageError
from tests.daemon.recorded import OTHER, SYNC_US, Recorded, others_write

PUT = Put(b"k", b"v")
TIMEOUT_MS = 100
TIMEOUT_US = 1000 * TIMEOUT_MS


class WithPeer(Recorded):
    """A node that knows Y as a member, and has heard it."""

    def __init__(self, durability: Durability = Durability.ALWAYS, **limits: int) -> None:
        super().__init__(durability)
        self.limits = Limits()._replace(**limits)
        self.start()
        record = (Change(member_key(OTHER), b"theirs"),)
        encoded = encode_batch(OTHER, 1, {}, 1, (record,))
        self.turn(batches=(decode_batch(encoded),), claims=(self.claim_of_y({}),))
        self.turn(self.put("before", "v"))
        self.events.clear()

    def claim_of_y(self, synced: dict[str, int], instance: int = 1) -> Claim:
        return Claim("Y", instance, {OTHER: 1}, synced, 0, {}, self.now_us)

    def wait(self, replicas: int, *operations, timeout_ms: int = TIMEOUT_MS, **options) -> int:
        """A turn with a put that waits; the id of the request."""
        operations = (*(operations or [PUT]), AwaitReplicas(replicas, timeout_ms))
        request = self.request(*operations, **options)
        self.turn(request)
        return request.id

    def reported(self, seq: int, *, instance: int = 1, origin: str | None = None) -> None:
        """A turn with a report of Y's."""
        self.tick(Inputs(reports=[self.told_by_y(seq, instance=instance, origin=origin)]))

    def told_by_y(self, seq: int, *, instance: int = 1, origin: str | None = None) -> Report:
        """What Y reports that has the same writes."""
        dot = Dot(origin or self.origins[-1], seq)
        check = told_check_of(self.node.replica.branches.chain_at(dot))
        return Report("Y", instance, *dot, check)

    def tick(self, inputs: Inputs | None = None, after_us: int = 0) -> None:
        """A turn without requests."""
        self.now_us += after_us
        self.node.turn(inputs or Inputs(), self.now, self)

    @property
    def acts(self) -> list[tuple]:
        """What it did, beside its heartbeats."""
        return [event for event in self.events if event[0] != "claim"]

    def last(self, id_: int) -> object:
        """The last result of the only answer to a request; None before it comes."""
        found = [reply for reply in self.replies if reply.id == id_]
        assert len(found) <= 1, "a request is answered once"
        return found[0].results[-1] if found else None


@pytest.fixture
def node():
    return WithPeer()


# --- when they leave


def test_one_replica_is_this_node_in_the_same_turn_and_nobody_is_asked(node):
    id_ = node.wait(1)
    assert node.last(id_) == Replicated(1)
    assert [event[0] for event in node.events] == ["commit synced", "publish", "reply"]


def test_two_are_asked_for_after_the_batch_and_answered_at_the_report(node):
    id_ = node.wait(2)
    assert node.last(id_) is None
    assert node.events[-2:] == [
        ("publish", node.origins[-1], 2, 2),
        ("awaited", node.origins[-1], 2),
    ]
    node.reported(1)
    assert node.last(id_) is None
    node.reported(2)
    assert node.last(id_) == Replicated(2)
    assert node.node.replica.concerns.is_idle


def test_many_writes_of_a_turn_ask_once_and_one_report_answers_all(node):
    requests = [node.request(PUT, AwaitReplicas(2, TIMEOUT_MS)) for _ in range(3)]
    node.turn(*requests)
    assert [event[0] for event in node.events].count("awaited") == 1
    node.reported(4)
    assert [node.last(request.id) for request in requests] == 3 * [Replicated(2)]


def test_a_lost_report_is_made_up_for_by_the_next_heartbeat(node):
    id_ = node.wait(2)
    node.turn(claims=(node.claim_of_y({node.origins[-1]: 2}),))
    assert node.last(id_) == Replicated(2)


def test_a_claim_that_says_less_than_the_report_before_takes_it_back(node):
    node.wait(2)
    node.reported(3 - 1)
    id_ = node.wait(2)
    node.reported(3, instance=2)
    assert node.last(id_) is None, "not the process whose heartbeats come"
    node.turn(claims=(node.claim_of_y({}, instance=2),))
    assert node.last(id_) is None


def test_a_member_that_is_forgotten_counts_no_more(node):
    record = (Change(member_key(OTHER), None),)
    forgotten = decode_batch(encode_batch(OTHER, 2, {}, 2, (record,)))
    id_ = node.wait(2)
    node.turn(batches=(forgotten,))
    node.turn(claims=(node.claim_of_y({node.origins[-1]: 9}),))
    assert node.last(id_) is None


def test_after_the_time_the_answer_tells_who_has_it(node):
    id_ = node.wait(2)
    assert node.node.wake_us() <= node.now_us + TIMEOUT_US
    node.tick(after_us=TIMEOUT_US - 1)
    assert node.last(id_) is None
    node.tick(after_us=1)
    dot = Dot(node.origins[-1], 2)
    assert node.last(id_) == Unreplicated("the time is up", dot, 2, ("X",))
    assert node.value("k") == "v"


def test_with_no_time_the_answer_comes_in_the_same_turn(node):
    assert isinstance(node.last(node.wait(2, timeout_ms=0)), Unreplicated)


def test_other_requests_do_not_wait_for_those_that_do(node):
    node.wait(2)
    assert node.value("k") == "v"


def test_what_wrote_nothing_waits_for_nobody(node):
    assert node.last(node.wait(2, Get(b"k"))) == Replicated(0)


def test_a_request_that_waits_for_its_past_waits_for_replicas_afterwards(node):
    id_ = node.wait(2, token={OTHER: 2}, wait_us=10 * TIMEOUT_US)
    node.now_us += 5 * TIMEOUT_US
    node.turn(batches=(others_write(2),))
    assert node.last(id_) is None, "its time counts from when it was run"
    node.reported(2)
    assert node.last(id_) == Replicated(2)


# --- durability


def test_with_interval_this_node_counts_after_its_sync():
    node = WithPeer(Durability.INTERVAL)
    id_ = node.wait(2, timeout_ms=10_000)
    node.reported(2)
    assert node.last(id_) is None
    node.tick(after_us=SYNC_US)
    assert node.last(id_) == Replicated(2)
    assert node.acts[-2:] == [("sync",), ("reply", id_, "written")]


def test_with_never_this_node_does_not_count():
    node = WithPeer(Durability.NEVER)
    id_ = node.wait(1)
    node.tick(after_us=TIMEOUT_US)
    assert node.last(id_) == Unreplicated("the time is up", Dot(node.origins[-1], 2), 1, ())


# --- reporting


def test_it_reports_what_others_wait_for_once_after_the_commit(node):
    node.node.turn(Inputs(batches=[others_write(2)], awaited=[Dot(OTHER, 2)]), node.now, node)
    assert node.events == [("commit synced",), ("report", OTHER, 2)]
    node.tick()
    assert len(node.events) == 2


def test_it_reports_what_was_held_back_first_when_it_is_delivered(node):
    node.node.turn(Inputs(batches=[others_write(3)], awaited=[Dot(OTHER, 3)]), node.now, node)
    assert node.events == []
    node.turn(batches=(others_write(2),))
    assert node.events == [("commit synced",), ("report", OTHER, 3)]


def test_with_interval_it_reports_after_its_sync():
    node = WithPeer(Durability.INTERVAL)
    node.node.turn(Inputs(batches=[others_write(2)], awaited=[Dot(OTHER, 2)]), node.now, node)
    assert node.events == [("commit",)]
    node.tick(after_us=SYNC_US)
    assert node.acts[-2:] == [("sync",), ("report", OTHER, 2)]


def test_with_never_it_reports_nothing_new():
    node = WithPeer(Durability.NEVER)
    node.node.turn(Inputs(batches=[others_write(2)], awaited=[Dot(OTHER, 2)]), node.now, node)
    node.tick(after_us=10 * SYNC_US)
    assert "report" not in {event[0] for event in node.events}


def test_a_commit_that_fails_is_not_reported(node):
    node.disk.fail_next_commit = False
    node.node.turn(Inputs(batches=[others_write(2)], awaited=[Dot(OTHER, 2)]), node.now, node)
    assert "report" not in {event[0] for event in node.events}


# --- room


def test_beyond_the_limit_a_request_is_refused_before_it_is_run():
    node = WithPeer(concerns_max=1)
    first, second, third = (node.request(PUT, AwaitReplicas(2, TIMEOUT_MS)) for _ in range(3))
    node.turn(first, second)
    node.turn(third)
    for refused in (second, third):
        failed = node.last(refused.id)
        assert isinstance(failed, Failed) and (failed.code, failed.maybe) == ("overloaded", False)
    assert node.node.replica.cut.entries[node.origins[-1]] == 2
    node.reported(2)
    assert node.last(first.id) == Replicated(2)
    assert node.last(node.wait(1)) == Replicated(1), "there is room again"


# --- nobody is forgotten


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "lost"])
def test_when_the_disk_fails_those_before_are_told_and_those_of_the_turn_may_be_there(node, kept):
    before = node.wait(2)
    node.disk.fail_next_commit = kept
    during = node.wait(2)
    told = node.last(before)
    assert isinstance(told, Unreplicated) and told.reason.startswith("the node's disk failed")
    assert told.names == ("X",)
    failed = node.last(during)
    assert isinstance(failed, Failed) and (failed.code, failed.maybe) == ("commit_failed", True)
    node.tick(after_us=TIMEOUT_US)


def test_a_report_that_comes_in_the_turn_that_fails_counts(node):
    id_ = node.wait(2)
    node.disk.fail_next_commit = False
    report = node.told_by_y(2)
    node.node.turn(Inputs(reports=[report], requests=[node.put("k", "w")]), node.now, node)
    assert node.last(id_) == Replicated(2)


def test_a_read_that_fails_its_turn_leaves_the_write_undone_and_answered(node):
    before = node.wait(2)
    node.broken["read"] = StorageError("bad sector")
    during = node.wait(2)
    assert isinstance(node.last(before), Unreplicated)
    failed = node.last(during)
    assert isinstance(failed, Failed) and (failed.code, failed.maybe) == ("unavailable", False)


def test_a_node_that_shuts_down_tells_them(node):
    id_ = node.wait(2)
    node.node.close(node)
    told = node.last(id_)
    assert isinstance(told, Unreplicated) and told.reason == "the node is shutting down"


def test_a_new_incarnation_tells_those_of_the_one_before(node):
    id_ = node.wait(2, timeout_ms=60_000)
    copy = new_origin("X", 1, 99)
    written = decode_batch(encode_batch(copy, 1, {}, 5, ((Change(b"c", b"v"),),)))
    node.turn(batches=(written,))
    node.tick(after_us=10 * SYNC_US)
    told = node.last(id_)
    assert told == Unreplicated(
        "the node went on as a new incarnation", Dot(node.origins[-2], 2), 2, ("X",)
    )


def test_a_snapshot_that_is_put_in_place_tells_them(node):
    id_ = node.wait(2)
    floor = {OTHER: 5}
    node.turn(claims=(Claim("Y", 1, floor, floor, 0, floor, node.now_us),))
    node.turn(chunks=(Chunk("Y", 1, b"", 5, 0, {OTHER: OriginState(5, 5, {}, {})}, {}, None),))
    told = node.last(id_)
    assert isinstance(told, Unreplicated) and told.reason == "the node puts a snapshot in place"


def test_the_writes_own_results_come_along(node):
    id_ = node.wait(2, PUT, Get(b"k"))
    node.reported(2)
    (reply,) = (reply for reply in node.replies if reply.id == id_)
    written, entry, replicated = reply.results
    assert isinstance(written, Written) and entry.versions[0].value == b"v"
    assert replicated == Replicated(2) and reply.ran
