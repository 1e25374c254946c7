"""A log read as a node would take it in; `check` tells the same of real stores."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kvnode.codec.batches import encode_batch
from kvnode.core.batch import Batch, Change
from kvnode.core.messages import OriginState
from kvnode.core.succession import Cut
from kvnode.core.vector import Vector, new_origin
from kvnode.storage.reading import Reading

X, X2 = (new_origin("X", at, at) for at in (1, 2))
Y = new_origin("Y", 1, 1)


def batch(origin: str, first: int, deps: Vector | None = None, stamp_us: int = 0) -> Batch:
    """A batch of one write; the later, the greater its stamp."""
    writes, stamp_us = ((Change(b"key", None),),), stamp_us or first
    encoded = encode_batch(origin, first, deps or {}, stamp_us, writes)
    return Batch(origin, first, deps or {}, stamp_us, writes, encoded)


def problems(
    log: Sequence[Batch], origins: dict[str, OriginState], floor: Vector | None = None
) -> list[str]:
    delivered = {origin: state.delivered for origin, state in origins.items()}
    cut = Cut.restored(delivered, {origin: state.ends for origin, state in origins.items()})
    found: list[str] = []
    reading = Reading(origins, floor or {}, cut, found.append)
    for each in log:
        reading.take(each)
    reading.end()
    return [it.replace(X2, "X2").replace(X, "X").replace(Y, "Y") for it in found]


XS = OriginState(2, 2, {X: 1}, {})
YS = OriginState(1, 1, {X: 2}, {})
LOG = [batch(X, 1), batch(X, 2), batch(Y, 1, {X: 2})]


def test_a_sound_log_has_no_problems() -> None:
    assert problems(LOG, {X: XS, Y: YS}) == []
    assert problems([], {}) == []


def test_an_incarnation_ends_those_before() -> None:
    states = {X: XS, X2: OriginState(2, 2, {X2: 1}, {X: 2})}
    assert problems([*LOG[:2], batch(X2, 1, {X: 2}), batch(X2, 2)], states) == []


def test_what_the_floor_covers_may_be_gone() -> None:
    assert problems(LOG[1:], {X: XS, Y: YS}, {X: 1}) == []
    assert problems([], {X: XS, Y: YS}, {X: 2, Y: 1}) == []


def test_what_a_snapshot_overtook_may_have_gaps() -> None:
    states = {X: OriginState(9, 9, {}, {}), Y: YS}
    assert problems([batch(X, 2), batch(X, 5), batch(Y, 1, {X: 2})], states, {X: 9}) == []


@pytest.mark.parametrize(
    ("log", "problem"),
    [
        ([LOG[1], LOG[2]], "the log lacks X:1, and goes on at X:2"),
        ([LOG[0], LOG[2], LOG[1]], "Y:1 comes in the log before X:2, which it had seen"),
        ([*LOG, LOG[0]], "X:1 comes in the log after X:2"),
        (LOG[:2], "the log ends at Y:0, but 1 is delivered"),
        ([*LOG, batch(Y, 2)], "the log ends at Y:2, but 1 is delivered"),
        ([*LOG, batch(X2, 1)], "the log has X2:1, but no state of its origin"),
        ([batch(X, 1, stamp_us=2), *LOG[1:]], "the stamp of X:2 is not above that"),
        ([LOG[0], batch(X, 2, stamp_us=9), LOG[2]], "the stamp of X is not that of its last"),
        ([*LOG[:2], batch(Y, 1, {X: 1})], "the row of Y is not what its batches make it"),
    ],
)
def test_an_unsound_log_is_told(log: list[Batch], problem: str) -> None:
    found = problems(log, {X: XS, Y: YS})
    assert len(found) == 1 and found[0].startswith(problem), found


def test_ends_are_those_of_the_first_batch() -> None:
    states = {X: XS, X2: OriginState(1, 1, {X: 2}, {X: 1})}
    (found,) = problems([*LOG[:2], batch(X2, 1, {X: 2})], states)
    assert found == "the ends of X2 are not those of its first batch"
