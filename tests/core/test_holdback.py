"""The holdback queue, by hand: what waits, for what, within which limits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvnode.core.batch import Batch, Change
from kvnode.core.holdback import Holdback, first_missed
from kvnode.core.limits import Limits
from kvnode.core.requests import Mark, Request
from kvnode.core.vector import Dot, Vector, new_origin

A, B, C = (new_origin(name, 1, 1) for name in "ABC")
WRITE = (Change(b"key", b"value"),)


def batch(
    origin: str, first: int, deps: Vector | None = None, writes: int = 1, size: int = 10
) -> Batch:
    return Batch(origin, first, deps or {}, 1, (WRITE,) * writes, bytes(size))


def request(token: Vector, deadline_us: int = 1000, id_: int = 1, size: int = 10) -> Request:
    return Request("client", id_, token, deadline_us, (), size)


def holding(*batches: Batch, limits: Limits | None = None) -> Holdback:
    """A queue that took these in when nothing was delivered."""
    holdback = Holdback(limits or Limits())
    for each in batches:
        holdback.hold(each, {})
    return holdback


def ready(holdback: Holdback) -> Iterator[Dot]:
    """Take what is ready."""
    while taken := holdback.take_ready_batch():
        yield Dot(taken.origin, taken.first)


# --- batches


def test_the_next_batch_of_an_origin_is_ready_at_once() -> None:
    holdback = holding(batch(A, 1))
    assert holdback.has_ready
    assert list(ready(holdback)) == [(A, 1)]
    assert not holdback.has_ready


def test_a_batch_waits_for_the_one_before_it() -> None:
    holdback = holding(batch(A, 2))
    assert not holdback.has_ready
    assert [waiter.waits_for for waiter in holdback.batches.values()] == [(A, 1)]
    holdback.wake(A, 1, 1, {A: 1})
    assert list(ready(holdback)) == [(A, 2)]


def test_a_batch_waits_for_one_missing_dependency_after_the_other() -> None:
    holdback = holding(batch(A, 1, {B: 2, C: 3}))
    (waiter,) = holdback.batches.values()
    assert waiter.waits_for == (B, 2)
    holdback.wake(B, 2, 2, {B: 2})
    assert waiter.waits_for == (C, 3)
    holdback.wake(C, 3, 3, {B: 2, C: 3})
    assert waiter.waits_for is None
    assert list(ready(holdback)) == [(A, 1)]


def test_a_delivery_that_ends_too_low_wakes_nobody() -> None:
    holdback = holding(batch(A, 1, {B: 5}))
    holdback.wake(B, 1, 4, {B: 4})
    assert not holdback.has_ready
    assert holdback.examined == 1


@pytest.mark.parametrize("others", [0, 50])
def test_a_dot_in_the_middle_of_a_delivered_batch_wakes_its_waiters(others: int) -> None:
    holdback = holding(*[batch(C, 2, {B: 100 + at}) for at in range(others)], batch(A, 1, {B: 5}))
    holdback.wake(B, 1, 9, {B: 9})
    assert list(ready(holdback)) == [(A, 1)]


@pytest.mark.parametrize("last", [20, 10_000])
def test_a_jump_of_the_vector_wakes_all_at_or_below_it(last: int) -> None:
    many = [batch(new_origin("D", at, at), 1, {B: at}) for at in range(1, 31)]
    holdback = holding(*many)
    holdback.wake(B, 1, last, {B: last})
    assert len(list(ready(holdback))) == min(last, 30)


@pytest.mark.parametrize("delivered", [5, 6, 9])
def test_a_delivered_batch_is_dropped(delivered: int) -> None:
    holdback = Holdback(Limits())
    holdback.hold(batch(A, 4, writes=2), {A: delivered})
    assert not holdback.batches
    assert holdback.examined == 0


def test_a_batch_that_is_held_already_is_not_held_twice() -> None:
    holdback = holding(batch(A, 2), batch(A, 2))
    assert len(holdback.batches) == 1
    assert holdback.batch_bytes == 10


def test_what_is_missed_is_told_in_the_order_own_origin_then_dependencies() -> None:
    assert first_missed(batch(A, 3, {B: 1}), {}) == (A, 2)
    assert first_missed(batch(A, 3, {B: 1}), {A: 2}) == (B, 1)
    assert first_missed(batch(A, 3, {B: 1}), {A: 2, B: 1}) is None
    assert first_missed(request({B: 2}), {B: 1}) == (B, 2)
    assert first_missed(request({B: 2}), {B: 3}) is None


# --- contiguous


def test_what_has_come_after_a_vector_is_told_for_its_own_entries_alone() -> None:
    holdback = holding(batch(A, 3, writes=2), batch(A, 5), batch(A, 7), batch(B, 1))
    assert holdback.reached({A: 2}) == {A: 5}
    assert holdback.reached({}) == {}


def test_what_is_held_without_a_gap_has_come() -> None:
    holdback = holding(batch(A, 3, writes=2), batch(A, 5), batch(A, 7))
    assert holdback.contiguous(A, 0) == 0
    assert holdback.contiguous(A, 2) == 5
    assert holdback.contiguous(A, 6) == 7
    assert holdback.contiguous(B, 4) == 4


# --- limits on batches


def test_over_the_limit_the_batch_with_the_longest_gap_is_dropped() -> None:
    holdback = holding(batch(A, 9), batch(B, 5), batch(B, 7), limits=Limits(held_batches_max=2))
    assert set(holdback.batches) == {(B, 5), (B, 7)}
    assert holdback.evicted == 1


def test_the_gap_counts_from_what_is_delivered() -> None:
    holdback = Holdback(Limits(held_batches_max=1))
    holdback.hold(batch(A, 9), {A: 7})
    holdback.hold(batch(B, 5), {A: 7})
    assert set(holdback.batches) == {(A, 9)}


def test_the_batch_that_comes_may_be_the_one_that_is_dropped() -> None:
    holdback = holding(batch(A, 2), batch(A, 3), limits=Limits(held_batches_max=1))
    assert set(holdback.batches) == {(A, 2)}


def test_a_limit_of_bytes_drops_as_many_as_it_takes() -> None:
    limits = Limits(held_bytes_max=100)
    holdback = holding(batch(A, 8), batch(A, 9), batch(A, 2, size=95), limits=limits)
    assert set(holdback.batches) == {(A, 2)}
    assert (holdback.batch_bytes, holdback.evicted) == (95, 2)


def test_a_batch_that_can_be_delivered_is_not_dropped_for_one_that_waits() -> None:
    waits = [batch(A, 1, {C: 1}), batch(B, 1, {C: 1})]
    holdback = holding(*waits, batch(C, 1), limits=Limits(held_batches_max=2))
    assert (C, 1) in holdback.batches


def test_a_dropped_batch_that_comes_again_is_held_again() -> None:
    holdback = holding(batch(A, 2), batch(A, 3), limits=Limits(held_batches_max=1))
    holdback.wake(A, 1, 1, {A: 1})
    assert list(ready(holdback)) == [(A, 2)]
    holdback.wake(A, 2, 2, {A: 2})
    holdback.hold(batch(A, 3), {A: 2})
    assert list(ready(holdback)) == [(A, 3)]


def test_a_dropped_batch_has_not_come() -> None:
    holdback = holding(batch(A, 1), batch(A, 2), limits=Limits(held_bytes_max=20))
    assert holdback.contiguous(A, 0) == 2
    holdback.hold(batch(B, 1), {})
    assert set(holdback.batches) == {(A, 1), (B, 1)}
    assert holdback.contiguous(A, 0) == 1


def test_a_batch_that_is_given_up_has_not_come_nor_has_what_is_held_after_it() -> None:
    holdback = holding(batch(A, 1, {C: 1}), batch(A, 2), batch(A, 3))
    assert holdback.contiguous(A, 0) == 3
    holdback.drop_batches_waiting_for(Dot(C, 1))
    assert set(holdback.batches) == {(A, 2), (A, 3)}
    assert holdback.contiguous(A, 0) == 0
    holdback.hold(batch(A, 1), {})
    assert holdback.contiguous(A, 0) == 3


# --- requests


def test_requests_are_taken_in_order_of_arrival() -> None:
    holdback = Holdback(Limits())
    for id_, token in enumerate([{A: 1}, {B: 1}, {A: 1, B: 1}]):
        assert holdback.park(request(token, id_=id_), {})
    holdback.wake(B, 1, 1, {B: 1})
    holdback.wake(A, 1, 1, {A: 1, B: 1})
    assert [each.id for each in holdback.take_ready_requests()] == [0, 1, 2]
    assert not holdback.has_ready


def test_a_request_waits_until_its_deadline_and_no_longer() -> None:
    holdback = Holdback(Limits())
    for id_, deadline_us in enumerate([300, 100, 200]):
        holdback.park(request({A: 1}, deadline_us, id_), {})
    assert holdback.earliest_deadline_us == 100
    assert holdback.take_expired_requests(99) == []
    assert [each.id for each in holdback.take_expired_requests(200)] == [1, 2]
    assert holdback.earliest_deadline_us == 300
    assert [each.id for each in holdback.take_expired_requests(300)] == [0]
    assert holdback.earliest_deadline_us is None


def test_an_expired_request_wakes_no_more() -> None:
    holdback = Holdback(Limits())
    holdback.park(request({A: 1}), {})
    holdback.take_expired_requests(1000)
    holdback.wake(A, 1, 1, {A: 1})
    assert not holdback.has_ready


@pytest.mark.parametrize(
    "limits", [Limits(parked_requests_max=2), Limits(parked_bytes_max=25)], ids=["number", "bytes"]
)
def test_one_request_over_the_limit_is_refused(limits: Limits) -> None:
    holdback = Holdback(limits)
    assert [holdback.park(request({A: 1}, id_=at), {}) for at in range(3)] == [True, True, False]
    holdback.take_expired_requests(1000)
    assert holdback.request_bytes == 0
    assert holdback.park(request({A: 1}), {})


def test_a_full_queue_of_batches_has_room_for_requests_and_the_other_way_round() -> None:
    limits = Limits(1, 10, 1, 10)
    holdback = holding(batch(A, 2), limits=limits)
    assert holdback.park(request({A: 3}), {})
    assert not holdback.park(request({A: 3}), {})
    holdback.hold(batch(A, 1), {})
    assert set(holdback.batches) == {(A, 1)}
    assert len(holdback.requests) == 1


def test_what_waits_is_listed_in_order_of_arrival() -> None:
    holdback = holding(batch(A, 3), batch(A, 2))
    for id_ in (7, 5):
        holdback.park(request({B: 1}, id_=id_), {})
    assert list(holdback.batches) == [(A, 3), (A, 2)]
    assert [waiter.item.id for waiter in holdback.requests.values()] == [7, 5]


def test_a_write_is_found_in_the_batch_that_holds_it() -> None:
    holdback = holding(batch(A, 3, writes=2), batch(A, 9))
    assert [holdback.has(Dot(A, seq)) for seq in (2, 3, 4, 5, 9)] == [
        False,
        True,
        True,
        False,
        True,
    ]
    assert not holdback.has(Dot(B, 3))


def test_a_held_batch_is_found_by_its_first_dot() -> None:
    holdback = holding(batch(A, 3, writes=2))
    assert holdback.held(Dot(A, 3)) == batch(A, 3, writes=2)
    assert holdback.held(Dot(A, 4)) is None


def test_a_request_that_is_cancelled_has_its_deadline_now_and_no_other_has() -> None:
    holdback = holding()
    for id_ in (1, 2):
        assert holdback.park(request({A: 1}, id_=id_), {})
    holdback.cancel(Mark("client", 3))
    holdback.cancel(Mark("another", 1))
    assert holdback.take_expired_requests(1) == []
    holdback.cancel(Mark("client", 1))
    holdback.cancel(Mark("client", 1))
    assert [it.id for it in holdback.take_expired_requests(1)] == [1]
    holdback.wake(A, 1, 1, {A: 1})
    assert [it.id for it in holdback.take_ready_requests()] == [2]
    holdback.cancel(Mark("client", 2))
    assert holdback.take_expired_requests(10_000) == []
