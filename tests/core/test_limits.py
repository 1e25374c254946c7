"""Limits that must fit one another: what one allows another must not refuse."""

from __future__ import annotations

from kvnode.codec.answers import encode_answer
from kvnode.codec.batches import decode_batch, encode_batch
from kvnode.codec.client import decode_answer, encode_request, get, put, since
from kvnode.codec.gossip import CLAIM, Header, decode_claim, encode_claim
from kvnode.codec.packing import MESSAGE_BYTES_MAX
from kvnode.codec.server import decode_request
from kvnode.core.batch import Change
from kvnode.core.chain import unknown_checks
from kvnode.core.limits import (
    ANSWER_VALUE_BYTES_MAX,
    BATCH_BYTES_TARGET,
    BATCH_WRITES_MAX,
    GOSSIP_BYTES_MAX,
    KEY_BYTES_MAX,
    PULLED_BATCHES_MAX,
    REQUEST_OPERATIONS_MAX,
    SCAN_COUNT_MAX,
    SCAN_RECORDS_MAX,
    VALUE_BYTES_MAX,
    VECTOR_ENTRIES_MAX,
    Limits,
)
from kvnode.core.messages import Claim
from kvnode.core.vector import new_origin

NAME = 63 * "n"
X = new_origin(NAME, 1, 1)
KEY, VALUE = bytes(KEY_BYTES_MAX), bytes(VALUE_BYTES_MAX)
FULL_VECTOR = {new_origin(NAME, 1, number): 1 << 62 for number in range(VECTOR_ENTRIES_MAX)}


def test_the_greatest_value_is_read_from_a_request_an_answer_and_a_batch() -> None:
    assert decode_request(encode_request(1, None, 0, [put(KEY, VALUE)])).id == 1
    assert decode_answer(encode_answer(1, None, [("ok", [(1, X, 1, VALUE)], 0)])).id == 1
    assert decode_batch(encode_batch(X, 1, {}, 1, ((Change(KEY, VALUE),),))).last == 1


def test_one_answer_has_room_for_the_greatest_value_and_for_more() -> None:
    assert VALUE_BYTES_MAX <= ANSWER_VALUE_BYTES_MAX < MESSAGE_BYTES_MAX


def test_a_request_of_as_many_operations_as_may_be_is_read() -> None:
    asked = decode_request(encode_request(1, None, 0, REQUEST_OPERATIONS_MAX * [get(b"k")]))
    assert len(asked.operations) == REQUEST_OPERATIONS_MAX


def test_a_batch_of_as_many_writes_as_may_be_is_read() -> None:
    writes = BATCH_WRITES_MAX * ((Change(b"k", b"v"),),)
    assert decode_batch(encode_batch(X, 1, {}, 1, writes)).last == BATCH_WRITES_MAX


def test_an_answer_of_as_many_pulled_batches_as_may_be_is_read() -> None:
    ((_, batches),) = decode_answer(
        encode_answer(1, None, [("ok", PULLED_BATCHES_MAX * [b""])])
    ).results
    assert len(batches) == PULLED_BATCHES_MAX


def test_the_greatest_vectors_are_read_from_claims_and_pulls() -> None:
    checks = unknown_checks(FULL_VECTOR)
    claim = Claim(NAME, 1, FULL_VECTOR, FULL_VECTOR, 0, {}, 0, checks=checks)
    encoded = encode_claim(claim)
    assert len(encoded) <= MESSAGE_BYTES_MAX
    assert decode_claim(Header("c", NAME, 1, CLAIM), encoded) == claim
    assert decode_request(encode_request(1, None, 0, [since(FULL_VECTOR, 1)])).id == 1


def test_several_writes_that_share_a_batch_leave_room_for_its_deps_in_gossip() -> None:
    assert 2 * BATCH_BYTES_TARGET <= GOSSIP_BYTES_MAX


def test_each_buffer_has_room_for_the_greatest_item_and_each_turn_for_the_greatest_answer() -> None:
    limits = Limits()
    assert min(limits.held_bytes_max, limits.parked_bytes_max) >= MESSAGE_BYTES_MAX
    assert limits.answered_bytes_per_turn >= ANSWER_VALUE_BYTES_MAX
    assert limits.delivered_writes_per_turn >= BATCH_WRITES_MAX


def test_the_greatest_page_of_a_scan_fits_an_answer() -> None:
    """One that has more than half a MiB has just one record."""
    assert KEY_BYTES_MAX + VALUE_BYTES_MAX <= ANSWER_VALUE_BYTES_MAX
    limits = Limits()
    assert min(limits.scan_work_per_turn, limits.scan_work_per_page) >= SCAN_COUNT_MAX
    assert SCAN_RECORDS_MAX <= SCAN_COUNT_MAX <= BATCH_WRITES_MAX, "an array holds no more"
