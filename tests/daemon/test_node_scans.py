"""Scans at a node: in its turns, beside other requests, and when the disk fails."""

from __future__ import annotations

import pytest

from kvnode.core.batch import Change
from kvnode.core.limits import Limits
from kvnode.core.requests import Get, Put, Scan, Shows, WriteAll
from kvnode.core.results import Page, Written
from kvnode.daemon.node import REOPEN_US
from kvnode.errors import StorageError
from tests.daemon.recorded import HEARTBEAT_US, OTHER, Recorded, failures, others_write

ALL = Scan(None, None, None, None, 100, False, Shows.KEYS)


@pytest.fixture
def node():
    """It has a, b, c and d."""
    node = Recorded()
    node.turn(node.request(WriteAll((), tuple(Change(key.encode(), b"v") for key in "abcd"))))
    return node


def scanned(node, scan, *, start=None, cut=None, page=100):
    """What a turn of its own shows."""
    request = node.request(Scan(cut, start, None, None, page, False, scan.shows))
    node.turn(request)
    return node.answers(request.id)[0]


def test_a_page_shows_what_the_turn_has_done_before_it_and_nothing_after(node):
    request = node.request(Put(b"aa", b"v"), ALL, Put(b"ab", b"v"), ALL)
    node.turn(request, batches=(others_write(1, key="k"),))
    (reply,) = (reply for reply in node.replies if reply.id == request.id)
    pages = [result.records for result in reply.results if isinstance(result, Page)]
    assert pages == [
        (b"a", b"aa", b"b", b"c", b"d", b"k"),
        (b"a", b"aa", b"ab", b"b", b"c", b"d", b"k"),
    ]


def test_a_scan_alone_saves_and_publishes_nothing(node):
    request = node.request(ALL)
    assert node.turn(request) == [("reply", request.id, "page")]


def test_a_scan_waits_for_what_its_session_has_seen(node):
    request = node.request(ALL, token={OTHER: 1}, wait_us=HEARTBEAT_US)
    node.turn(request)
    node.turn(batches=(others_write(1, key="k"),))
    assert node.answers(request.id)[0].records == (b"a", b"b", b"c", b"d", b"k")


def test_pages_show_the_first_ones_moment_whatever_is_written_between(node):
    first = scanned(node, ALL, page=2)
    node.turn(node.delete("c"), node.put("cc", "v"), batches=(others_write(1, key="dd"),))
    rest = scanned(node, ALL, start=first.next, cut=first.cut)
    assert (first.records, rest.records, rest.next) == ((b"a", b"b"), (b"c", b"d"), None)
    assert scanned(node, ALL).records == (b"a", b"b", b"cc", b"d", b"dd")


def test_requests_after_a_turns_work_of_scans_are_served_in_the_next_turn_at_once():
    node = Recorded()
    node.limits = Limits(scan_work_per_turn=2)
    node.start()
    node.turn(node.put("a", "v"), node.put("b", "v"))
    requests = [node.request(ALL), node.get("a"), node.request(ALL), node.put("c", "v")]
    answered = []
    node.turn(*requests)
    while node.node.replica.ready:
        answered.append(len(node.replies))
        assert node.node.wake_us() == 0, "the next turn starts at once"
        node.turn()
    assert answered == [3, 5], "two puts, then a scan, then a get and a scan"
    assert isinstance(node.answers(requests[3].id)[0], Written)


def test_cuts_that_nobody_reads_are_let_go(node):
    assert scanned(node, ALL, page=1).cut is not None
    assert len(node.node.replica.scans.cuts) == 1
    for _ in range(130):
        node.now_us += HEARTBEAT_US
        node.turn()
    assert len(node.node.replica.scans.cuts) == 0


# --- when the disk fails


def test_scans_go_on_while_the_disk_is_full_and_show_what_is_committed(node):
    before = scanned(node, ALL, page=1)
    node.disk.full, node.disk.fail_next_commit = True, True
    failing = [node.put("aa", "v"), node.delete("b"), node.request(ALL)]
    node.turn(*failing)
    assert failures(node, *failing[:2]) == 2 * [("commit_failed", True)]
    assert node.answers(failing[2].id)[0].records == (b"a", b"b", b"c", b"d")
    first = scanned(node, ALL, page=1)
    rest = scanned(node, ALL, start=first.next, cut=first.cut)
    assert rest.records == (b"b", b"c", b"d")
    for cut in (before.cut, first.cut):
        if cut == first.cut:
            node.disk.full = False
            node.now_us += REOPEN_US
        gone = scanned(node, ALL, start=b"b", cut=cut)
        assert (gone.code, gone.maybe) == ("cut_gone", False), "what it saw may not be there"


def test_a_request_that_scans_and_writes_is_refused_while_the_disk_is_full(node):
    node.disk.full = True
    node.turn(node.put("aa", "v"))
    request = node.request(ALL, Put(b"ab", b"v"))
    node.turn(request)
    assert failures(node, request) == [("unavailable", False)]


def test_a_scan_that_the_disk_cannot_answer_was_surely_not_done_and_the_next_one_is(node):
    node.broken["scan"] = StorageError("a block is damaged")
    request, other = node.request(ALL), node.request(Get(b"a"))
    node.turn(request, other)
    assert failures(node, request, other) == 2 * [("unavailable", False)]
    assert scanned(node, ALL).records == (b"a", b"b", b"c", b"d")


def test_a_new_incarnation_and_a_closed_node_let_go_of_all_cuts(node):
    cuts = node.node.replica.scans.cuts
    assert scanned(node, ALL, page=1).cut is not None
    node.node._carry("the node puts a snapshot in place", node)  # as it does before
    assert len(cuts) == 0
