"""Draining the holdback queue costs each batch a look for each origin, whatever the order.

What is counted is work, not time.
"""

from __future__ import annotations

from random import Random

import pytest

from kvnode.core.batch import Batch, Change
from kvnode.core.holdback import Holdback
from kvnode.core.limits import Limits
from kvnode.core.vector import new_origin

BATCHES = 100_000
WRITE = ((Change(b"key", b"value"),),)
ORIGINS = [new_origin(name, 1, 1) for name in "ABCDE"]


def in_turn(others: int) -> list[Batch]:
    """Batches of the origins in turn, each after the latest of so many others."""
    made, count = [], len(ORIGINS)
    for at in range(BATCHES):
        before = range(max(0, at - others), at)
        deps = {ORIGINS[each % count]: each // count + 1 for each in before}
        made.append(Batch(ORIGINS[at % count], at // count + 1, deps, 1, WRITE, b"x"))
    return made


def examined_each(arrivals: list[Batch]) -> float:
    """Take in all of them, then deliver all: how often each was looked at."""
    holdback, entries, delivered = Holdback(Limits()), dict[str, int](), 0
    for batch in arrivals:
        holdback.hold(batch, entries)
    while batch := holdback.take_ready_batch():
        assert entries.get(batch.origin, 0) == batch.first - 1
        assert all(entries.get(origin, 0) >= seq for origin, seq in batch.deps.items())
        entries[batch.origin] = batch.last
        holdback.wake(batch.origin, batch.first, batch.last, entries)
        delivered += 1
    assert delivered == len(arrivals)
    assert not holdback.batches
    return holdback.examined / delivered


@pytest.mark.parametrize("others", [0, 1, len(ORIGINS) - 1], ids=["apart", "chain", "mesh"])
def test_draining_in_the_worst_order_looks_at_each_batch_a_few_times(others: int) -> None:
    assert examined_each(in_turn(others)[::-1]) <= len(ORIGINS) + 2


def test_draining_in_a_random_order_looks_at_each_batch_a_few_times() -> None:
    arrivals = in_turn(len(ORIGINS) - 1)
    Random(1).shuffle(arrivals)
    assert examined_each(arrivals) <= len(ORIGINS) + 2
