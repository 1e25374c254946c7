"""What a session makes of answers, without a socket."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import msgpack
import pytest

from kvnode.client.session import (
    Session,
    Version,
    packed_key,
    unpacked_dot,
    unpacked_name,
    unpacked_status,
    unpacked_versions,
)
from kvnode.client.values import packed_value
from kvnode.codec.client import PING, Answer, get
from kvnode.codec.server import decode_request
from kvnode.codec.token import decode_token, encode_token
from kvnode.core.limits import KEY_BYTES_MAX
from kvnode.core.vector import Dot, new_origin
from kvnode.errors import CommitFailed, Delayed, InvalidRequest, KvnodeError, Refused, Unavailable

X, Y = (new_origin(name, 1, 1) for name in "XY")
SEEN_X, SEEN_Y = encode_token("c", {X: 1}), encode_token("c", {Y: 2})
SEEN_BOTH = {X: 1, Y: 2}
OK = ["ok", "X"]


def answer(id_, token, *results):
    return msgpack.packb([id_, token, list(results)])


def test_a_request_carries_the_token_the_wait_and_a_new_id():
    session = Session(SEEN_X)
    first, second = session.request([PING], 0), session.request([get(b"a"), get(b"b")], 1.5)
    asked = decode_request(second.payload)
    assert (asked.id, asked.token, asked.deadline_ms) == (second.id, {X: 1}, 1500)
    assert second.id != first.id and second.operations == 2


def test_what_can_not_be_packed_is_invalid():
    with pytest.raises(InvalidRequest, match="can't be asked for"):
        Session(None).request([["ping", object()]], 0)


@pytest.mark.parametrize("token", [b"no token", "no token", 5, ["token"], True])
def test_a_session_cannot_start_from_what_is_no_token(token):
    with pytest.raises(InvalidRequest, match="session token"):
        Session(token)


def test_the_answer_to_the_latest_token_replaces_it():
    session = Session(SEEN_X)
    assert session.results(session.request([PING], 0), answer(1, SEEN_Y, OK)) == [OK]
    assert session.token == SEEN_Y


def test_a_token_that_changed_meanwhile_is_merged():
    session = Session(None)
    request = session.request([PING], 0)
    session.token = SEEN_X
    session.results(request, answer(request.id, SEEN_Y, OK))
    assert decode_token(session.token) == ("c", SEEN_BOTH)


def test_a_late_answer_is_no_result_but_adds_to_the_token():
    session = Session(SEEN_X)
    late, request = session.request([PING], 0), session.request([PING], 0)
    assert session.results(request, answer(late.id, None, ["error", "x", "y", True])) is None
    assert session.token == SEEN_X
    assert session.results(request, answer(late.id, SEEN_Y, OK)) is None
    assert decode_token(session.token) == ("c", SEEN_BOTH)


@pytest.mark.parametrize("results", [[], [OK, OK]])
def test_an_answer_with_another_number_of_results_is_an_error(results):
    session = Session(SEEN_X)
    with pytest.raises(KvnodeError):
        session.results(session.request([PING], 0), answer(1, SEEN_Y, *results))
    assert session.token == SEEN_X


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (["error", "too_large", "m", False], InvalidRequest),
        (["error", "wrong_cluster", "m", False], Refused),
        (["error", "unavailable", "m", False], Unavailable),
        (["error", "commit_failed", "m", True], CommitFailed),
        (["delayed", "m", {X: 2}, {X: 1}, [[X, 2, 2]]], Delayed),
    ],
)
def test_an_error_for_the_whole_request_is_raised(result, error):
    session = Session(SEEN_X)
    with pytest.raises(error):
        session.results(session.request([PING], 0), answer(1, None, result))
    assert session.token == SEEN_X


@pytest.mark.parametrize("key", ["", b"", "\ud800", "k" * (KEY_BYTES_MAX + 1), 7, None])
def test_a_key_that_no_node_takes_is_invalid(key):
    with pytest.raises(InvalidRequest):
        packed_key(key)


def test_versions_are_unpacked_with_their_values():
    value = {1: ["a", b"b", None]}
    versions, more = unpacked_versions(["ok", [[7, X, 3, packed_value(value), None]], 2], "k")
    assert (versions, more) == ((Version(value, Dot(X, 3), 7),), 2)


def test_other_results_are_unpacked():
    assert packed_key("ä") == "ä".encode()
    assert unpacked_dot(["ok", X, 3, 7, None]) == Dot(X, 3)
    assert unpacked_name(OK) == "X"
    assert unpacked_status(["ok", {"name": "X"}]) == {"name": "X"}


@pytest.mark.parametrize(
    "unpacked",
    [lambda it: unpacked_versions(it, "k"), unpacked_dot, unpacked_name, unpacked_status],
)
@pytest.mark.parametrize("result", [["ok"], ["ok", [[7, X, 3, None, None]], 0], ["huh"], ["error"]])
def test_a_result_of_another_shape_is_an_error(unpacked, result):
    with pytest.raises(KvnodeError):
        unpacked(result)


def test_what_threads_have_seen_is_all_there():
    """Each hears of an origin of its own, in steps."""
    session, threads, steps = Session(None), 8, 200
    origins = [new_origin("T", 1, number) for number in range(threads)]

    def hear(origin):
        for seq in range(1, steps + 1):
            if seq % 2:
                session.merge(encode_token("c", {origin: seq}))
                continue
            request = session.request([PING], 0)
            seen = {} if request.token is None else decode_token(request.token)[1]
            answer = Answer(request.id, encode_token("c", seen | {origin: seq}), [OK])
            session.results_of(request, answer)

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(hear, origins))
    finally:
        sys.setswitchinterval(interval_s)
    assert decode_token(session.token) == ("c", dict.fromkeys(origins, steps))


def test_a_session_ends_with_the_one_that_it_is_within():
    outer = Session(None)
    inner, other = Session(None, within=outer), Session(None)
    assert not inner.is_over
    outer.end()
    assert inner.is_over and outer.is_over and not other.is_over
