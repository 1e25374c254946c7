"""Calls: what waits for replicas, and several in one request."""

from __future__ import annotations

import pytest

from kvnode.client.call import Call, together
from kvnode.client.calls import Calls, Transacted
from kvnode.client.failover import Patience
from kvnode.client.values import packed_value
from kvnode.core.vector import Dot, new_origin
from kvnode.errors import Conflict, InvalidRequest, Unavailable, Unreplicated

CALLS = Calls()
X = new_origin("X", 1, 1)
DOT = Dot(X, 3)
ONE = packed_value(1)
VERSION = [7, X, 3, ONE, None]
OK = ["ok", X, 3, 7, None]

# --- waiting for replicas


@pytest.mark.parametrize(
    "call",
    [
        CALLS.put("a", 1, replicas=2, timeout_s=0.5),
        CALLS.put("a", 1, replicas=2, timeout_s=0.5, if_version=()),
        CALLS.put_many({"a": 1}, replicas=2, timeout_s=0.5),
        CALLS.delete("a", replicas=2, timeout_s=0.5),
        CALLS.delete_many(["a"], replicas=2, timeout_s=0.5),
        CALLS.transact(puts={"a": 1}, replicas=2, timeout_s=0.5),
        CALLS.touch("a", 1, replicas=2, timeout_s=0.5),
        CALLS.persist("a", replicas=2, timeout_s=0.5),
    ],
)
def test_every_write_can_wait_for_replicas(call: Call[object]) -> None:
    _, asked = call.operations
    assert asked == ["replicated", 2, 600_000] and call.timeout_s == 0.5
    assert call.read([OK, ["ok", 2]]) in (DOT, Transacted(DOT, []))
    with pytest.raises(Unreplicated) as raised:
        call.read([OK, ["unreplicated", "the time is up", [X, 3], 2, ["X"]]])
    error = raised.value
    assert (error.replicas, error.wanted, error.dot, error.names) == (1, 2, DOT, ["X"])
    assert str(error) == (
        f"{X}:3 is written, but only 1 of 2 members surely had it synced (X): the time is up"
    )


def test_what_befell_the_write_itself_comes_first() -> None:
    call = CALLS.put("a", 1, if_version=(), replicas=2)
    with pytest.raises(Conflict):
        call.read([["conflict", [[b"a", [[X, 3]]]]], ["ok", 0]])


def test_a_transaction_reads_before_it_waits() -> None:
    call = CALLS.transact(puts={"a": 1}, reads=["a"], replicas=2)
    assert [it[0] for it in call.operations] == ["write", "get", "replicated"]
    assert call.read([OK, ["ok", [VERSION], 0], ["ok", 2]]) == Transacted(DOT, [1])


def test_a_call_takes_as_long_as_its_client_may_or_as_it_was_told_itself() -> None:
    assert CALLS.put("a", 1, replicas=2).patience(3, 5) == Patience(3, 5)
    assert CALLS.put("a", 1, replicas=2, timeout_s=7).patience(3, 5) == Patience(7, 5)
    assert CALLS.get("a", wait_s=1).patience(3, 5) == Patience(3, 1)
    assert Call([], len, 20, follows=True).patience(3, 5) == Patience(23, 20)


@pytest.mark.parametrize(
    "concern",
    [
        {"replicas": 0},
        {"replicas": 1025},
        {"replicas": 2.0},
        {"replicas": True},
        {"replicas": 2, "timeout_s": -0.1},
        {"replicas": 2, "timeout_s": 0},
        {"replicas": 2, "timeout_s": 10**12},
        {"replicas": 2, "timeout_s": "5"},
        {"replicas": 2, "timeout_s": float("nan")},
        {"timeout_s": 1},
    ],
)
def test_a_wait_for_replicas_that_no_node_takes_is_not_sent(concern: dict) -> None:
    with pytest.raises(InvalidRequest):
        CALLS.put("a", 1, **concern)


def test_what_writes_nothing_waits_for_no_replicas() -> None:
    assert CALLS.transact(reads=["a"], replicas=2).operations == [["get", b"a"]]


# --- several in one request


def test_calls_together_are_one_request_and_each_has_its_own_outcome() -> None:
    both = together([CALLS.put("a", 1), CALLS.get_many(["a", "b"]), CALLS.get("c")], 3)
    assert len(both.operations) == 4 and both.wait_s == 3
    failed = ["error", "unavailable", "no disk", False]
    put, many, get = both.read([failed, ["ok", [VERSION], 0], ["ok", [], 0], ["ok", [], 0]])
    assert isinstance(put, Unavailable)
    assert (many, get) == ([1, None], None)
