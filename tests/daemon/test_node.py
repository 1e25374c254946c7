"""The order of a turn, what survives a crash, and what the heartbeats say of it."""

from __future__ import annotations

import pytest

from kvnode.codec.batches import decode_batch
from kvnode.core.requests import Get, Put
from kvnode.daemon.node import Durability
from tests.daemon.recorded import HEARTBEAT_US, OTHER, SYNC_US, Recorded, others_write


def kinds(events):
    return [event[0] for event in events]


@pytest.fixture
def node():
    recorded = Recorded()
    recorded.turn()  # its first turn has its first heartbeat
    return recorded


def test_a_write_is_saved_then_published_then_answered(node):
    assert kinds(node.turn(node.put("k", "v"))) == ["commit synced", "publish", "reply"]


def test_the_heartbeat_comes_after_the_data_and_before_the_answers(node):
    node.now_us += HEARTBEAT_US
    origin = node.origins[0]
    assert node.turn(node.put("k", "v")) == [
        ("commit synced",),
        ("publish", origin, 1, 1),
        ("claim", {origin: 1}),
        ("reply", 1, "written"),
    ]


def test_a_turn_has_one_commit_and_one_batch_for_all_its_writes(node):
    events = node.turn(*(node.put(f"k{n}", "v") for n in range(100)))
    assert kinds(events) == ["commit synced", "publish"] + 100 * ["reply"]
    assert events[1] == ("publish", node.origins[0], 1, 100)


def test_answers_come_in_the_order_of_the_requests(node):
    requests = [node.put("k", "1"), node.get("k"), node.delete("k"), node.get("k")]
    node.turn(*requests)
    assert [reply.id for reply in node.replies] == [request.id for request in requests]
    _, present, _, gone = node.answers(1, 2, 3, 4)
    assert present.versions[0].value == b"1" and gone.versions == ()


def test_reading_alone_saves_and_publishes_nothing(node):
    assert node.turn(node.get("k")) == [("reply", 1, "entry")]


def test_a_turn_with_nothing_does_nothing(node):
    assert node.turn() == []


def test_a_peers_write_is_saved_before_a_client_sees_it(node):
    assert kinds(node.turn(node.get("k"), batches=(others_write(1, "k", "v"),))) == [
        "commit synced",
        "reply",
    ]
    assert node.answers(1)[0].versions[0].value == b"v"


def test_a_peers_write_and_our_own_share_a_commit_and_only_ours_is_published(node):
    events = node.turn(node.put("k", "mine"), batches=(others_write(1, "k", "theirs"),))
    assert events == [
        ("commit synced",),
        ("publish", node.origins[0], 1, 1),
        ("reply", 1, "written"),
    ]
    assert node.value("k") == "mine"


def test_several_operations_of_a_request_are_answered_in_one(node):
    node.turn(node.request(Put(b"k", b"v"), Get(b"k")))
    (reply,) = node.replies
    assert reply.results[1].versions[0].value == b"v"


def test_since_gives_the_committed_batches_beyond_a_vector(node):
    node.turn(node.put("a", "1"))
    node.turn(node.put("b", "2"))
    assert [decode_batch(it).first for it in node.node.since({}, 1 << 20)] == [1, 2]
    assert [decode_batch(it).first for it in node.node.since({node.origins[0]: 1}, 1)] == [2]


def test_the_first_write_after_a_start_opens_a_new_incarnation(node):
    node.turn(node.put("k", "1"))
    node.start()
    node.turn()
    node.turn(node.put("k", "2"))
    first, second = [event for event in node.events if event[0] == "publish"]
    assert first[1] != second[1] and first[2] == second[2] == 1


def test_closing_answers_what_waits_then_syncs(node):
    node.turn(node.get("k", token={OTHER: 1}, wait_us=10**9))
    node.events.clear()
    node.node.close(node)
    assert node.events == [("reply", 1, "unavailable"), ("sync",), ("close",)]
    assert node.answers(1)[0].maybe is False


# --- durability


