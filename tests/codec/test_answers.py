"""Answers: results as plain arrays; that they are read back is tried in `test_client`."""

from __future__ import annotations

from kvnode.codec.answers import encode_answer, encode_result
from kvnode.codec.client import decode_answer
from kvnode.core.results import Compacted, Event, Events, Page
from kvnode.core.vector import Dot, new_origin
from kvnode.core.versions import Version

X = new_origin("X", 1, 1)


def test_events_have_what_they_have() -> None:
    put, expiring = Event(Dot(X, 1), 7, b"a", b"1", None), Event(Dot(X, 2), 8, b"a", b"2", 99)
    delete = Event(Dot(X, 3), 9, b"a", None, None)
    assert encode_result(Events((put, expiring, delete))) == (
        "ok",
        [(X, 1, 7, b"a", b"1"), (X, 2, 8, b"a", b"2", 99), (X, 3, 9, b"a")],
    )
    assert encode_result(Compacted({X: 1})) == ("compacted", {X: 1})


def test_a_page_is_encoded_as_it_is() -> None:
    record = (b"a", (Version(7, X, 3, b"v"),), 1)
    answer = decode_answer(encode_answer(1, None, [encode_result(Page(9, (record,), b"b"))]))
    assert answer.results == [["ok", 9, [[b"a", [[7, X, 3, b"v", None]], 1]], b"b"]]
    assert encode_result(Page(None, (b"a",), None)) == ("ok", None, (b"a",), None)
    assert encode_result(Page(9, 3, None)) == ("ok", 9, 3, None)
