"""What a write is made of: what no node would take is told at once, and nothing is sent."""

from __future__ import annotations

import pytest

from kvnode.client.calls import Calls
from kvnode.core.vector import Dot, new_origin
from kvnode.errors import Conflict, InvalidRequest

CALLS = Calls()
X = new_origin("X", 1, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: CALLS.put_many({"": 1}),
        lambda: CALLS.put_many({}, if_version={"a": ()}),
        lambda: CALLS.put_many({}, ttl_s=0),
        lambda: CALLS.put_many({}, replicas=0),
        lambda: CALLS.put_many(None),
        lambda: CALLS.transact(puts=[]),
        lambda: CALLS.put_many([("a", 1)]),
        lambda: CALLS.put_many({str(at): at for at in range(4097)}),
        lambda: CALLS.put_many({str(at): bytes(7 << 20) for at in range(2)}),
        lambda: CALLS.put_many({"a": 1}, if_version=()),
        lambda: CALLS.put_many({"a": 1}, if_version={"a": None}),
        lambda: CALLS.put("a", 1, if_version={}),
        lambda: CALLS.put("a", 1, if_version=3),
        lambda: CALLS.put("a", 1, if_version=["X:1"]),
        lambda: CALLS.put("a", 1, if_version=""),
        lambda: CALLS.put(["a"], 1, if_version=()),
        lambda: CALLS.delete_many("user"),
        lambda: CALLS.delete_many([], if_version={"a": ()}),
        lambda: CALLS.get_many("user"),
        lambda: CALLS.transact(reads="user"),
        lambda: CALLS.transact(deletes=b"user"),
        lambda: CALLS.transact(if_version={"a": ()}),
        lambda: CALLS.put_many({"a": object()}),
        lambda: CALLS.put("a", 1, if_absent=True, if_version=[Dot(X, 1)]),
        lambda: CALLS.transact(puts={"a": 1}, if_absent="a"),
        lambda: CALLS.transact(puts={"a": 1}, if_absent=["a"], if_version={"a": [Dot(X, 1)]}),
        lambda: CALLS.delete_many([5]),
        lambda: CALLS.transact(reads=["a" * 5000]),
        lambda: CALLS.scan(page=0),
        lambda: CALLS.scan(page=1001),
        lambda: CALLS.scan(page=True),
        lambda: CALLS.keys(limit=-1),
        lambda: CALLS.keys(limit="7"),
        lambda: CALLS.scan("a", start=b"ab"),
        lambda: CALLS.count(start="a", end=b"b"),
    ],
)
def test_what_no_node_takes_is_not_sent(call) -> None:
    with pytest.raises(InvalidRequest):
        call()


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (CALLS.put_many({}), None),
        (CALLS.put_many({}, if_version={}, replicas=2, ttl_s=1), None),
        (CALLS.delete_many([], replicas=2), None),
        (CALLS.delete_many(iter(())), None),
        (CALLS.transact(), (None, [])),
        (CALLS.transact(puts={}, deletes=[], replicas=2), (None, [])),
        (CALLS.get_many([]), []),
        (CALLS.scan(limit=0), ([], None)),
        (CALLS.entries(limit=0, reverse=True), ([], None)),
        (CALLS.keys("a", limit=0), ([], None)),
    ],
)
def test_where_there_is_nothing_to_do_nothing_is_sent(call, result) -> None:
    assert list(call.operations) == [] and call.read([]) == result


@pytest.mark.parametrize(
    "call",
    [
        CALLS.put("ä", 1, if_absent=True),
        CALLS.delete("ä", if_version=[Dot(X, 1)]),
        CALLS.put_many({"b": 1}, if_version={"ä": ()}),
        CALLS.delete_many(["b"], if_version={"ä": ()}),
        CALLS.transact(puts={"b": 1}, if_version={"c": ()}, if_absent=iter(["ä"])),
        CALLS.transact(puts={"b": 1}, if_version={"ä": ()}, reads=["c"]),
    ],
)
def test_a_conflict_has_the_keys_as_they_were_given(call) -> None:
    conflict, nothing = ["conflict", [["ä".encode(), [[X, 2]]]]], ["ok", [], 0]
    with pytest.raises(Conflict, match=f"'ä' holds {X}:2") as raised:
        call.read([conflict, nothing][: len(call.operations)])
    assert raised.value.found == {"ä": {Dot(X, 2)}}


def test_a_conflict_has_bytes_where_bytes_were_given() -> None:
    with pytest.raises(Conflict, match=r"b'\\xff' holds nothing") as raised:
        CALLS.put(b"\xff", 1, if_version=[Dot(X, 1)]).read([["conflict", [[b"\xff", []]]]])
    assert raised.value.found == {b"\xff": frozenset()}
