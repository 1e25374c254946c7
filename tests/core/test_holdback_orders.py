"""The holdback queue in any order of arrival, with duplicates, gaps and tiny limits."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.batch import Batch
from kvnode.core.holdback import Holdback
from kvnode.core.limits import Limits
from kvnode.core.requests import Request
from kvnode.core.succession import Cut, Succession
from kvnode.core.vector import Dot, Vector, new_origin
from tests.histories import History, Made, dots_of
from tests.strategies import histories

tiny = st.tuples(st.integers(1, 4), st.integers(400, 600), st.integers(0, 3)).map(
    lambda numbers: Limits(*numbers)
)


class Receiver:
    """What the replica does with the queue; it checks each delivery against the true past."""

    def __init__(self, history: History, limits: Limits) -> None:
        self.made = {Dot(made.batch.origin, made.batch.first): made for made in history.made}
        self.cut = Cut(Succession())
        self.holdback = Holdback(limits)
        self.dots = set[Dot]()

    def hear(self, made: Made) -> None:
        self.holdback.hold(made.batch, self.cut.entries)
        self.check()

    def deliver(self, batches_max: int = 1 << 30) -> None:
        for _ in range(batches_max):
            batch = self.holdback.take_ready_batch()
            if batch is None:
                return
            made = self.made[Dot(batch.origin, batch.first)]
            assert made.past <= self.dots, "delivered before its past"
            assert not dots_of(batch) & self.dots, "delivered twice"
            self.dots |= dots_of(batch)
            self.cut.advance(batch.origin, batch.last, made.ends)
            self.holdback.wake(batch.origin, batch.first, batch.last, self.cut.entries)
            self.check()

    def check(self) -> None:
        """Limits are kept, sums are right, and what is ready is known to be."""
        holdback, limits, entries = self.holdback, self.holdback.limits, self.cut.entries
        held = [waiter.item for waiter in holdback.batches.values()]
        assert holdback.batch_bytes == sum(len(batch.encoded) for batch in held)
        assert len(held) <= limits.held_batches_max
        assert holdback.batch_bytes <= limits.held_bytes_max
        assert holdback.request_bytes == sum(
            waiter.item.size_bytes for waiter in holdback.requests.values()
        )
        assert len(holdback.requests) <= limits.parked_requests_max
        assert holdback.request_bytes <= limits.parked_bytes_max
        waiting = [*holdback.batches.values(), *holdback.requests.values()]
        for origin, seq in (waiter.waits_for for waiter in waiting if waiter.waits_for):
            assert entries.get(origin, 0) < seq, "it waits for what is here"
        assert holdback.has_ready == any(waiter.waits_for is None for waiter in waiting)

    def contiguous(self, origin: str) -> int:
        """The definition, word for word."""
        reached = self.cut.entries.get(origin, 0)
        while held := self.holdback.batches.get(Dot(origin, reached + 1)):
            reached = held.item.last
        return reached

    def check_contiguous(self) -> None:
        for origin in {made.batch.origin for made in self.made.values()}:
            delivered = self.cut.entries.get(origin, 0)
            assert self.holdback.contiguous(origin, delivered) == self.contiguous(origin)


def assert_no_residue(holdback: Holdback) -> None:
    """Nothing is left anywhere inside."""
    left = {
        name: part
        for name, part in vars(holdback).items()
        if name != "limits" and hasattr(part, "__len__") and len(part)
    }
    assert not left
    assert (holdback.batch_bytes, holdback.request_bytes) == (0, 0)


@given(histories(), st.integers())
def test_in_any_order_with_duplicates_all_is_delivered_once_and_causally(history, seed) -> None:
    random, receiver = Random(seed), Receiver(history, Limits())
    arrivals = history.made + random.sample(history.made, len(history.made) // 2)
    random.shuffle(arrivals)
    for made in arrivals:
        receiver.hear(made)
        receiver.check_contiguous()
        receiver.deliver(random.randrange(3))
    receiver.deliver()
    assert receiver.dots == {dot for made in history.made for dot in dots_of(made.batch)}
    assert_no_residue(receiver.holdback)


@given(histories(), st.integers())
def test_what_expires_or_is_dropped_leaves_nothing(history, seed) -> None:
    random, receiver = Random(seed), Receiver(history, Limits(held_batches_max=1))
    holdback = receiver.holdback
    for made in random.sample(history.made, len(history.made)):
        receiver.hear(made)
        receiver.check_contiguous()
        token = {made.batch.origin: made.batch.last}
        assert holdback.park(Request("client", 1, token, 1000, (), 10), {})
    assert len(holdback.take_expired_requests(1000)) == len(history.made)
    holdback.limits = Limits(held_batches_max=0)
    holdback.hold(Batch(new_origin("V", 1, 1), 2, {}, 1, (), b""), {})
    assert_no_residue(holdback)


@given(histories(), st.integers())
def test_with_gaps_exactly_what_has_its_whole_past_is_delivered(history, seed) -> None:
    random, receiver = Random(seed), Receiver(history, Limits())
    arrived = random.sample(history.made, random.randint(0, len(history.made)))
    for made in arrived:
        receiver.hear(made)
    receiver.deliver()
    dots = {dot for made in arrived for dot in dots_of(made.batch)}
    whole = [made for made in arrived if made.past <= dots]
    assert receiver.dots == {dot for made in whole for dot in dots_of(made.batch)}


@given(histories(), tiny, st.integers())
def test_what_was_dropped_over_a_limit_is_delivered_when_it_comes_again(
    history, limits, seed
) -> None:
    random, receiver = Random(seed), Receiver(history, limits)
    arrivals = random.sample(history.made, len(history.made))
    for _ in arrivals:  # each round delivers one at least
        for made in arrivals:
            receiver.hear(made)
            receiver.deliver(random.randrange(3))
        receiver.deliver()
    assert receiver.dots == {dot for made in history.made for dot in dots_of(made.batch)}
    assert_no_residue(receiver.holdback)


@given(histories(), st.just(Limits()) | tiny, st.integers())
def test_contiguous_is_what_has_come_without_a_gap_at_all_times(history, limits, seed) -> None:
    random, receiver = Random(seed), Receiver(history, limits)
    for made in random.choices(history.made, k=2 * len(history.made)) if history.made else []:
        receiver.hear(made)
        receiver.check_contiguous()
        receiver.deliver(random.randrange(2))
        receiver.check_contiguous()
    receiver.deliver()
    receiver.check_contiguous()


@given(histories(), st.just(Limits()) | tiny, st.integers())
def test_each_request_is_taken_once_when_ready_or_when_it_expires(history, limits, seed) -> None:
    random, receiver = Random(seed), Receiver(history, limits)
    holdback, cut, parked, taken = receiver.holdback, receiver.cut, set[int](), list[int]()
    for now_us, made in enumerate(random.sample(history.made, len(history.made))):
        token: Vector = random.choice(history.made).row
        asked = Request("client", now_us, token, now_us + random.randrange(20), (), 10)
        if not cut.covers(token):
            has_room = len(holdback.requests) < limits.parked_requests_max
            assert holdback.park(asked, cut.entries) == has_room
            parked |= {asked.id} if has_room else set()
        receiver.hear(made)
        receiver.deliver(random.randrange(3))
        ready = holdback.take_ready_requests()
        assert all(cut.covers(each.token) for each in ready)
        assert [each.id for each in ready] == sorted(each.id for each in ready)
        batches = list(holdback.batches)
        expired = holdback.take_expired_requests(now_us)
        assert all(each.deadline_us <= now_us and not cut.covers(each.token) for each in expired)
        assert list(holdback.batches) == batches
        taken += [each.id for each in ready + expired]
        receiver.check()
    taken += [each.id for each in holdback.take_expired_requests(1 << 40)]
    assert sorted(taken) == sorted(parked)
