"""Batches, the writes in them, and how large these get."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kvnode.codec.batches import encode_batch
from kvnode.core.batch import Batch, Change, Write, reduced, write_bytes_max
from kvnode.core.limits import GOSSIP_BYTES_MAX, KEY_BYTES_MAX
from kvnode.core.vector import new_origin
from tests.strategies import expiries, writes

X = new_origin("X", 1, 1)
A1, A2, B = Change(b"a", b"1"), Change(b"a", b"2"), Change(b"b", None)


def batch(first: int, writes: int, encoded: bytes = b"") -> Batch:
    return Batch(X, first, {}, 1, ((A1,),) * writes, encoded)


def test_the_last_of_several_writes_is_counted_from_the_first() -> None:
    assert batch(5, 1).last == 5
    assert batch(5, 3).last == 7


def test_a_batch_over_the_limit_is_no_gossip() -> None:
    assert batch(1, 1, bytes(GOSSIP_BYTES_MAX)).is_gossip
    assert not batch(1, 1, bytes(GOSSIP_BYTES_MAX + 1)).is_gossip


def test_the_last_change_of_a_key_counts() -> None:
    assert set(reduced([A1, B, A2])) == {A2, B}
    assert reduced([A1, Change(b"a", None)]) == (Change(b"a", None),)


@given(
    st.lists(st.builds(Change, st.binary(max_size=1), st.none() | st.binary(max_size=2), expiries))
)
def test_a_reduced_write_does_what_its_changes_do_in_turn(changes) -> None:
    in_turn = {change.key: change for change in changes}
    write = reduced(changes)
    assert len(write) == len(in_turn)
    assert {change.key: change for change in write} == in_turn


sizes = st.sampled_from([0, 1, 31, 32, 255, 256, 65_535, 65_536])
large = st.builds(
    lambda key_bytes, value_bytes: (
        Change(b"k" * min(key_bytes + 1, KEY_BYTES_MAX), bytes(value_bytes)),
    ),
    sizes,
    sizes,
)
many = st.integers(1, 300).map(
    lambda count: tuple(Change(b"%d" % number, None) for number in range(count))
)


@given(st.lists(writes() | large | many, min_size=1, max_size=20))
def test_a_write_adds_no_more_than_its_bound(body: list[Write]) -> None:
    lengths = [len(encode_batch(X, 1, {}, 1, tuple(body[:to]))) for to in range(1, len(body) + 1)]
    for write, (before, after) in zip(body[1:], pairwise(lengths), strict=True):
        assert after - before <= write_bytes_max(write)
