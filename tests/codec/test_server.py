"""The answering side: what a node reads of a request."""

from __future__ import annotations

from dataclasses import astuple
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
    Cancel,
    Fault,
    Hello,
    Members,
    Ping,
    Position,
    Since,
    Snapshot,
    Status,
    Synced,
    decode_request,
)
from kvnode.codec.token import encode_token
from kvnode.core.batch import Change
from kvnode.core.limits import (
    CONCERN_TIMEOUT_MS_MAX,
    KEY_BYTES_MAX,
    REPLICAS_MAX,
    REQUEST_DEADLINE_MS_MAX,
    REQUEST_OPERATIONS_MAX,
    REQUEST_SCANS_MAX,
    RESERVED_PREFIX,
    SCAN_COUNT_MAX,
    SCAN_RECORDS_MAX,
    TTL_MS_MAX,
    VALUE_BYTES_MAX,
)
from kvnode.core.messages import Report
from kvnode.core.pieces import BEGUN_MAX, DIGEST_BYTES, Begun
from kvnode.core.requests import (
    AwaitReplicas,
    Condition,
    Delete,
    Forget,
    Get,
    Once,
    Put,
    Read,
    Scan,
    Shows,
    Touch,
    Watch,
    WriteAll,
)
from kvnode.core.vector import Dot, new_origin
from tests.strategies import clusters, hostile, names, origins, seqs, values, vectors
from tests.strategies import keys as all_keys

X = new_origin("X", 1, 1)
GET = ["get", b"key"]

#: Those that clients may touch.
keys = all_keys.filter(lambda key: not key.startswith(RESERVED_PREFIX))
ids = st.integers(0, INTEGER_MAX)
deadlines = st.integers(0, REQUEST_DEADLINE_MS_MAX)
sessions = st.tuples(clusters, vectors)

ttls = st.none() | st.integers(1, TTL_MS_MAX)
conditions = st.builds(
    Condition, keys, st.lists(st.builds(Dot, origins, seqs), max_size=3).map(frozenset)
)
bounds = st.none() | st.just(b"") | all_keys
scans = st.builds(
    Scan,
    st.none() | ids,
    bounds,
    bounds,
    st.none() | st.integers(1, INTEGER_MAX),
    st.integers(1, SCAN_RECORDS_MAX),
    st.booleans(),
    st.sampled_from(Shows),
)
changes = st.builds(Change, keys, st.none() | values, st.none())


def sent(change: Change) -> tuple[bytes] | tuple[bytes, bytes]:
    return (change.key,) if change.value is None else (change.key, change.value)


def asked_for(scan: Scan) -> client.Operation:
    cut, start, end, limit, page, reverse, shows = astuple(scan)
    return client.scan(cut, start, end, limit, page, reverse=reverse, shows=shows.value)


#: What is sent, and what it means.
data_operations = st.one_of(
    st.tuples(keys, values, ttls).map(lambda it: (client.put(*it), Put(*it))),
    keys.map(lambda key: (client.get(key), Get(key))),
    st.tuples(keys, ids).map(lambda it: (client.read(*it), Read(*it))),
    keys.map(lambda key: (client.delete(key), Delete(key))),
    names.map(lambda name: (client.forget(name), Forget(name))),
    st.tuples(keys, ttls).map(lambda it: (client.touch(*it), Touch(*it))),
    scans.map(lambda scan: (asked_for(scan), scan)),
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
pull_bytes = st.integers(1, MESSAGE_BYTES_MAX)
begun = st.lists(
    st.builds(Begun, st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES), st.integers(1, 1000)),
    max_size=BEGUN_MAX,
).map(tuple)
node_operations = st.one_of(
    ids.map(lambda id_: (client.cancel(id_), Cancel(id_))),
    st.just((client.PING, Ping())),
    st.just((client.POSITION, Position())),
    st.just((client.STATUS, Status())),
    (st.none() | vectors).map(lambda it: (client.members(it), Members(it))),
    introductions.map(lambda it: (client.hello(it), Hello(it))),
    st.tuples(st.none() | ids, st.binary(max_size=64), pull_bytes, begun).map(
        lambda it: (client.snapshot(*it), Snapshot(*it))
    ),
    st.tuples(vectors, pull_bytes, begun).map(lambda it: (client.since(*it), Since(*it))),
    st.tuples(
        names, st.sampled_from(["gossip", "repair"]), st.sampled_from(["hold", "drop", "pass"])
    ).map(lambda it: (client.fault(*it), Fault(*it))),
    names.map(lambda name: (client.backup(name), Backup(name))),
    st.tuples(names, ids, origins, seqs, st.binary(min_size=4, max_size=4)).map(
        lambda it: (client.synced(it[0], it[1], Dot(*it[2:4]), it[4]), Synced(Report(*it)))
    ),
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
concerns = st.tuples(st.integers(1, REPLICAS_MAX), st.integers(0, CONCERN_TIMEOUT_MS_MAX))


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


@given(st.lists(data_operations, max_size=3), concerns)
def test_waiting_for_replicas_stands_last(pairs, concern) -> None:
    operations = [*(sent for sent, _ in pairs), client.replicated(*concern)]
    asked = decode_request(encode_request(1, None, 0, operations))
    assert asked.operations == (*(operation for _, operation in pairs), AwaitReplicas(*concern))


@given(st.binary(min_size=16, max_size=16), names, ids, keys)
def test_what_is_done_once_stands_after_its_id(id_, node, position, key) -> None:
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


def test_the_bounds_of_a_scan_may_be_text_or_empty_or_kvnodes_own() -> None:
    for bound, meant in (("ä", "ä".encode()), ("", b""), (RESERVED_PREFIX, RESERVED_PREFIX)):
        asked = decode_request(encoded(["scan", None, bound, bound, None, 1, True, "keys"]))
        assert asked.operations == (Scan(None, meant, meant, None, 1, True, Shows.KEYS),)


def test_the_greatest_pages_and_the_most_of_them_fit() -> None:
    count = ["scan", None, None, None, 7, SCAN_COUNT_MAX, False, "count"]
    asked = decode_request(encoded(*[count] * REQUEST_SCANS_MAX, *[GET] * 10))
    assert asked.operations[0] == Scan(None, None, None, 7, SCAN_COUNT_MAX, False, Shows.COUNT)


@given(st.binary(max_size=9), st.booleans())
def test_a_watch_is_decoded_as_it_was_encoded(prefix: bytes, is_now: bool) -> None:
    operation = client.watch(prefix, is_now=is_now)
    request = decode_request(client.encode_request(1, None, 0, [operation]))
    assert request.operations == (Watch(prefix, is_now),)


def test_a_prefix_may_be_text() -> None:
    request = decode_request(client.encode_request(1, None, 0, [["watch", "ä", False]]))
    assert request.operations == (Watch("ä".encode(), False),)


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
