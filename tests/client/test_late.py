"""Answers that come when nobody waits: they count for the session that asked, and for no other."""

from __future__ import annotations

from kvnode.client.late import _GIVEN_UP_MAX, GivenUp
from kvnode.client.session import Session
from kvnode.codec.client import Answer
from kvnode.codec.token import encode_token
from kvnode.core.vector import new_origin

SEEN = encode_token("c", {new_origin("X", 1, 1): 7})


def test_a_late_answer_counts_for_its_session_once() -> None:
    one, other, given_up = Session(None), Session(None), GivenUp()
    given_up.add(1, one)
    given_up.add(2, other)
    given_up.take(Answer(1, SEEN, []))
    assert (one.token, other.token) == (SEEN, None)
    given_up.take(Answer(3, SEEN, []))
    given_up.take(Answer(None, SEEN, []))
    assert other.token is None


def test_the_oldest_are_forgotten() -> None:
    sessions, given_up = [Session(None), Session(None)], GivenUp()
    given_up.add(1, sessions[0])
    for id_ in range(2, _GIVEN_UP_MAX + 2):
        given_up.add(id_, sessions[1])
    given_up.take(Answer(1, SEEN, []))
    assert sessions[0].token is None
