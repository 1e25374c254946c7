"""Watches: what an answer holds, where the watcher goes on, and who waits for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from kvnode.core.batch import Batch, Change
from kvnode.core.limits import RESERVED_PREFIX, Limits
from kvnode.core.requests import Mark, Request, Watch
from kvnode.core.results import Compacted, Event, Events
from kvnode.core.succession import Cut, Ends
from kvnode.core.vector import Dot, Vector, new_origin
from kvnode.core.watches import Answered, Watches, advanced, page_of

X, Y, Y2 = (new_origin(name, 1, at) for at, name in enumerate("XYY"))
LIMITS = Limits()


def batch(origin: str, first: int, *writes: str) -> Batch:
    """A batch of puts: "a b" is one write of two keys, "-a" deletes."""
    made = tuple(
        tuple(
            Change(key[1:].encode(), None) if key[0] == "-" else Change(key.encode(), b"v")
            for key in write.split()
        )
        for write in writes
    )
    return Batch(origin, first, {}, 7, made, b"encoded")


def told(events: Sequence[Event]) -> list[str]:
    """Events as dot and key."""
    return [
        f"{event.dot.origin[0]}{event.dot.seq} {'-' * (event.value is None)}{event.key.decode()}"
        for event in events
    ]


# --- one answer


@pytest.mark.parametrize(
    ("position", "prefix", "expected"),
    [
        ({}, b"", ["X1 a", "X2 b", "X2 -c", "Y1 b"]),
        ({}, b"b", ["X2 b", "Y1 b"]),
        ({}, b"nothing", []),
        ({X: 1}, b"", ["X2 b", "X2 -c", "Y1 b"]),
        ({X: 2}, b"", ["Y1 b"]),
        ({X: 2, Y: 1}, b"", []),
        ({Y: 1}, b"b", ["X2 b"]),
    ],
)
def test_what_lies_beyond_a_position_is_told_in_order(
    position: Vector, prefix: bytes, expected: list[str]
) -> None:
    page = page_of([batch(X, 1, "a", "b -c"), batch(Y, 1, "b")], position, prefix, LIMITS)
    assert (told(page.events), page.rest) == (expected, None)


def test_an_event_has_all_that_the_write_said() -> None:
    put, delete = Change(b"a", b"1", 99), Change(b"b", None)
    made = Batch(X, 3, {}, 7, ((put, delete),), b"")
    assert page_of([made], {}, b"", LIMITS).events == (
        Event(Dot(X, 3), 7, b"a", b"1", 99),
        Event(Dot(X, 3), 7, b"b", None, None),
    )


def test_what_is_kvnodes_own_is_not_told() -> None:
    own = Batch(X, 1, {}, 7, ((Change(RESERVED_PREFIX + b"member/X", b""),),), b"")
    assert page_of([own], {}, b"", LIMITS).events == ()


@pytest.mark.parametrize(
    ("limits", "expected", "rest"),
    [
        (LIMITS._replace(watch_answer_events=1), ["X1 a"], Dot(X, 2)),
        (LIMITS._replace(watch_answer_events=2), ["X1 a"], Dot(X, 2)),
        (LIMITS._replace(watch_answer_events=3), ["X1 a", "X2 b", "X2 c"], Dot(X, 3)),
        (LIMITS._replace(watch_answer_bytes=2), ["X1 a"], Dot(X, 2)),
        (LIMITS._replace(watch_answer_bytes=6), ["X1 a", "X2 b", "X2 c"], Dot(X, 3)),
    ],
)
def test_an_answer_ends_before_the_write_that_does_not_fit(
    limits: Limits, expected: list[str], rest: Dot
) -> None:
    page = page_of([batch(X, 1, "a", "b c", "d")], {}, b"", limits)
    assert (told(page.events), page.rest) == (expected, rest)


def test_a_write_that_is_more_than_an_answer_holds_is_told_whole() -> None:
    page = page_of([batch(X, 1, "a b c")], {}, b"", LIMITS._replace(watch_answer_events=1))
    assert told(page.events) == ["X1 a", "X1 b", "X1 c"]


def test_a_position_goes_on_after_what_was_told() -> None:
    batches = [batch(X, 1, "a", "b"), batch(Y, 1, "c"), batch(X, 3, "d", "e")]
    assert advanced({Y2: 5}, batches, None) == {X: 4, Y: 1, Y2: 5}
    assert advanced({}, batches, Dot(X, 4)) == {X: 3, Y: 1}
    assert advanced({}, batches, Dot(X, 3)) == {X: 2, Y: 1}
    assert advanced({}, batches, Dot(Y, 1)) == {X: 2}
    assert advanced({}, batches, Dot(X, 1)) == {}


def test_a_position_never_goes_back() -> None:
    """What the watcher has seen elsewhere comes here in the same turn as what it has not."""
    assert advanced({X: 4, Y: 2}, [batch(X, 1, "a", "b"), batch(Y, 1, "c")], None) == {X: 4, Y: 2}
    assert advanced({X: 4}, [batch(X, 1, "a"), batch(Y, 1, "c", "d")], Dot(Y, 2)) == {X: 4, Y: 1}


# --- who waits


class Story:
    """A node's log and cut, and what becomes of its watches, turn by turn."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.watches = Watches(limits)
        self.cut = Cut.restored({}, {})
        self.floor: dict[str, int] = {}
        self.now_us = 0
        self.lookups = 0
        self._log: list[Batch] = []

    def batches(self, lacking: Mapping[str, int], bytes_max: int, ends: Ends) -> list[Batch]:
        """See `Log`."""
        self.lookups += 1
        beyond = [it for it in self._log if it.last >= lacking.get(it.origin, it.last + 1)]
        return beyond[: max(1, bytes_max // len(b"encoded"))]

    def turn(self, *delivered: Batch) -> list[Answered]:
        """Deliver these, and answer who is to be answered; then they are committed."""
        self.watches.begin(self.cut)
        for each in delivered:
            self.cut.advance(each.origin, each.last, {})
        answered = [
            *self.watches.tell(delivered),
            *self.watches.look_up(self, self.cut, self.floor, delivered, self.now_us),
            *self.watches.expired(self.now_us),
        ]
        self._log += delivered
        return answered

    def ask(
        self,
        prefix: str = "",
        at: Vector | None = None,
        wait_us: int | None = 1000,
        id_: int = 1,
    ) -> bool:
        """A watch comes in; whether there was room for it."""
        deadline_us = None if wait_us is None else self.now_us + wait_us
        operation = Watch(prefix.encode(), is_now=False)
        return self.watches.add(Request("to", id_, at or {}, deadline_us, (operation,), 10))


def events_of(answered: list[Answered]) -> list[list[str]]:
    return [told(it.result.events) for it in answered if isinstance(it.result, Events)]


def test_what_the_log_has_is_told_at_once() -> None:
    story = Story()
    story.turn(batch(X, 1, "a", "b"))
    story.ask(at={X: 1})
    (answered,) = story.turn()
    assert (events_of([answered]), answered.position) == ([["X2 b"]], None)


def test_what_the_turn_itself_brings_comes_after_what_the_log_has() -> None:
    story = Story()
    story.turn(batch(X, 1, "a"))
    story.ask()
    assert events_of(story.turn(batch(Y, 1, "b"))) == [["X1 a", "Y1 b"]]


def test_who_has_seen_all_waits_until_something_of_its_prefix_comes() -> None:
    story = Story()
    story.ask("b")
    assert story.turn(batch(X, 1, "a")) == []
    lookups = story.lookups
    assert all(story.turn(batch(X, seq, "a c")) == [] for seq in range(2, 10))
    assert events_of(story.turn(batch(X, 10, "bb", "a"))) == [["X10 bb"]]
    assert story.lookups == lookups, "for who waits nothing is read from the disk"
    assert len(story.watches) == story.watches.size_bytes == 0


def test_at_its_deadline_a_watch_is_answered_with_nothing() -> None:
    story = Story()
    story.ask("b")
    story.turn()
    assert story.watches.wake_us() == 1000
    story.now_us = 999
    assert story.turn(batch(X, 1, "a")) == []
    story.now_us = 1000
    (answered,) = story.turn()
    assert answered.result == Events(()) and answered.position is None
    assert story.watches.wake_us() is None and not len(story.watches)


def test_a_watch_that_is_cancelled_is_answered_with_nothing_and_no_other_is() -> None:
    story = Story()
    story.ask("b", id_=1)
    story.ask("b", id_=2)
    story.turn()
    story.watches.cancel(Mark("another", 1))
    story.watches.cancel(Mark("to", 3))
    assert story.turn() == []
    story.watches.cancel(Mark("to", 1))
    (answered,) = story.turn()
    assert (answered.request.id, answered.result) == (1, Events(()))
    assert events_of(story.turn(batch(X, 1, "b"))) == [["X1 b"]]
    assert len(story.watches) == story.watches.size_bytes == 0


def test_a_watch_that_is_cancelled_before_it_was_looked_at_never_waits() -> None:
    story = Story(LIMITS._replace(watched_bytes_per_turn=1))
    for id_ in (1, 2, 3):
        story.ask("b", id_=id_)
    story.watches.cancel(Mark("to", 2))
    assert story.turn() == [], "one turn looks at one"
    assert [it.request.id for it in story.turn()] == [2]
    assert story.turn() == []
    assert len(story.watches) == 2
    story.ask("b", id_=2)
    assert story.turn() == [], "what was cancelled was the one before it"


def test_a_watch_that_was_answered_can_t_be_cancelled() -> None:
    story = Story()
    story.ask("b")
    story.turn()
    story.turn(batch(X, 1, "b"))
    story.watches.cancel(Mark("to", 1))
    assert story.turn() == []


def test_who_does_not_wait_is_answered_at_once() -> None:
    story = Story()
    story.ask("b", wait_us=None)
    assert events_of(story.turn(batch(X, 1, "a"))) == [[]]


def test_a_filtered_watch_that_reads_long_gets_its_progress() -> None:
    story = Story(LIMITS._replace(watch_read_bytes=1))
    story.turn(batch(X, 1, "a"), batch(X, 2, "a"), batch(Y, 1, "b"))
    story.ask("b")
    (first,) = story.turn()
    assert (first.result, first.position) == (Events(()), {X: 1})


def test_what_is_read_in_one_turn_is_bounded_and_the_rest_comes_next() -> None:
    story = Story(LIMITS._replace(watched_bytes_per_turn=1))
    story.turn(batch(X, 1, "a"))
    for _ in range(3):
        story.ask()
    for left in (2, 1, 0):
        assert len(story.turn()) == 1
        assert len(story.watches) == left
        assert story.watches.wake_us() == (0 if left else None)


def test_of_what_is_more_than_one_answer_holds_the_first_part_is_told() -> None:
    story = Story(LIMITS._replace(watch_answer_events=1))
    story.ask()
    story.turn()
    (answered,) = story.turn(batch(X, 1, "a", "b"))
    assert (events_of([answered]), answered.position) == ([["X1 a"]], {X: 1})


def test_below_the_floor_a_watch_is_told_where_the_log_starts() -> None:
    story = Story()
    story.turn(batch(X, 1, "a", "b"))
    story.floor = {X: 1}
    story.ask()
    story.ask(at={X: 1})
    below, above = story.turn()
    assert below.result == Compacted({X: 1})
    assert events_of([above]) == [["X2 b"]]


def test_watches_have_limits() -> None:
    story = Story(LIMITS._replace(watches_max=2))
    assert [story.ask(), story.ask(), story.ask()] == [True, True, False]
    story = Story(LIMITS._replace(watches_bytes_max=25))
    assert [story.ask(), story.ask(), story.ask()] == [True, True, False]


def test_another_replica_goes_on_from_what_was_seen_before_the_turn() -> None:
    story = Story()
    story.ask("b")
    story.turn(batch(X, 1, "a"))
    assert [it.token for it in story.watches.waiting()] == [{}], "the turn may fail"
    story.turn(batch(X, 2, "a"))
    assert [it.token for it in story.watches.waiting()] == [{X: 1}]
