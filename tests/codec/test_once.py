"""What is remembered of a request comes back as it was; what is no such thing is told."""

from __future__ import annotations

import pytest

from kvnode.codec.once import checked_done, decode_done, encode_done
from kvnode.codec.packing import pack
from kvnode.core.requests import Condition
from kvnode.core.results import Absent, Conflict, Failed, Written
from kvnode.core.vector import Dot, new_origin
from kvnode.errors import MalformedError, StorageError

X = new_origin("X", 1, 1)

RESULTS = [
    (),
    (Written(Dot(X, 3), 7),),
    (
        Written(Dot(X, 1 << 60), 1 << 52, 1 << 53),
        Absent(),
        Conflict((Condition(b"\xff", frozenset({Dot(X, 1), Dot(X, 2)})),)),
        Failed("refused", "no member"),
        Failed("commit_failed", "who knows", maybe=True),
    ),
]

DAMAGED = [
    b"",
    b"\xc1",
    pack(5),
    pack([5]),
    pack([["ok"]]),
    pack([["ok", "X", 1, 1, None]]),
    pack([["ok", X, 0, 1, None]]),
    pack([["ok", X, 1, -1, None]]),
    pack([["ok", X, 1, 1, "never"]]),
    pack([["conflict", [[b"k"]]]]),
    pack([["conflict", [[b"k", [[X, 0]]]]]]),
    pack([["error", "refused", "why"]]),
    pack([["fine", 1]]),
]


@pytest.mark.parametrize("results", RESULTS, ids=len)
def test_results_come_back_as_they_were(results):
    assert decode_done(encode_done(results)) == checked_done(encode_done(results)) == results


@pytest.mark.parametrize("record", DAMAGED)
def test_a_damaged_record_is_told(record):
    with pytest.raises(MalformedError):
        checked_done(record)
    with pytest.raises(StorageError, match="unreadable"):
        decode_done(record)
