"""Pipelines: one message, a result or an error for each operation."""

from __future__ import annotations

import asyncio
import re

import pytest

from kvnode import (
    AsyncClient,
    Client,
    Conflict,
    InvalidRequest,
    TimedOut,
    Unreachable,
    Unreplicated,
)
from kvnode.client.pipeline import Pending
from kvnode.codec.answers import encode_answer
from kvnode.codec.packing import pack
from kvnode.codec.token import encode_token
from kvnode.core.requests import AwaitReplicas
from kvnode.core.vector import Dot, name_of, new_origin
from tests.client.fake_node import FakeNode, answering, silent

X = new_origin("X", 1, 1)
OK = ("ok", X, 3, 7, None)
TOKEN = encode_token("c", {X: 3})


def test_many_operations_are_one_message_and_run_in_order(trio):
    with trio["X"].client() as client:
        with client.pipeline() as pipeline:
            written = pipeline.put("pipeline/a", 1)
            seen = pipeline.get("pipeline/a")
            pipeline.put_many({"pipeline/a": 2, "pipeline/b": 3})
            many = pipeline.get_many(["pipeline/a", "pipeline/b", "pipeline/c"])
            deleted = pipeline.delete("pipeline/a")
            gone = pipeline.get("pipeline/a", "gone")
        assert name_of(written.result().origin) == "X"
        assert (seen.result(), many.result(), gone.result()) == (1, [2, 3, None], "gone")
        assert deleted.result().seq == written.result().seq + 2
        assert pipeline.results[1] == 1 and len(pipeline.results) == 6


def test_each_operation_fails_alone(trio):
    with trio["X"].client() as client:
        client.put("pipeline/there", 1)
        with client.pipeline() as pipeline:
            refused = pipeline.put("pipeline/there", 2, if_version=())
            done = pipeline.put("pipeline/not there", 2, if_version=())
            value = pipeline.get("pipeline/there")
        with pytest.raises(Conflict):
            refused.result()
        assert done.result() and value.result() == 1
        assert isinstance(pipeline.results[0], Conflict)


def test_it_is_one_request():
    with FakeNode(answering(OK, OK)) as node, Client(node.listen) as client:
        with client.pipeline(wait_s=2) as pipeline:
            pipeline.put("a", 1)
            pipeline.put("b", 1)
        (asked,) = node.asked
    assert len(asked.operations) == 2 and asked.deadline_ms == 2000


def test_its_writes_wait_for_replicas_together():
    answers = answering(OK, OK, ("ok", 2), token=TOKEN)
    with FakeNode(answers) as node, Client(node.listen) as client:
        with client.pipeline(replicas=2, timeout_s=1) as pipeline:
            one, other = pipeline.put("a", 1), pipeline.put("b", 1)
        assert one.result() == other.result() == Dot(X, 3)
        (asked,) = node.asked
    awaited = asked.operations[-1]
    assert isinstance(awaited, AwaitReplicas) and awaited.replicas == 2
    assert 500 < awaited.timeout_ms <= 800, "so that the answer comes in time"


def test_who_waits_for_replicas_in_vain_is_told_by_the_block_and_has_all_results():
    vain = ("unreplicated", "the time is up", (X, 3), 3, ["X", "Y"])
    conflict = ("conflict", [(b"a", [])])
    with (
        FakeNode(answering(OK, conflict, vain, token=TOKEN)) as node,
        Client(node.listen) as client,
        pytest.raises(Unreplicated, match="only 2 of 3 members"),
        client.pipeline(replicas=3, timeout_s=1) as pipeline,
    ):
        done = pipeline.put("a", 1)
        refused = pipeline.put("a", 1, if_version=())
    assert done.result() == Dot(X, 3)
    with pytest.raises(Conflict):
        refused.result()


def test_no_operation_of_a_pipeline_waits_for_replicas_by_itself():
    with Client("127.0.0.1:1") as client:
        pipeline = client.pipeline().__enter__()
        with pytest.raises(InvalidRequest, match="give it replicas itself"):
            pipeline.put("a", 1, replicas=1, timeout_s=1)
        with pytest.raises(InvalidRequest):
            client.pipeline(replicas=0)


