"""Calls without a client: what is sent, and what the results mean."""

from __future__ import annotations

import inspect
import pickle

import pytest

import kvnode
from kvnode.client.call import Call
from kvnode.client.calls import Calls, Transacted
from kvnode.client.pipeline import Queue
from kvnode.client.scans import Page
from kvnode.client.session import Version
from kvnode.client.values import packed_value
from kvnode.core.vector import Dot, new_origin
from kvnode.errors import (
    Conflict,
    CutGone,
    Delayed,
    InvalidRequest,
    KvnodeError,
    SessionLost,
    UnreadableAnswer,
    UnreadableValue,
    Unreplicated,
)

CALLS = Calls()
X = new_origin("X", 1, 1)
DOT = Dot(X, 3)
ONE = packed_value(1)
VERSION = [7, X, 3, ONE, None]
OK = ["ok", X, 3, 7, None]


@pytest.mark.parametrize(
    ("call", "operations"),
    [
        (CALLS.put("a", 1), [["put", b"a", ONE]]),
        (CALLS.put("a", 1, if_version=()), [["write", [[b"a", []]], [(b"a", ONE)]]]),
        (CALLS.put("a", 1, if_absent=True), [["write", [[b"a", []]], [(b"a", ONE)]]]),
        (
            CALLS.transact(puts={"a": 1}, if_absent=["a", "b"], if_version={"c": [DOT]}),
            [["write", [[b"c", [DOT]], [b"a", []], [b"b", []]], [(b"a", ONE)]]],
        ),
        (CALLS.put("a", 1, if_version=[DOT]), [["write", [[b"a", [DOT]]], [(b"a", ONE)]]]),
        (
            CALLS.put("a", 1, if_version=[Version(1, DOT, 7)]),
            [["write", [[b"a", [DOT]]], [(b"a", ONE)]]],
        ),
        (CALLS.put("a", 1, if_version=DOT), [["write", [[b"a", [DOT]]], [(b"a", ONE)]]]),
        (CALLS.delete("a"), [["delete", b"a"]]),
        (CALLS.delete("a", if_version=[DOT]), [["write", [[b"a", [DOT]]], [(b"a",)]]]),
        (CALLS.put_many({"a": 1, "b": 1}), [["write", [], [(b"a", ONE), (b"b", ONE)]]]),
        (CALLS.delete_many(["a", b"b"]), [["write", [], [(b"a",), (b"b",)]]]),
        (CALLS.get_many(["a", "b"]), [["get", b"a"], ["get", b"b"]]),
        (CALLS.get_many([]), []),
        (CALLS.scan(), [["scan", None, None, None, None, 500, False, "entries"]]),
        (
            CALLS.scan("a", start="ab", end="az", limit=7, reverse=True),
            [["scan", None, b"ab", b"az", 7, 500, True, "entries"]],
        ),
        (CALLS.keys("a", page=10, limit=20), [["scan", None, b"a", b"b", 20, 10, False, "keys"]]),
        (CALLS.count(b"a"), [["scan", None, b"a", b"b", None, 2048, False, "count"]]),
        (CALLS.transact(reads=["a"]), [["get", b"a"]]),
        (
            CALLS.transact(puts={"a": 1}, deletes=["b"], reads=["a"], if_version={"c": []}),
            [["write", [[b"c", []]], [(b"a", ONE), (b"b",)]], ["get", b"a"]],
        ),
    ],
)
def test_a_call_sends_its_operations(call: Call[object], operations: list[object]) -> None:
    assert list(call.operations) == operations


@pytest.mark.parametrize(
    ("call", "results", "meaning"),
    [
        (CALLS.put("a", 1), [OK], DOT),
        (CALLS.put_many({"a": 1}), [OK], DOT),
        (CALLS.get("a"), [["ok", [VERSION], 0]], 1),
        (CALLS.get("a", "none"), [["ok", [], 0]], "none"),
        (CALLS.get_many(["a", "b"], 0), [["ok", [VERSION], 3], ["ok", [], 0]], [1, 0]),
        (CALLS.read("a"), [["ok", [VERSION], 0]], (Version(1, DOT, 7),)),
        (
            CALLS.transact(puts={"a": 1}, reads=["a", "b"]),
            [OK, ["ok", [VERSION], 0], ["ok", [], 0]],
            Transacted(DOT, [1, None]),
        ),
        (CALLS.transact(reads=["a"]), [["ok", [VERSION], 0]], Transacted(None, [1])),
        (CALLS.ping(), [["ok", "X"]], "X"),
    ],
)
def test_a_call_reads_its_results(call: Call[object], results: list, meaning: object) -> None:
    assert call.read(results) == meaning


