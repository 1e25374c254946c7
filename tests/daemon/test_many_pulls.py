"""Many pulls at once: each is answered, and they do not keep clients waiting."""

from __future__ import annotations

import pytest

from kvnode.codec.client import encode_request, get, since
from kvnode.core.limits import KIB, MIB
from kvnode.daemon.loop import PULLS_WAITING_MAX
from tests.daemon.raw import Raw


@pytest.fixture
def x(make_node):
    """A node with one pull's worth of writes."""
    node = make_node("X")
    node.start()
    with node.client() as client:
        for n in range(8):
            client.put(f"key {n}", bytes(120 * KIB))
    return node


def pull(id_):
    return encode_request(id_, None, 0, [since({}, MIB)])


def test_a_client_is_answered_in_between(x):
    with Raw(x) as peer:
        for id_ in range(100):
            peer.send(pull(id_))
        peer.send(encode_request(100, None, 0, [get(b"key 1")]))
        answered = [peer.answer().id for _ in range(101)]
    assert sorted(answered) == list(range(101))
    assert answered.index(100) < 50


def test_those_over_the_limit_are_refused(x):
    with Raw(x) as peer:
        for id_ in range(3 * PULLS_WAITING_MAX):
            peer.send(pull(id_))
        answers = [peer.answer() for _ in range(3 * PULLS_WAITING_MAX)]
        assert sorted(answer.id for answer in answers) == list(range(3 * PULLS_WAITING_MAX))
        refused = [answer for answer in answers if answer.results[0][0] == "error"]
        assert 0 < len(refused) <= 2 * PULLS_WAITING_MAX
        assert all(answer.results[0][1] == "overloaded" for answer in refused)
        later = peer.ask(since({}, MIB))
    assert later.results[0][0] == "ok"