def test_an_exception_in_the_block_sends_nothing():
    with FakeNode(answering(OK)) as node, Client(node.listen) as client:
        with pytest.raises(ZeroDivisionError), client.pipeline() as pipeline:
            pending = pipeline.put("a", 1)
            raise ZeroDivisionError
        with client.pipeline():
            pass
        assert node.asked == []
    with pytest.raises(InvalidRequest, match="was not sent"):
        pending.result()


def test_a_request_that_fails_as_a_whole_is_raised_by_the_block():
    with Client("127.0.0.1:1", timeout_s=0.05) as client:
        with pytest.raises(Unreachable), client.pipeline() as pipeline:
            pending = pipeline.put("a", 1)
        (error,) = pipeline.results
    assert isinstance(error, Unreachable)
    with pytest.raises(Unreachable):
        pending.result()


def test_an_operation_that_was_sent_may_have_happened_if_no_answer_came():
    with FakeNode(silent) as node, Client(node.listen, timeout_s=0.1, wait_s=0) as client:
        with pytest.raises(TimedOut), client.pipeline() as pipeline:
            pending = pipeline.put("a", 1)
        assert len(node.asked) == 1
    with pytest.raises(TimedOut):
        pending.result()


def test_a_pipeline_is_used_once():
    """What it has would be sent again."""
    with FakeNode(answering(OK)) as node, Client(node.listen) as client:
        with client.pipeline() as pipeline:
            pipeline.put("a", 1)
            with pytest.raises(InvalidRequest, match="begun already"), pipeline:
                pass
        with pytest.raises(InvalidRequest, match="is over"):
            pipeline.put("b", 1)
        with pytest.raises(InvalidRequest, match="begun already"), pipeline:
            pass
        assert len(node.asked) == 1


def test_a_pipeline_outside_its_block_says_how_to_use_it():
    advice = re.escape("`with client.pipeline() as pipeline:`")
    with Client("127.0.0.1:1") as client, pytest.raises(InvalidRequest, match=advice):
        client.pipeline().put("a", 1)


def test_a_pipeline_of_asyncio_outside_its_block_says_how_to_use_it():
    async def put():
        async with AsyncClient("127.0.0.1:1") as client:
            client.pipeline().get("a")

    with pytest.raises(InvalidRequest, match=re.escape("`async with client.pipeline() as")):
        asyncio.run(put())


def test_what_comes_to_nothing_is_not_sent_and_is_settled():
    with FakeNode(answering()) as node, Client(node.listen) as client:
        with client.pipeline(replicas=2) as pipeline:
            puts, gets = pipeline.put_many({}), pipeline.get_many([])
        assert (puts.result(), gets.result(), node.asked) == (None, [], [])


def test_reads_wait_for_no_replicas():
    with FakeNode(answering(["ok", [], 0])) as node, Client(node.listen) as client:
        with client.pipeline(replicas=2) as pipeline:
            pipeline.get("a")
        assert [len(asked.operations) for asked in node.asked] == [1]


def test_what_no_node_takes_spoils_nothing_else():
    with FakeNode(answering(OK)) as node, Client(node.listen) as client:
        with client.pipeline() as pipeline:
            pipeline.put("a", 1)
            with pytest.raises(InvalidRequest, match="a key must not be empty"):
                pipeline.put("", 1)
        assert len(node.asked) == 1


def test_operations_of_a_pipeline_wait_together():
    with Client("127.0.0.1:1") as client, pytest.raises(InvalidRequest, match="give it wait_s"):
        client.pipeline().__enter__().put("a", 1, wait_s=1)


def test_what_does_not_fit_the_answer_is_asked_for_afterwards():
    """Siblings beyond what one answer holds."""

    def answers(asked):
        skip = getattr(asked.operations[0], "skip", 0)
        versions = [[9 - skip, X, 3 - skip, pack(skip), None]]
        results = [("ok", versions, 1 - skip)] * len(asked.operations)
        return [encode_answer(asked.id, b"\x92\xa1c\x80", results)]

    with FakeNode(answers) as node, Client(node.listen) as client:
        with client.pipeline() as pipeline:
            pending = pipeline.read("a")
        assert [version.value for version in pending.result()] == [0, 1]
        assert len(node.asked) == 2


def test_a_result_is_there_once_it_was_sent():
    pending: Pending[int] = Pending()
    with pytest.raises(InvalidRequest):
        pending.result()
    pending._settle(1)
    assert pending.result() == 1