def test_what_does_not_fit_one_answer_is_a_further_call() -> None:
    further = CALLS.read("a", wait_s=2).read([["ok", [VERSION], 1]])
    assert isinstance(further, Call)
    assert (further.operations, further.wait_s) == ([["read", b"a", 1]], 2)
    assert further.read([["ok", [VERSION], 0]]) == 2 * (Version(1, DOT, 7),)


def test_a_page_tells_the_call_that_brings_the_next_one() -> None:
    first = CALLS.scan("a", limit=5, page=2, wait_s=2)
    page = first.read([["ok", 9, [[b"a", [VERSION], 0], [b"b", [VERSION], 1]], b"c"]])
    assert isinstance(page, Page) and page.items == [("a", 1), ("b", 1)]
    assert page.following.wait_s == 2
    assert page.following.operations == [["scan", 9, b"c", b"b", 3, 2, False, "entries"]]
    page = page.following.read([["ok", 9, [[b"c", [VERSION], 0], [b"d", [VERSION], 0]], b"e"]])
    assert page.following.operations == [["scan", 9, b"e", b"b", 1, 2, False, "entries"]]
    page = page.following.read([["ok", 9, [[b"e", [VERSION], 0]], None]])
    assert page == ([("e", 1)], None)


def test_entries_have_the_winner_and_the_number_of_its_siblings() -> None:
    expiring = [*VERSION[:-1], 2_000_000]
    call = CALLS.entries(b"a", page=2)
    page = call.read([["ok", 9, [[b"a", [VERSION], 0], [b"b", [expiring], 3]], b"c"]])
    assert isinstance(page, Page)
    one, other = page.items
    assert (one, other.key, other.siblings) == ((b"a", Version(1, DOT, 7), 0), b"b", 3)
    assert other.version.expires_at.timestamp() == 2
    assert page.following.operations == [["scan", 9, b"c", b"b", None, 2, False, "entries"]]


def test_pages_in_reverse_go_on_before_the_last_one() -> None:
    page = CALLS.keys(start="a", reverse=True).read([["ok", 9, [b"c", b"b"], b"b"]])
    assert isinstance(page, Page) and page.items == ["c", "b"]
    assert page.following.operations == [["scan", 9, b"a", b"b", None, 500, True, "keys"]]
    assert page.following.read([["ok", 9, [b"a"], None]]) == (["a"], None)


def test_a_page_may_show_nothing_and_go_on() -> None:
    page = CALLS.keys(limit=1).read([["ok", 9, [], b"b"]])
    assert isinstance(page, Page) and page.items == []
    assert page.following.operations == [["scan", 9, b"b", None, 1, 500, False, "keys"]]


def test_a_count_is_the_sum_of_its_pages() -> None:
    further = CALLS.count("a", wait_s=2).read([["ok", 9, 2048, b"ab"]])
    assert isinstance(further, Call) and further.wait_s == 2
    assert further.operations == [["scan", 9, b"ab", b"b", None, 2048, False, "count"]]
    assert further.read([["ok", 9, 7, None]]) == 2055


@pytest.mark.parametrize(
    "result",
    [
        ["ok"],
        ["ok", "9", [], None],
        ["ok", None, {}, None],
        ["ok", None, 3, None],
        ["ok", None, [7], None],
        ["ok", None, [[b"a", [], 0]], None],
        ["ok", None, [["a", [VERSION], 0]], None],
        ["ok", None, [], "c"],
    ],
)
def test_an_unreadable_page_is_an_error_of_ours(result: list) -> None:
    for call in (CALLS.scan(), CALLS.entries(), CALLS.keys()):
        with pytest.raises(UnreadableAnswer):
            call.read([result])


def test_an_unreadable_count_is_an_error_of_ours() -> None:
    with pytest.raises(UnreadableAnswer):
        CALLS.count().read([["ok", None, [], None]])


def test_a_cut_that_is_gone_is_an_error_of_its_own() -> None:
    with pytest.raises(CutGone, match="begin anew"):
        CALLS.keys().read([["error", "cut_gone", "begin anew", False]])


def test_a_condition_that_does_not_hold_is_an_error_that_tells_what_is_there() -> None:
    call = CALLS.put("a", 1, if_version=())
    with pytest.raises(Conflict, match=rf"'a' holds {X}:3") as raised:
        call.read([["conflict", [[b"a", [[X, 3]]]]]])
    assert raised.value.found == {"a": {DOT}}
    with pytest.raises(Conflict, match="'a' holds nothing"):
        call.read([["conflict", [[b"a", []]]]])