def test_always_means_that_every_commit_is_synced_and_survives():
    node = Recorded(Durability.ALWAYS)
    for number in range(10):
        node.turn(node.put("k", str(number)))
        node.now_us += HEARTBEAT_US
    assert ("commit",) not in node.events
    assert all(claim.synced == claim.delivered for claim in node.claims)
    node.crash()
    assert node.value("k") == "9"


@pytest.mark.parametrize("durability", [Durability.INTERVAL, Durability.NEVER])
def test_the_batch_that_opens_an_incarnation_is_synced_in_any_case(durability):
    """The next incarnation must know it, to end it: else what was lost could never be called so."""
    node = Recorded(durability)
    node.turn(node.put("k", "1"))
    node.now_us += HEARTBEAT_US
    node.turn()
    assert node.claims[-1].synced == node.claims[-1].delivered == {node.origins[0]: 1}
    node.turn(node.put("k", "2"))
    node.crash()
    assert node.value("k") == "1"
    node.turn(node.put("k", "3"))
    assert node.node.replica.cut.heads == {node.origins[1]: 1}


def test_interval_syncs_once_the_interval_is_over_though_nobody_asks():
    node = Recorded(Durability.INTERVAL)
    node.turn(node.put("k", "0"))
    node.events.clear()
    node.turn(node.put("k", "1"))
    assert ("sync",) not in node.events
    due_us = node.now_us + SYNC_US
    while node.now_us < due_us:
        assert node.node.wake_us() <= due_us
        node.now_us = node.node.wake_us()
        assert (("sync",) in node.turn()) is (node.now_us == due_us)


def test_interval_does_not_sync_where_nothing_was_written():
    node = Recorded(Durability.INTERVAL)
    node.events.clear()
    for _ in range(10):
        node.now_us += SYNC_US
        node.turn(node.get("k"))
    assert ("sync",) not in node.events


def test_interval_claims_as_synced_only_what_is():
    node = Recorded(Durability.INTERVAL)
    (origin,) = node.origins
    for seq, synced in ((1, 1), (2, 1), (3, 2)):
        node.turn(node.put("k", str(seq)))
        node.now_us += HEARTBEAT_US
        node.turn()
        claim = node.claims[-1]
        assert (claim.delivered, claim.synced) == ({origin: seq}, {origin: synced})
        node.now_us += SYNC_US
        node.turn()


@pytest.mark.parametrize(
    ("durability", "left"), [(Durability.ALWAYS, "2"), (Durability.INTERVAL, "1")]
)
def test_a_crash_loses_what_was_written_since_the_last_sync(durability, left):
    node = Recorded(durability)
    node.turn(node.put("k", "1"))
    node.now_us += SYNC_US
    node.turn()
    node.turn(node.put("k", "2"))
    node.crash()
    assert node.value("k") == left


def test_never_does_not_sync_and_claims_nothing_new_as_synced():
    node = Recorded(Durability.NEVER)
    node.turn(node.put("k", "0"))
    node.events.clear()
    for number in range(1, 10):
        node.turn(node.put("k", str(number)))
        node.now_us += SYNC_US
    node.turn()
    assert ("sync",) not in node.events and ("commit synced",) not in node.events
    (origin,) = node.origins
    assert (node.claims[-1].delivered, node.claims[-1].synced) == ({origin: 10}, {origin: 1})
    node.crash()
    assert node.value("k") == "0"


@pytest.mark.parametrize("durability", Durability)
def test_an_orderly_end_loses_nothing(durability):
    node = Recorded(durability)
    node.turn(node.put("k", "v"))
    node.node.close(node)
    node.crash()
    assert node.value("k") == "v"


@pytest.mark.parametrize("durability", [Durability.INTERVAL, Durability.NEVER])
def test_what_was_lost_in_a_crash_never_comes_back_under_the_same_dot(durability):
    node = Recorded(durability)
    node.turn(node.put("k", "lost"))
    node.crash()
    node.turn(node.put("k", "new"))
    published = [event[1:3] for event in node.events if event[0] == "publish"]
    assert len(published) == len(set(published)) == 2
