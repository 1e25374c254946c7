"""Calls, and what is answered to them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.codec.calls import (
    MESSAGES_MAX,
    Answered,
    Asks,
    Call,
    CallAnswer,
    Message,
    call,
    decode_call_answer,
    encode_messages,
)
from kvnode.codec.client import encode_request, since, snapshot
from kvnode.codec.packing import INTEGER_MAX, pack, unpack_array
from kvnode.codec.server import BadRequest, decode_request
from kvnode.core.messages import Claim
from kvnode.core.vector import Dot, new_origin
from kvnode.errors import MalformedError
from tests.strategies import checked, hostile, origins, seqs, vectors

X = new_origin("X", 1, 1)

numbers = st.integers(0, INTEGER_MAX)
claims = checked(
    st.builds(
        Claim,
        st.just("Y"),
        st.just(7),
        vectors,
        vectors,
        st.integers(0, 9),
        vectors,
        numbers,
        numbers,
    )
)
questions = vectors.map(lambda vector: since(vector, 1)) | st.just(snapshot(None, b"", 1))
messages: st.SearchStrategy[list[Message]] = st.lists(
    claims
    | st.builds(Dot, origins, seqs)
    | st.builds(Asks, numbers, questions)
    | st.builds(Answered, numbers, st.just(["ok", [b"batch"]])),
    max_size=MESSAGES_MAX,
)


def request(operation: Any) -> bytes:
    """A whole request with this operation."""
    return encode_request(1, None, 0, [operation])


@given(st.booleans(), messages)
def test_a_call_is_decoded_as_it_was_encoded(hears: bool, said: list[Message]) -> None:
    encoded = request(call("Y", 7, hears=hears, messages=said))
    assert decode_request(encoded).operations == Call("Y", 7, hears, tuple(said))


@given(st.booleans(), messages)
def test_the_answer_to_a_call_is_decoded_as_it_was_encoded(
    wants_calls: bool, said: list[Message]
) -> None:
    result = unpack_array(pack(["ok", wants_calls, encode_messages(said)]), None, "a result")
    assert decode_call_answer(result, "Y", 7) == CallAnswer(wants_calls, tuple(said))


@given(hostile(messages.map(lambda said: request(call("Y", 7, hears=True, messages=said)))))
def test_a_hostile_call_is_refused_or_sound(payload: bytes) -> None:
    try:
        decode_request(payload)
    except BadRequest as error:
        assert str(error)


@pytest.mark.parametrize(
    "messages",
    [
        None,
        {},
        [None],
        [[]],
        [["claim"]],
        [["claim", {}, {}, b"", {}, 0, 0]],
        [["claim", {}, {}, bytes(16), {}, 0]],
        [["claim", {}, {}, bytes(16), {}, 0, -1]],
        [["awaited", X]],
        [["awaited", X, 0]],
        [["ask", 1]],
        [["ask", -1, ["since", {}, 1]]],
        [["ask", 1, "since"]],
        [["answered", 1]],
        [["answered", "1", ["ok"]]],
        [["answered", 1, "ok"]],
        [["other"]],
        [[["claim"]]],
        [["awaited", X, 1]] * (MESSAGES_MAX + 1),
    ],
)
def test_messages_of_another_shape_are_malformed(messages: Any) -> None:
    with pytest.raises(BadRequest):
        decode_request(request(["call", "Y", 7, True, messages]))
    with pytest.raises(MalformedError):
        decode_call_answer(["ok", True, messages], "Y", 7)


@pytest.mark.parametrize("operation", [["call"], ["call", "a~b", 7, True, []]])
def test_a_call_of_another_shape_is_malformed(operation: Any) -> None:
    with pytest.raises(BadRequest):
        decode_request(request(operation))


@pytest.mark.parametrize("hears", [None, 0, "yes"])
def test_whether_gossip_is_heard_must_be_said(hears: Any) -> None:
    with pytest.raises(BadRequest):
        decode_request(request(["call", "Y", 7, hears, []]))
    with pytest.raises(MalformedError):
        decode_call_answer(["ok", hears, []], "Y", 7)