@pytest.mark.parametrize("found", [[1], [[b"a"]], [[b"a", [1]]], [[None, []]], [["a", [[X]]]]])
def test_an_unreadable_conflict_is_an_error_of_ours(found: list) -> None:
    with pytest.raises(KvnodeError):
        CALLS.put("a", 1).read([["conflict", found]])


# --- a resolver

SIBLING = [5, X, 1, packed_value(5), None]


def summed(key: str | bytes, versions: tuple[Version, ...]) -> object:
    return key, sum(version.value for version in versions)


@pytest.mark.parametrize(
    ("result", "value"),
    [
        (["ok", [VERSION, SIBLING], 0], ("a", 6)),
        (["ok", [VERSION], 0], 1),
        (["ok", [], 0], "default"),
    ],
    ids=["siblings", "one version", "absent"],
)
def test_a_resolver_makes_a_value_of_siblings_alone(result: list[object], value: object) -> None:
    calls = Calls(summed)
    one, many = calls.get("a", "default"), calls.get_many(["a"], "default")
    assert one.operations == many.operations == [["read", b"a", 0]]
    assert one.read([result]) == value and many.read([result]) == [value]


def test_a_resolver_sees_the_siblings_that_another_request_brings() -> None:
    more = Calls(summed).get("a").read([["ok", [VERSION], 1]])
    assert isinstance(more, Call)
    assert more.operations == [["read", b"a", 1]]
    assert more.read([["ok", [SIBLING], 0]]) == ("a", 6)


def test_siblings_that_do_not_fit_beside_others_are_told_not_resolved() -> None:
    with pytest.raises(InvalidRequest, match="read it by itself"):
        Calls(summed).get_many(["a"]).read([["ok", [VERSION], 1]])


def test_a_resolver_serves_the_reads_of_a_transaction() -> None:
    call = Calls(summed).transact(puts={"b": 1}, reads=["a"])
    assert call.read([OK, ["ok", [VERSION, SIBLING], 0]]) == Transacted(DOT, [("a", 6)])


def test_a_resolver_decides_what_to_make_of_a_sibling_that_can_not_be_read() -> None:
    unread = [5, X, 1, b"\xc1", None]

    def last(key: str | bytes, versions: tuple[Version, ...]) -> object:
        return versions[-1].value

    one, many = Calls(last).get("a"), Calls(last).get_many(["a", "a"])
    assert one.read([["ok", [unread, VERSION], 0]]) == 1
    with pytest.raises(UnreadableValue, match="'a'"):
        one.read([["ok", [VERSION, unread], 0]])
    value, other = many.read([["ok", [VERSION, unread], 0], ["ok", [unread, VERSION], 0]])
    assert isinstance(value, UnreadableValue) and other == 1


def test_a_version_tells_its_origin() -> None:
    assert Version(1, DOT, 7).origin == X


# --- the same everywhere


def methods(of: type) -> dict[str, list[inspect.Parameter]]:
    """Those that are made of calls, and what they take."""
    return {
        name: list(inspect.signature(value).parameters.values())
        for name, value in inspect.getmembers(of, callable)
        if name in vars(Calls) and not name.startswith("_")
    }


def test_all_clients_have_the_same_methods() -> None:
    assert methods(kvnode.Client) == methods(kvnode.AsyncClient)
    assert methods(kvnode.Client).keys() >= {"put", "get", "read", "delete", "transact", "status"}
    own = {"pipeline", "watch", "close", "token", "address"}
    for client, session, only_here in (
        (kvnode.Client, kvnode.ClientSession, {"mapping"}),
        (kvnode.AsyncClient, kvnode.AsyncClientSession, set()),
    ):
        public = {name for name in dir(session) if not name.startswith("_")}
        assert public == own | only_here | methods(client).keys()
        assert set(dir(client)) - set(dir(session)) == {"session"}


def test_a_pipeline_has_all_that_concerns_data() -> None:
    alone = {"forget", "ping", "status", "members", "fault", "backup"} | {"scan", "entries", "keys"}
    assert methods(Queue).keys() == methods(kvnode.Client).keys() - alone


@pytest.mark.parametrize(
    "error",
    [
        Conflict({b"a": [DOT]}),
        Delayed("why", {X: 2}, {X: 1}, [(X, 2, 2)]),
        SessionLost([(X, 2, 2)], b"token"),
        Unreplicated("why", DOT, 3, ["X", "Y"]),
    ],
    ids=["conflict", "delayed", "lost", "unreplicated"],
)
def test_an_error_travels_between_processes(error: KvnodeError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
