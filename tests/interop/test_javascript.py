"""docs/PROTOCOL.md is enough: a client in JavaScript, written from it alone, does what it says.

The steps are in check.mjs; here stands what they must say.
"""

from __future__ import annotations

import pytest

from kvnode.cli.cluster import until
from tests.survival.survivors import TINY_LOG


@pytest.fixture
def nodes(trio):
    """The addresses of X, Y and Z."""
    return [trio[name].listen for name in "XYZ"]


def test_what_one_language_puts_the_other_reads(trio, nodes, javascript):
    with trio["X"].client() as python:
        python.put("from python", {"large": 2**53 + 1, "bytes": b"\0\xff", "list": [None, 1.5, -7]})
        assert javascript("values", *nodes) == [
            "from Python: {large: 9007199254740993n, bytes: <00ff>, list: [null, 1.5, -7]}",
            'read back: {text: "žluťoučký", bytes: <00ff>, small: -7, large: 9007199254740993n,'
            " float: 1.5, list: [true, false, null]} with 0 siblings",
            "with the dot and stamp that the put told: true",
        ]
        assert python.get("from javascript") == {
            "text": "žluťoučký",
            "bytes": b"\0\xff",
            "small": -7,
            "large": 2**53 + 1,
            "float": 1.5,
            "list": [True, False, None],
        }


def test_what_is_deleted_is_gone_and_what_expires_says_when(nodes, javascript):
    assert javascript("deletes", *nodes) == [
        "deleted: null",
        "never there: []",
        "expires an hour after its stamp, to a minute: true",
        "the same is read: true",
    ]


def test_concurrent_puts_are_siblings_until_one_has_seen_them(nodes, javascript):
    assert javascript("siblings", *nodes) == [
        'siblings: ["by alice", "by bob"]',
        "get shows the first of them: true and counts 1 more",
        'left: ["settled"]',
    ]


def test_several_keys_are_one_write_if_they_are_as_they_were_seen(nodes, javascript):
    assert javascript("conditions", *nodes) == [
        "one dot for both: true",
        "conflict: it surely did not happen",
        'found, in writes later: [["balance/a", 1], ["balance/b", 1]]',
        "left: 60 40",
    ]


def test_the_pages_of_a_scan_show_one_moment(nodes, javascript):
    assert javascript("scans", *nodes) == [
        "page: user/ada=3 user/bob=3",
        "page: user/cyd=3 user/dan=3",
        "page: user/eve=3",
        'now, backwards: [["user/eve", "user/deb", "user/dan"], ["user/bob"]]',
        "count: 5",
        "cut_gone: it surely did not happen",
    ]


def test_a_watcher_goes_on_at_another_node_and_is_told_all_once(nodes, javascript):
    assert javascript("watches", *nodes) == [
        "now: []",
        'as soon as it comes: ["X put feed/1=1"]',
        "X: X put feed/1=1",
        "X: X deleted feed/0",
        "X: Z put feed/2=2",
        "X: Z put feed/3=3",
        "Y, from the middle: Z put feed/2=2",
        "Y, from the middle: Z put feed/3=3",
        "Y, resumed: Z put feed/4=4",
        "then: []",
    ]


def test_a_watcher_that_is_told_nothing_gets_on_too(nodes, javascript):
    assert javascript("progress", *nodes) == [
        "events: []",
        "the token covers the noise: true",
        'Y, resumed: Z put quiet/1="at last"',
    ]


def test_a_watcher_that_comes_too_late_reads_the_state_anew(make_node, javascript):
    x = make_node("X", *TINY_LOG)
    x.start()
    with x.client() as python:
        python.put("mirror/1", 1)
        token = python.token
        python.put("mirror/2", 2)
    until("the log is dropped", lambda: x.status()["log"]["bytes"] == 0)
    assert javascript("compacted", x.listen, token.hex()) == [
        "compacted: it surely did not happen",
        "compacted: it surely did not happen",
        "state: mirror/1=1 mirror/2=2",
        'then: ["X put mirror/1=3"]',
    ]


def test_a_session_is_carried_to_a_node_that_waits_or_says_what_it_lacks(nodes, javascript):
    assert javascript("carried", *nodes) == [
        "delayed: it surely did not happen",
        "just the write is missing: true",
        "the session is as it was: true",
        "Y waited: seen at X",
    ]


def test_a_session_goes_on_in_the_other_language(trio, javascript):
    with trio["X"].client() as python:
        python.put("relay", "python")
        said, token = javascript("go on", trio["Y"].listen, python.token.hex())
    assert said == "read: python"
    with trio["Z"].client(bytes.fromhex(token)) as python:
        assert python.get("relay") == "javascript"


def test_errors_say_whether_it_may_have_happened(nodes, javascript):
    assert javascript("errors", *nodes) == [
        "unknown_operation: it surely did not happen",
        "malformed: it surely did not happen",
        "malformed: it surely did not happen",
        "too_large: it surely did not happen",
        "too_large: it surely did not happen",
        "wrong_cluster: it surely did not happen",
        "the session is as it was: true",
        "and goes on: v",
        "unanswered: it may have happened",
    ]
