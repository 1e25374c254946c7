"""Imports in batches: what one holds, and where the next one goes on, wherever it was cut off."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from kvnode import Client, Unavailable
from kvnode.cli.accepting import AcceptingClient
from kvnode.cli.importing import BATCH_BYTES_MAX, Batch, Import, Place, State
from kvnode.cli.records import LINE_BYTES_MAX, Record
from kvnode.codec.answers import encode_answer
from kvnode.codec.token import encode_token, printable
from kvnode.core.requests import Put, Read, WriteAll
from kvnode.core.vector import new_origin
from kvnode.errors import InvalidRequest, KvnodeError
from tests.client.fake_node import FakeNode

X = new_origin("X", 1, 1)
SOON = datetime.now(UTC) + timedelta(days=1)


def lines(*numbers):
    return b"".join(b'{"key": "k%d", "value": %d}\n' % (number, number) for number in numbers)


class Node(FakeNode):
    """Acknowledges so many writes, and then fails; knows what was put, key by key, in order."""

    def __init__(self, acknowledges=1000):
        super().__init__(self._answer)
        self.left = acknowledges
        self.put = []
        self.tokens = []

    def _answer(self, asked):
        self.tokens.append(asked.token)
        results = []
        for operation in asked.operations:
            if isinstance(operation, Read):  # only whether all is there that was imported
                results.append(("ok", [], 0))
                continue
            self.left -= 1
            if self.left < 0:
                results.append(("error", "unavailable", "no room", False))
                continue
            assert isinstance(operation, Put | WriteAll), operation
            one = isinstance(operation, Put)
            changes = [(operation.key, operation.value)] if one else operation.changes
            self.put += [key.decode() for key, *_ in changes]
            results.append(("ok", X, 7, 1, None))
        return [encode_answer(asked.id, encode_token("c", {X: 7}), results)]


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr("kvnode.cli.importing._RECORDS_MAX", 2)


def imported(node, content, state=None):
    """Runs an import; its places, its numbers."""
    with Client(node.listen, timeout_s=0.5) as client:
        importing = Import(client, io.BytesIO(content), "input", State(state))
        importing.expect_kept()
        return list(importing.run(None, None)), importing.imported, importing.expired


def test_lines_are_put_in_batches_in_their_order():
    with Node() as node:
        assert imported(node, lines(1, 2, 3, 4, 5)) == ([2, 4, 5], 5, 0)
        assert node.put == ["k1", "k2", "k3", "k4", "k5"] and len(node.asked) == 3


def test_nothing_is_nothing():
    with Node() as node:
        assert imported(node, b"") == ([], 0, 0) and node.asked == []


@pytest.mark.parametrize("acknowledged", range(4))
def test_what_was_acknowledged_is_not_put_again_and_nothing_is_left_out(acknowledged, state):
    content = lines(1, 2, 3, 4, 5)
    with Node(acknowledged) as node:
        if acknowledged < 3:
            with pytest.raises(Unavailable):
                imported(node, content, state)
        else:
            imported(node, content, state)
        first = list(node.put)
    with Node() as node:
        imported(node, content, state)
        assert [*first, *node.put] == ["k1", "k2", "k3", "k4", "k5"]
        if 0 < acknowledged < 3:
            assert node.tokens[0] == {X: 7}, "the session goes on"


def test_who_was_killed_before_it_was_written_down_puts_one_batch_again(state, monkeypatch):
    content = lines(1, 2, 3, 4, 5)
    with Node() as node:
        with monkeypatch.context() as patched:
            patched.setattr(State, "keep", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                imported(node, content, state)
        imported(node, content, state)
        assert node.put == ["k1", "k2", "k1", "k2", "k3", "k4", "k5"]


def test_a_wrong_line_is_told_when_all_before_it_is_put_and_can_be_mended(state):
    with Node() as node:
        broken = lines(1, 2, 3) + b'{"key": "k4", "valve": 4}\n' + lines(5)
        told = r"^input, line 4: .*; all before it is imported$"
        with pytest.raises(InvalidRequest, match=told):
            imported(node, broken, state)
        assert node.put == ["k1", "k2", "k3"]
        assert imported(node, lines(1, 2, 3, 4, 5), state) == ([5], 2, 0)
        assert node.put == ["k1", "k2", "k3", "k4", "k5"]


@pytest.mark.parametrize("content", [b"", lines(1), lines(1, 3, 2), lines(7, 2, 3)])
def test_another_input_than_was_begun_with_is_told(content, state):
    with Node() as node:
        imported(node, lines(1, 2), state)
        with pytest.raises(InvalidRequest, match="input does not begin as"):
            imported(node, content, state)
        assert node.put == ["k1", "k2"]


def test_a_finished_import_has_nothing_left_and_what_was_added_since_is_put(state):
    with Node() as node:
        imported(node, lines(1, 2), state)
        assert imported(node, lines(1, 2), state) == ([], 0, 0)
        assert imported(node, lines(1, 2, 3), state) == ([3], 1, 0)


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", '{"lines": 1, "size_bytes": 2, "crc32": 3}'),
        '{"lines": -1, "size_bytes": 2, "crc32": 3, "token": null}',
        '{"lines": 1, "size_bytes": 2, "crc32": true, "token": null}',
        '{"lines": 1, "size_bytes": 2, "crc32": 3, "token": 5}',
        '{"lines": 1, "size_bytes": 2, "crc32": 3, "token": "!"}',
    ],
)
def test_a_damaged_state_is_told(content, state):
    state.write_text(content)
    with pytest.raises(InvalidRequest, match="remove it to import all"):
        State(state)


def test_a_state_is_small_and_readable(state):
    token = encode_token("c", {X: 7})
    State(state).keep(Place().after(b"ab\n").after(b"c\n"), token)
    document = json.loads(state.read_text())
    assert document == {"lines": 2, "size_bytes": 5, "crc32": 1355662020, "token": printable(token)}
    assert (State(state).place, State(state).token) == ((2, 5, 1355662020), token)


def test_a_line_without_an_end_is_not_read_into_memory(monkeypatch):
    monkeypatch.setattr("kvnode.cli.importing.LINE_BYTES_MAX", 100)
    source = io.BytesIO(b'{"key": "' + bytes(1000))
    with Node() as node, Client(node.listen) as client:
        with pytest.raises(InvalidRequest, match="line 1: this line is too long"):
            list(Import(client, source, "input", State(None)).run(None, None))
        assert source.tell() == 101 < LINE_BYTES_MAX


# --- what is lost


def losing(node, numbers):
    """The answers of a node that calls the session lost at its requests with these numbers."""
    answers = node._answers

    def answer(asked):
        if len(node.asked) - 1 not in numbers:
            return answers(asked)
        return [encode_answer(asked.id, None, [("lost", [(X, 1, 7)], {})])]

    return answer


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_a_loss_amid_an_import_is_told_and_all_is_put_again(batches, state):
    content = lines(1, 2, 3, 4, 5)
    with Node() as node:
        node._answers = losing(node, [batches])
        with AcceptingClient(node.listen, token=encode_token("c", {X: 7})) as client:
            importing = Import(client, io.BytesIO(content), "input", State(state))
            if not batches:
                list(importing.run(None, None))  # it was of the session before
            else:
                told = f"lines 1 to {2 * batches} of input may be of that"
                with pytest.raises(KvnodeError, match=told):
                    list(importing.run(None, None))
                assert State(state).place == Place()
        if batches:
            node.put.clear()
            imported(node, content, state)
        assert node.put == ["k1", "k2", "k3", "k4", "k5"]


# --- batches


def record(key, size_bytes=10, expires_at=None):
    return Record(key, "v", expires_at, size_bytes)


@pytest.mark.parametrize(
    ("held", "further", "takes"),
    [
        ([], record(b"a", 9_000_000), True),
        ([record(b"a")], record(b"b"), True),
        ([record(b"a")], record(b"a"), False),
        ([record(b"a"), record(b"b")], record(b"c"), False),
        ([record(b"a", BATCH_BYTES_MAX)], record(b"b", 1), False),
        ([record(b"a", BATCH_BYTES_MAX - 1)], record(b"b", 1), True),
    ],
)
def test_a_batch_has_few_records_small_enough_and_each_key_once(held, further, takes):
    batch = Batch()
    for one in held:
        batch.add(one)
    assert batch.takes(further) is takes


def test_a_batch_has_no_more_writes_than_can_be_asked_for_again(monkeypatch):
    monkeypatch.setattr("kvnode.cli.importing._RECORDS_MAX", 1000)
    batch = Batch()
    for number in range(63):
        assert batch.takes(record(b"k%d" % number, expires_at=SOON))
        batch.add(record(b"k%d" % number, expires_at=SOON))
    assert batch.takes(record(b"other")) and not batch.takes(record(b"k", expires_at=SOON))


def test_what_has_expired_meanwhile_is_counted_and_not_put():
    expired = b'{"key": "a", "value": 1, "expires_at": "2020-01-01T00:00:00+00:00"}\n'
    later = b'{"key": "b", "value": 1, "expires_at": "2999-01-01T00:00:00+00:00"}\n'
    with Node() as node:
        assert imported(node, expired + later + expired + lines(1)) == ([2, 4], 2, 2)
        assert node.put == ["b", "k1"]
        (operation,) = node.asked[0].operations
        assert operation.ttl_ms > 99 * 365 * 86_400 * 1_000
