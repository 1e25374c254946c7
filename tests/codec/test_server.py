"""The answering side: what a node reads of a request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.codec import client
from kvnode.codec.client import Introduction, encode_request
from kvnode.codec.packing import INTEGER_MAX, MESSAGE_BYTES_MAX, pack
from kvnode.codec.server import (
    Asked,
    Backup,
    BadRequest,
    Fault,
    Hello,
    Members,
    Ping,
    Position,
    Since,
    Snapshot,
    Status,
    decode_request,
)
from kvnode.codec.token import encode_token
from kvnode.core.batch import Change
from kvnode.core.limits import (
    KEY_BYTES_MAX,
    REQUEST_DEADLINE_MS_MAX,
    REQUEST_OPERATIONS_MAX,
    RESERVED_PREFIX,
    VALUE_BYTES_MAX,
)
from kvnode.core.messages import Condition, Delete, Forget, Get, Once, Put, Read, WriteAll
from kvnode.core.vector import Dot
from tests.strategies import clusters, hostile, names, origins, seqs, values, vectors
from tests.strategies import keys as all_keys

GET = ["get", b"key"]

#: Those that clients may touch.
keys = all_keys.filter(lambda key: not key.startswith(RESERVED_PREFIX))
ids = st.integers(0, INTEGER_MAX)
deadlines = st.integers(0, REQUEST_DEADLINE_MS_MAX)
sessions = st.tuples(clusters, vectors)

conditions = st.builds(
    Condition, keys, st.lists(st.builds(Dot, origins, seqs), max_size=3).map(frozenset)
)
changes = st.builds(Change, keys, st.none() | values, st.none())


def sent(change: Change) -> tuple[bytes] | tuple[bytes, bytes]:
    return (change.key,) if change.value is None else (change.key, change.value)


#: What is sent, and what it means.
data_operations = st.one_of(
    st.tuples(keys, values).map(lambda it: (client.put(*it), Put(*it))),
    keys.map(lambda key: (client.get(key), Get(key))),
    st.tuples(keys, ids).map(lambda it: (client.read(*it), Read(*it))),
    keys.map(lambda key: (client.delete(key), Delete(key))),
    names.map(lambda name: (client.forget(name), Forget(name))),
    st.tuples(
        st.lists(conditions, max_size=3, unique_by=lambda it: it.key),
        st.lists(changes, min_size=1, max_size=3),
    ).map(
        lambda it: (
            client.write([(key, sorted(dots)) for key, dots in it[0]], [sent(c) for c in it[1]]),
            WriteAll(tuple(it[0]), tuple(it[1])),
        )
    ),
)
introductions = st.builds(
    Introduction,
    clusters,
    names,
    ids,
    st.text(max_size=64),
    st.text(max_size=64),
    st.none() | st.builds(Dot, origins, seqs),
)
node_operations = st.one_of(
    st.just((client.PING, Ping())),
    st.just((client.POSITION, Position())),
    st.just((client.STATUS, Status())),
    st.just((client.MEMBERS, Members())),
    introductions.map(lambda it: (client.hello(it), Hello(it))),
    st.tuples(st.none() | ids, st.binary(max_size=64)).map(
        lambda it: (client.snapshot(*it), Snapshot(*it))
    ),
    st.tuples(vectors, st.integers(1, MESSAGE_BYTES_MAX)).map(
        lambda it: (client.since(*it), Since(*it))
    ),
    st.tuples(
        names, st.sampled_from(["gossip", "repair"]), st.sampled_from(["hold", "drop", "pass"])
    ).map(lambda it: (client.fault(*it), Fault(*it))),
    names.map(lambda name: (client.backup(name), Backup(name))),
)
requests = st.builds(
    lambda id_, session, deadline_ms, operations: encode_request(
        id_, encode_token(*session), deadline_ms, [sent for sent, _ in operations]
    ),
    ids,
    sessions,
    deadlines,
    st.lists(data_operations, min_size=1, max_size=3) | node_operations.map(lambda it: [it]),
)


def encoded(*operations: Any) -> bytes:
    return pack([1, 5, None, 0, *operations])


# --- what is sound


@given(ids, st.none() | sessions, deadlines, st.lists(data_operations, min_size=1, max_size=5))
def test_operations_on_data_are_decoded_as_they_were_encoded(
    id_, session, deadline_ms, pairs
) -> None:
    token = None if session is None else encode_token(*session)
    asked = decode_request(encode_request(id_, token, deadline_ms, [sent for sent, _ in pairs]))
    cluster, seen = session or (None, {})
    meant = tuple(operation for _, operation in pairs)
    assert asked == Asked(id_, cluster, seen, deadline_ms, meant)


@given(st.binary(min_size=16, max_size=16), names, ids, keys)
def test_what_is_done_once_stands_behind_its_id(id_, node, position, key) -> None:
    sent = [client.once(id_, node, position), client.delete(key), client.get(key)]
    asked = decode_request(encode_request(1, None, 0, sent))
    assert asked.operations == (Once(id_, node, position), Delete(key), Get(key))


@given(node_operations)
def test_operations_on_the_node_are_decoded_as_they_were_encoded(pair) -> None:
    sent, meant = pair
    assert decode_request(encode_request(1, None, 0, [sent])).operations == meant


def test_a_key_may_be_text_and_a_value_may_not() -> None:
    assert decode_request(encoded(["get", "ä"])).operations == (Get("ä".encode()),)
    with pytest.raises(BadRequest):
        decode_request(encoded(["put", "ä", "ä"]))


def test_the_greatest_value_and_the_most_operations_fit() -> None:
    asked = decode_request(encoded(["put", b"k" * KEY_BYTES_MAX, bytes(VALUE_BYTES_MAX)]))
    assert asked.operations == (Put(b"k" * KEY_BYTES_MAX, bytes(VALUE_BYTES_MAX)),)
    many = decode_request(encoded(*[GET] * REQUEST_OPERATIONS_MAX)).operations
    assert many == (Get(b"key"),) * REQUEST_OPERATIONS_MAX


@pytest.mark.parametrize("key", [RESERVED_PREFIX, RESERVED_PREFIX + b"member/x", "\0kvnode/"])
@pytest.mark.parametrize(
    "operation", [["get"], ["read", 0], ["delete"], ["put", b"v"]], ids=lambda it: it[0]
)
def test_keys_that_are_kvnodes_own_are_out_of_reach(key: Any, operation: list[Any]) -> None:
    name, *arguments = operation
    with pytest.raises(BadRequest, match="kvnode's own"):
        decode_request(encoded([name, key, *arguments]))


# --- what is not


@given(hostile(requests))
def test_hostile_bytes_are_a_bad_request_or_a_sound_one(data: bytes) -> None:
    try:
        asked = decode_request(data)
    except BadRequest as error:
        assert error.id is None or isinstance(error.id, int)
        return
    assert 0 <= asked.id <= INTEGER_MAX
    assert 0 <= asked.deadline_ms <= REQUEST_DEADLINE_MS_MAX
    assert asked.operations != ()
