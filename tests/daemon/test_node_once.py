"""Requests with ids, through kills and failing commits: one write each, and the same answer."""

from __future__ import annotations

import pytest

from kvnode.core.batch import Change
from kvnode.core.requests import Condition, Get, Once, Put, WriteAll
from kvnode.core.results import Conflict, Known, Written
from kvnode.daemon.node import REOPEN_US
from kvnode.errors import StorageError
from tests.daemon.recorded import (
    HEARTBEAT_US,
    OTHER,
    failures,
    others_write,
    with_a_write,
)

ID = b"i" * 16


@pytest.fixture
def node():
    return with_a_write()


def asked(node, value="v", *, id_=ID, name="X", position=0, more=(), **options):
    return node.request(Once(id_, name, position), Put(b"k", value.encode()), *more, **options)


def result(node, request):
    (results,) = (reply.results for reply in node.replies if reply.id == request.id)
    return results


def written(node, request):
    known, made, *_ = result(node, request)
    assert isinstance(made, Written)
    return known.repeated, made.dot


def test_a_repetition_is_told_what_the_first_brought(node):
    first = asked(node)
    node.turn(first)
    again = asked(node, more=(Get(b"k"),))
    events = node.turn(again)
    assert written(node, first)[0] is False
    assert written(node, again) == (True, written(node, first)[1])
    assert not [event for event in events if event[0] in ("commit", "publish")]
    assert result(node, again)[2].versions[0].value == b"v"
    assert result(node, again)[0] == Known(repeated=True, position=1)


def test_two_of_one_turn_are_one_write(node):
    one, other = asked(node), asked(node)
    node.turn(one, other)
    assert written(node, other) == (True, written(node, one)[1])


def test_it_is_remembered_by_the_process_that_is_started_next(node):
    first = asked(node)
    node.turn(first)
    node.start()
    again = asked(node)
    node.turn(again)
    assert written(node, again) == (True, written(node, first)[1])


def test_a_power_failure_takes_neither_or_both(node):
    first = asked(node)
    node.turn(first)
    node.crash()
    again = asked(node)
    node.turn(again)
    assert written(node, again) == (True, written(node, first)[1])


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "lost"])
def test_after_a_failed_commit_it_is_done_once_whether_the_disk_has_it_or_not(node, kept):
    node.disk.fail_next_commit = kept
    first = asked(node)
    node.turn(first)
    assert failures(node, first) == [("commit_failed", True)]
    node.now_us += REOPEN_US
    again = asked(node)
    node.turn(again)
    repeated, dot = written(node, again)
    assert repeated == kept
    assert (dot.origin == node.origins[0]) == kept
    assert node.value("k") == "v"


def test_a_disk_that_takes_no_writes_can_not_tell(node):
    node.disk.full = True
    first = asked(node)
    node.turn(first)
    again = asked(node)
    node.turn(again)
    assert failures(node, first, again) == [("commit_failed", True), ("unavailable", False)]
    with pytest.raises(StorageError, match="takes no writes"):
        assert node.node.requests_done


def test_a_node_of_another_name_does_nothing(node):
    request = asked(node, name="Y")
    node.turn(request)
    assert failures(node, request) == [("wrong_node", False)]
    assert node.value("k") is None


def test_one_that_may_be_forgotten_is_not_done_again(node):
    node.limits = node.limits._replace(remembered_requests_max=2)
    node.start()
    node.turn(asked(node, "first"))
    for number in range(2):
        node.turn(asked(node, "later", id_=bytes([number]) * 16, position=number))
    again = asked(node, "first")
    node.turn(again)
    assert failures(node, again) == [("wrong_node", False)]
    assert node.value("k") == "later"
    assert node.node.requests_done == 3


def test_two_that_waited_for_the_same_past_are_one_write(node):
    waiting = [asked(node, token={OTHER: 1}, wait_us=10 * HEARTBEAT_US) for _ in range(2)]
    node.turn(*waiting)
    assert [reply for reply in node.replies if reply.id == waiting[0].id] == []
    node.turn(batches=(others_write(1),))
    assert written(node, waiting[1]) == (True, written(node, waiting[0])[1])


def test_a_conflict_beside_a_write_stays_what_it_was(node):
    refused = WriteAll((Condition(b"before", frozenset()),), (Change(b"l", b"v"),))
    first = asked(node, more=(refused,))
    node.turn(first)
    node.turn(node.delete("before"))
    again = asked(node, more=(refused,))
    node.turn(again)
    assert isinstance(result(node, first)[2], Conflict)
    assert result(node, again)[1:] == result(node, first)[1:]


def test_the_oldest_of_a_turn_that_did_too_many_is_forgotten(node):
    node.limits = node.limits._replace(remembered_requests_max=1)
    node.start()
    node.turn(*(asked(node, id_=bytes([number]) * 16) for number in range(2)))
    old, new = asked(node, id_=bytes(16)), asked(node, id_=b"\1" * 16)
    node.turn(old, new)
    assert failures(node, old) == [("wrong_node", False)]
    assert written(node, new)[0] is True
