"""Who calls is held to what it said in its hello, and bad calls and answers do no harm."""

from __future__ import annotations

import pytest

from kvnode.cli.cluster import until
from kvnode.codec.batches import encode_batch
from kvnode.codec.calls import Answered, Asks, call, encode_messages
from kvnode.codec.client import Introduction, hello, since, snapshot
from kvnode.core.batch import Change
from kvnode.core.messages import Claim
from kvnode.core.vector import Dot, new_origin
from kvnode.errors import Unreplicated
from tests.daemon.raw import Raw

ORIGIN = new_origin("B", 1, 1)
BATCH = encode_batch(ORIGIN, 1, {}, 1, ((Change(b"k", b"\x01"),),))
WHERE = ("tcp://10.99.99.99:7411", "tcp://10.99.99.99:7412")


class Caller:
    """A process behind NAT: it says hello and calls, and nobody can reach it."""

    def __init__(self, raw, name="B", instance=9, cluster="kvnode"):
        self.raw, self.name, self.instance, self.cluster = raw, name, instance, cluster
        self._claims = 0

    def hello(self):
        """What it is answered."""
        about = (self.cluster, self.name, self.instance, *WHERE, None)
        (result,) = self.raw.ask(hello(Introduction(*about))).results
        return result

    def call(self, *messages):
        """What it is answered."""
        operation = call(self.name, self.instance, hears=False, messages=list(messages))
        (result,) = self.raw.ask(operation).results
        return result

    def claim(self, delivered):
        """One that is later than those before."""
        self._claims += 1
        about = (self.name, self.instance)
        return Claim(*about, delivered, delivered, 0, {}, 1, self._claims)


@pytest.fixture
def raw(node):
    with Raw(node) as raw:
        yield raw


def refused(result, code="refused"):
    """Why, if it was."""
    status, *about, message, maybe = result
    assert (status, about, maybe) == ("error", [code], False)
    return message


def test_who_calls_without_a_hello_is_told_to_say_that_first(raw):
    caller = Caller(raw, "Stranger", 11)
    told = refused(caller.call(), "not_yet")
    assert "has not said hello to this node: say that first" in told


def test_who_has_said_hello_is_called_for_and_heard_and_asked_in_the_answer(node, raw):
    caller = Caller(raw)
    assert caller.hello()[-1] is True, "it shall call"
    status, wants_calls, messages = caller.call(caller.claim({ORIGIN: 1}))
    assert (status, wants_calls) == ("ok", True)
    kinds = [message[0] for message in messages]
    assert kinds == ["claim", "ask"]
    assert messages[1][2][0] == "since"
    assert caller.call(Answered(messages[1][1], ["ok", [BATCH]]))[0] == "ok"
    with node.client() as client:
        until("the batch is delivered", lambda: client.get("k") == 1)
    (peer,) = [it for it in node.status()["peers"] if it["name"] == "B"]
    assert (peer["heard_by"], peer["asked_by"]) == ("calls", "calls")


@pytest.mark.parametrize(
    "answered",
    [
        Answered(1, ["ok"]),
        Answered(1, ["ok", [b"\xc1"]]),
        Answered(1, ["ok", ["batch"]]),
        Answered(2, ["ok", 1]),
    ],
)
def test_what_can_not_be_read_of_an_answer_is_refused(node, raw, answered):
    caller = Caller(raw)
    caller.hello()
    assert refused(caller.call(answered))
    assert node.process.poll() is None


def test_an_answer_that_nobody_asked_for_does_nothing(raw):
    caller = Caller(raw)
    caller.hello()
    for answered in (Answered(77, ["ok"]), Answered(1, ["error", "refused", "no", False])):
        assert caller.call(answered)[0] == "ok"


def test_a_call_asks_nothing(raw):
    caller = Caller(raw)
    caller.hello()
    assert "asks nothing" in refused(caller.call(Asks(1, since({}, 1))))


def test_a_caller_of_the_nodes_own_name_is_refused(raw):
    caller = Caller(raw, "X", 13)
    assert caller.hello()[0] == "error"
    assert "bears this node's name" in refused(caller.call())


def test_a_caller_of_another_cluster_is_refused(raw):
    caller = Caller(raw, "C", 14, cluster="elsewhere")
    assert caller.hello()[1] == "wrong_cluster"
    assert "has not said hello" in refused(caller.call(), "not_yet")


def test_a_second_process_of_a_name_waits_and_is_heard_by_its_address(node, raw):
    """While the first one goes on calling."""
    first, second = Caller(raw, "D", 15), Caller(raw, "D", 16)
    for caller in (first, second):
        caller.hello()
    assert first.call(first.claim({}))[0] == "ok"
    assert "another process bears its name" in refused(second.call(), "not_yet")

    def is_taken():
        first.call(first.claim({}))
        return second.call(second.claim({}))[0] == "ok"

    until("it is taken for a second one", is_taken)
    names = {it["name"] for it in node.status()["peers"]}
    assert {"D", f"D at {WHERE[0]}"} <= names


@pytest.mark.parametrize(
    "messages",
    [
        [["claim"]],
        encode_messages([Asks(1, ["put", b"k", b"v"])]),
        encode_messages([Asks(1, ["nothing"])]),
        encode_messages([Asks(1, [])]),
        encode_messages([Answered(1, ["ok", []])]),
        [["other"]],
    ],
)
def test_a_bad_answer_to_a_call_is_counted(messages, fake, start):
    fake.wants_calls = True
    fake.called = lambda call: ("ok", True, messages)
    node = start(fake.listen)
    until("it is counted", lambda: node.status()["complaints"].get("malformed_answers"))
    assert node.process.poll() is None


def test_what_is_asked_in_the_answer_to_a_call_is_answered_by_another_one(fake, start):
    questions = [
        Asks(1, since({}, 1000)),
        Asks(2, snapshot(None, b"", 1000)),
        Asks(3, since({}, 1)),
    ]
    fake.wants_calls = True
    fake.called = lambda call: (
        "ok",
        True,
        encode_messages([questions.pop(0)] if questions else []),
    )
    node = start(fake.listen, has_data=True)
    with node.client() as client:
        client.put("k", "v")

    def answered():
        return {it.id: it.result for call in fake.calls for it in call.messages if _is_answer(it)}

    def claimed():
        return [it for call in fake.calls for it in call.messages if isinstance(it, Claim)]

    until("all are answered", lambda: answered().keys() == {1, 2, 3})
    kinds = {id_: result[0] for id_, result in answered().items()}
    assert kinds == {1: "ok", 2: "ok", 3: "piece"}, "the last one asked for a single byte"
    until("it claims again", lambda: len(claimed()) > 1)
    numbers = [claim.number for claim in claimed()]
    assert numbers == sorted(numbers)
    assert all(call.hears is False for call in fake.calls)


def test_a_write_that_is_awaited_is_told_by_a_call(fake, start):
    fake.wants_calls = True
    node = start(fake.listen, has_data=True)
    until("the node knows that it wants calls", lambda: fake.calls)
    with node.client() as client:
        client.put("k", "v")
        with pytest.raises(Unreplicated):
            client.put("k", "w", replicas=2, timeout_s=0.5)
    until(
        "it is told",
        lambda: [it for call in fake.calls for it in call.messages if isinstance(it, Dot)],
    )


def test_who_wants_no_calls_gets_none(fake, start):
    node = start(fake.listen)
    fake.until_heard(node)
    with node.client() as client:
        client.put("k", "v")
    fake.until_heard(node)
    assert fake.calls == []


def _is_answer(message):
    return isinstance(message, Answered)
