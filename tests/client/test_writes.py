"""What a write is made of: what no node would take is told at once, and nothing is sent."""

from __future__ import annotations

import pytest

from kvnode.client.calls import Calls
from kvnode.core.vector import Dot, new_origin
from kvnode.errors import InvalidRequest

CALLS = Calls()
X = new_origin("X", 1, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: CALLS.put_many({"": 1}),
        lambda: CALLS.put_many({}),
        lambda: CALLS.put_many([("a", 1)]),
        lambda: CALLS.put_many({str(at): at for at in range(4097)}),
        lambda: CALLS.put_many({str(at): bytes(7 << 20) for at in range(2)}),
        lambda: CALLS.put_many({"a": 1}, if_version=()),
        lambda: CALLS.put_many({"a": 1}, if_version={"a": None}),
        lambda: CALLS.put("a", 1, if_version={}),
        lambda: CALLS.put("a", 1, if_version=3),
        lambda: CALLS.put("a", 1, if_version=["X:1"]),
        lambda: CALLS.put(["a"], 1, if_version=()),
        lambda: CALLS.delete_many("user"),
        lambda: CALLS.delete_many([]),
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
        lambda: CALLS.keys(limit=0),
        lambda: CALLS.keys(limit="7"),
        lambda: CALLS.scan("a", start=b"ab"),
        lambda: CALLS.count(start="a", end=b"b"),
    ],
)
def test_what_no_node_takes_is_not_sent(call) -> None:
    with pytest.raises(InvalidRequest):
        call()
