"""The asking side: what a client or a pulling peer sends and reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.codec.answers import encode_answer, encode_result
from kvnode.codec.client import (
    Answer,
    Greeting,
    decode_answer,
    decode_greeting,
    encode_request,
    put,
    since,
)
from kvnode.codec.packing import INTEGER_MAX, pack
from kvnode.core.requests import Condition
from kvnode.core.results import (
    Absent,
    Conflict,
    Delayed,
    Entry,
    Failed,
    Known,
    Lost,
    Replicated,
    Result,
    Unreplicated,
    Written,
)
from kvnode.core.vector import Dot, Missing, new_origin
from kvnode.core.versions import Version
from kvnode.errors import MalformedError
from tests.strategies import (
    clusters,
    expiries,
    hostile,
    keys,
    names,
    origins,
    seqs,
    stamps,
    vectors,
    versions,
)

X, Y = (new_origin(name, 1, 1) for name in "XY")

missing = st.lists(st.builds(Missing, origins, seqs, seqs), max_size=3).map(tuple)
conditions = st.builds(
    Condition, keys, st.lists(st.builds(Dot, origins, seqs), max_size=3).map(frozenset)
)
found = st.lists(versions, max_size=3).map(tuple)
results: st.SearchStrategy[Result] = st.one_of(
    st.builds(Entry, found, st.integers(0, 9)),
    st.builds(Written, st.builds(Dot, origins, seqs), stamps, expiries),
    st.builds(Known, st.booleans(), st.integers(0, INTEGER_MAX)),
    st.just(Absent()),
    st.builds(Conflict, st.lists(conditions, max_size=3).map(tuple)),
    st.builds(Delayed, st.text(), vectors, vectors, missing),
    st.builds(Lost, missing, vectors),
    st.builds(Replicated, seqs),
    st.builds(
        Unreplicated,
        st.text(),
        st.builds(Dot, origins, seqs),
        seqs,
        st.lists(names, max_size=3).map(tuple),
    ),
    st.builds(Failed, st.text(), st.text(), st.booleans()),
)
ids = st.none() | st.integers(0, INTEGER_MAX)
tokens = st.none() | st.binary(max_size=20)
answers = st.builds(encode_answer, ids, tokens, st.lists(results.map(encode_result), max_size=3))


def listed(value: Any) -> Any:
    """The same with lists for tuples, as it is after a journey."""
    if isinstance(value, tuple | list):
        return [listed(part) for part in value]
    return value


@given(ids, tokens, st.lists(results, max_size=3))
def test_an_answer_is_decoded_as_it_was_encoded(id_, token, results) -> None:
    encoded = [encode_result(result) for result in results]
    assert decode_answer(encode_answer(id_, token, encoded)) == Answer(id_, token, listed(encoded))


@pytest.mark.parametrize(
    ("result", "sent"),
    [
        (Entry((), 0), ["ok", [], 0]),
        (Entry((Version(7, X, 3, b"v"),), 2), ["ok", [[7, X, 3, b"v", None]], 2]),
        (Written(Dot(X, 3), 7), ["ok", X, 3, 7, None]),
        (Written(Dot(X, 3), 7, 99), ["ok", X, 3, 7, 99]),
        (Absent(), ["absent"]),
        (Failed("code", "text", maybe=True), ["error", "code", "text", True]),
        (
            Delayed("why", {X: 3}, {Y: 1}, (Missing(X, 1, 3),)),
            ["delayed", "why", {X: 3}, {Y: 1}, [[X, 1, 3]]],
        ),
        (Lost((Missing(X, 2, 3),), {X: 1, Y: 1}), ["lost", [[X, 2, 3]], {X: 1, Y: 1}]),
    ],
)
def test_results_travel_as_plain_arrays(result: Result, sent: list[Any]) -> None:
    assert decode_answer(encode_answer(1, None, [encode_result(result)])).results == [sent]


@given(hostile(answers))
def test_hostile_bytes_are_malformed_or_a_sound_answer(data: bytes) -> None:
    try:
        answer = decode_answer(data)
    except MalformedError:
        return
    assert all(isinstance(result[0], str) for result in answer.results)
    assert repr(decode_answer(encode_answer(*answer))) == repr(answer)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        [1, None],
        [1, None, [], 0],
        ["1", None, []],
        [True, None, []],
        [1, "token", []],
        [1, None, None],
        [1, None, {}],
        [1, None, ["ok"]],
        [1, None, [[]]],
        [1, None, [[b"ok"]]],
        [1, None, [["ok"], [1]]],
    ],
)
def test_another_shape_of_answer_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedError):
        decode_answer(pack(value))


# --- greetings


@given(
    clusters,
    names,
    st.integers(0, INTEGER_MAX),
    st.text(max_size=64),
    st.booleans(),
    st.none() | st.text(max_size=64),
    st.booleans(),
)
def test_a_greeting_is_read_as_it_was_sent(
    cluster, name, instance, address, forgotten, namesake, wanted
) -> None:
    greeting = Greeting(cluster, name, instance, address, forgotten, namesake, wanted)
    assert decode_greeting(["ok", *greeting]) == greeting


@pytest.mark.parametrize(
    "result",
    [
        ["ok"],
        ["ok", "c", "X", 1],
        ["ok", "c", "X", 1, "tcp://host:1"],
        ["ok", "c", "X", 1, "tcp://host:1", False],
        ["ok", "c", "X", 1, "tcp://host:1", False, None],
        ["ok", "c", "X", 1, "tcp://host:1", False, None, False, 0],
        ["ok", "c", "X", 1, "tcp://host:1", False, None, 0],
        ["ok", "c", "X", 1, "tcp://host:1", False, None, None],
        ["ok", "c", "X", 1, "tcp://host:1", 0, None, False],
        ["ok", "c", "X", 1, "tcp://host:1", None, None, False],
        ["ok", "c", "X", 1, "tcp://host:1", False, False, False],
        ["ok", "c", "X", 1, "tcp://host:1", False, "x" * 257, False],
        ["ok", "c" * 65, "X", 1, "tcp://host:1", False, None, False],
        ["ok", "c", "not a name", 1, "tcp://host:1", False, None, False],
        ["ok", "c", "X", -1, "tcp://host:1", False, None, False],
        ["ok", "c", "X", 1, b"tcp://host:1", False, None, False],
        ["ok", "c", "X", 1, "x" * 257, False, None, False],
        ["error", "refused", "another cluster", False],
        ["delayed", "why", {}, {}, []],
    ],
)
def test_another_shape_of_greeting_is_malformed(result: list[Any]) -> None:
    with pytest.raises(MalformedError):
        decode_greeting(result)


# --- requests


def test_a_request_is_one_array_with_its_operations_at_the_end() -> None:
    request = encode_request(5, b"token", 100, [put(b"key", b"value"), since({X: 2}, 10)])
    expected = [1, 5, b"token", 100, ["put", b"key", b"value"], ["since", {X: 2}, 10, []]]
    assert request == pack(expected)
