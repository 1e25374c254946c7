"""A client that goes on without what is lost, and who is told of that."""

from __future__ import annotations

import pytest

from kvnode import Client, SessionLost
from kvnode.cli.accepting import AcceptingClient, told_of_loss
from kvnode.codec.answers import encode_answer
from kvnode.codec.token import decode_token, encode_token
from kvnode.core.vector import new_origin
from tests.client.fake_node import FakeNode

GONE = new_origin("X", 1, 1)
KEPT = new_origin("Y", 1, 1)

SEEN = encode_token("c", {GONE: 3, KEPT: 2})
LEFT = encode_token("c", {KEPT: 2})


def answers(asked):
    """Of a node that has KEPT, and knows that nobody has GONE."""
    if GONE in (asked.token or {}):
        return [encode_answer(asked.id, None, [("lost", [(GONE, 1, 3)], {KEPT: 2})])]
    return [encode_answer(asked.id, LEFT, [("ok", [], 0)])]


@pytest.fixture
def node():
    with FakeNode(answers) as node:
        yield node


def test_it_goes_on_without_what_is_lost_and_tells_with_which_token(node):
    told = []
    with AcceptingClient(node.listen, token=SEEN) as client:
        with told_of_loss(client, told.append):
            assert client.read("k") == ()
        assert decode_token(client.token)[1] == {KEPT: 2}
    assert [decode_token(token)[1] for token in told] == [{KEPT: 2}]


def test_who_asks_no_longer_is_told_no_longer(node):
    told = []
    with AcceptingClient(node.listen, token=SEEN) as client:
        with told_of_loss(client, told.append):
            pass
        assert client.read("k") == () and told == []


def test_any_other_client_raises_as_ever(node):
    with (
        Client(node.listen, token=SEEN) as client,
        told_of_loss(client, lambda _: pytest.fail("nothing was accepted")),
        pytest.raises(SessionLost),
    ):
        client.read("k")
