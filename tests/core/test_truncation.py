"""Which batches may leave the log, and who keeps them there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from kvnode.core.clock import Now
from kvnode.core.limits import Limits
from kvnode.core.succession import Succession
from kvnode.core.truncation import Logged, Pin, Truncation
from kvnode.core.vector import Vector, new_origin

X, Y, Z = (new_origin(name, 1, 1) for name in "XYZ")
KEEP_US = 6_400
LIMITS = Limits(log_kept_us=KEEP_US, log_kept_bytes=1_000, log_bytes_max=2_000)

#: X and Y in turn, ten batches of 100 bytes.
HEAD = [Logged(at, (X, Y)[at % 2], at // 2 + 1, 100) for at in range(10)]
ALL = {X: 5, Y: 5}


class Log:
    """A log whose batches were all delivered at one time."""

    def __init__(self, limits: Limits = LIMITS, head: Sequence[Logged] = HEAD) -> None:
        self.truncation = Truncation(limits, Succession())
        self.head = list(head)
        self.now_us = 1_000_000
        self.dropped: Sequence[Logged] = ()

    def looked_at(
        self, members: Mapping[str, Vector], *, after_us: int = 0, log_bytes: int | None = None
    ) -> int:
        """How many of the head may go; the log is no greater than its head if not told."""
        self.now_us += after_us
        size_bytes = sum(batch.size_bytes for batch in self.head)
        self.dropped = self.truncation.droppable(
            self.head,
            size_bytes if log_bytes is None else log_bytes,
            len(HEAD),
            members,
            Now(0, self.now_us),
        )
        assert list(self.dropped) == self.head[: len(self.dropped)]
        return len(self.dropped)

    def aged(self, members: Mapping[str, Vector], **options: int) -> int:
        """The same, after the time for which batches are kept."""
        self.looked_at(members)
        return self.looked_at(members, after_us=KEEP_US, **options)


# --- who pins


@pytest.mark.parametrize(
    ("members", "count", "pin"),
    [
        ({}, 10, None),
        ({"Y": ALL}, 10, None),
        ({"Y": ALL, "Z": ALL}, 10, None),
        ({"Y": {X: 99, Y: 99, Z: 1}}, 10, None),
        ({"Y": {}}, 0, "Y"),
        ({"Y": {Y: 5}}, 0, "Y"),
        ({"Y": {X: 5}}, 1, "Y"),
        ({"Y": {X: 2, Y: 5}}, 4, "Y"),
        ({"Y": {X: 5, Y: 2}}, 5, "Y"),
        ({"Y": ALL, "Z": {X: 3, Y: 3}}, 6, "Z"),
        ({"Y": {X: 3, Y: 3}, "Z": {X: 2, Y: 2}}, 4, "Z"),
        ({"Z": {X: 2, Y: 2}, "Y": {X: 2, Y: 2}}, 4, "Y"),
    ],
)
def test_a_batch_goes_when_all_members_have_it(members, count, pin):
    log = Log()
    assert log.aged(members) == count
    assert (log.truncation.pins[0].name if log.truncation.pins else None) == pin


def test_a_batch_of_several_writes_is_there_with_its_last():
    log = Log(head=[Logged(0, X, 3, 100), Logged(1, X, 7, 100)])
    assert log.aged({"Y": {X: 2}}) == 0
    assert log.looked_at({"Y": {X: 3}}) == log.looked_at({"Y": {X: 6}}) == 1
    assert log.looked_at({"Y": {X: 7}}) == 2


def test_an_empty_log_has_nothing_to_drop_and_nobody_pins_it():
    log = Log(head=[])
    assert log.aged({"Y": {}}) == 0 and log.truncation.pins == []


def test_a_pin_tells_since_when():
    log = Log(LIMITS._replace(log_kept_us=0))
    log.looked_at({"Y": {}})
    began_us = log.now_us
    for _ in range(5):
        log.looked_at({"Y": {}}, after_us=1_000)
    assert log.truncation.pins[0] == Pin("Y", began_us)
    log.looked_at({"Y": {X: 1, Y: 1}}, after_us=1_000)
    assert log.truncation.pins[0] == Pin("Y", began_us), "it still lacks the oldest that is left"


def test_a_pin_ends_with_its_cause_and_counts_anew_the_next_time():
    log = Log()
    log.looked_at({"Y": {}})
    log.looked_at({"Y": ALL}, after_us=1_000)
    assert log.truncation.pins == []
    log.looked_at({"Y": {}}, after_us=1_000)
    assert log.truncation.pins[0] == Pin("Y", log.now_us)


def test_each_member_that_pins_counts_for_itself():
    log = Log()
    log.looked_at({"Y": {}, "Z": {}})
    began_us = log.now_us
    log.looked_at({"Y": ALL, "Z": {}}, after_us=1_000)
    assert log.truncation.pins[0] == Pin("Z", began_us)


def test_who_has_just_fallen_behind_does_not_hide_who_is_long_gone():
    log = Log()
    log.looked_at({"Y": ALL, "Z": {}})
    began_us = log.now_us
    log.looked_at({"Y": {}, "Z": {}}, after_us=1_000)
    assert log.truncation.pins[0] == Pin("Z", began_us)
    log.looked_at({"Y": ALL, "Z": {}}, after_us=1_000)
    assert log.truncation.pins[0] == Pin("Z", began_us)


def test_a_member_that_is_forgotten_pins_no_longer():
    log = Log()
    assert log.aged({"Y": ALL, "Z": {}}) == 0
    assert log.looked_at({"Y": ALL}) == 10
    assert log.truncation.pins == []


# --- how long it is kept


def test_what_all_have_is_kept_for_a_time():
    log = Log()
    assert log.looked_at({}) == 0
    assert log.looked_at({}, after_us=KEEP_US - 1) == 0
    assert log.looked_at({}, after_us=1) == 10


def test_what_came_later_is_kept_longer():
    log = Log()
    truncation = log.truncation
    for at in range(1, 11):  # one batch each thousand microseconds
        truncation.droppable(HEAD[:at], 100 * at, at, {}, Now(0, 1_000 * at))
    counts = [
        len(truncation.droppable(HEAD, 1_000, 10, {}, Now(0, 1_000 * at + KEEP_US)))
        for at in range(5, 12)
    ]
    assert counts == [5, 6, 7, 8, 9, 10, 10]


def test_nothing_goes_too_early_and_not_much_too_late():
    truncation = Truncation(LIMITS, Succession())
    delivered_us: list[int] = []
    dropped = 0
    step_us = 37
    for now_us in range(0, 10 * KEEP_US, step_us):
        delivered_us.append(now_us)
        head = [Logged(at, X, at + 1, 1) for at in range(dropped, len(delivered_us))]
        size_bytes, end = len(head), len(delivered_us)
        dropped += len(truncation.droppable(head, size_bytes, end, {}, Now(0, now_us)))
        assert all(now_us - at >= KEEP_US for at in delivered_us[:dropped])
        oldest_us = delivered_us[dropped]
        assert now_us - oldest_us <= KEEP_US + KEEP_US // 64 + 2 * step_us
    assert dropped > 0


def test_a_start_keeps_what_it_finds_for_the_whole_time():
    log = Log()
    assert log.aged({}) == 10
    again = Log()
    again.now_us = log.now_us
    assert again.looked_at({}) == 0


def test_with_no_time_to_keep_it_goes_at_once():
    assert Log(LIMITS._replace(log_kept_us=0)).looked_at({"Y": ALL}) == 10


# --- how much of it is kept


@pytest.mark.parametrize(
    ("log_bytes", "count"),
    [(1_000, 0), (1_001, 1), (1_099, 1), (1_100, 1), (1_101, 2), (1_500, 5), (2_000, 10)],
)
def test_beyond_a_size_what_all_have_goes_before_its_time(log_bytes, count):
    log = Log()
    assert log.looked_at({"Y": ALL}, log_bytes=log_bytes) == count
    assert log_bytes - 100 * (count - 1) > 1_000 or count == 0
    assert log_bytes - 100 * count <= 1_000


def test_beyond_a_size_what_a_member_lacks_is_still_kept():
    log = Log()
    assert log.looked_at({"Y": {X: 2, Y: 2}}, log_bytes=2_000) == 4
    assert log.truncation.pins[0] == Pin("Y", log.now_us)


@pytest.mark.parametrize(
    ("log_bytes", "count"), [(2_000, 0), (2_001, 1), (2_100, 1), (2_101, 2), (2_950, 10)]
)
def test_beyond_the_greatest_size_even_what_a_member_lacks_goes(log_bytes, count):
    log = Log()
    assert log.looked_at({"Y": {}}, log_bytes=log_bytes) == count


def test_the_greatest_size_wins_over_time_and_members_and_they_over_what_is_left():
    log = Log()
    assert log.looked_at({"Y": {X: 3, Y: 3}}, log_bytes=2_250) == 6
    assert log.truncation.pins[0] == Pin("Y", log.now_us)


def test_batches_are_counted_by_their_own_sizes():
    sizes = [500, 1, 300, 700, 50]
    head = [Logged(at, X, at + 1, size) for at, size in enumerate(sizes)]
    for log_bytes, count in [(1_551, 3), (1_500, 1), (1_501, 2), (1_801, 3), (1_802, 4)]:
        assert Log(head=head).looked_at({}, log_bytes=log_bytes) == count, log_bytes


def test_a_head_that_goes_whole_does_not_end_the_pin():
    """What a log beyond its greatest size drops of one head says nothing of the next."""
    log = Log()
    log.looked_at({"Y": {}})
    began_us = log.now_us
    assert log.looked_at({"Y": {}}, after_us=1_000, log_bytes=9_000) == 10
    log.looked_at({"Y": {}}, after_us=1_000)
    assert log.truncation.pins[0] == Pin("Y", began_us)


def test_who_lacks_what_is_gone_is_behind_since_then_though_it_has_what_is_left():
    """Beyond the greatest size what it lacks went, and what it wrote itself stands at the head."""
    log = Log(LIMITS._replace(log_kept_us=0, log_kept_bytes=0))
    has = {X: 0, Y: 5}
    log.looked_at({"Y": has})
    began_us = log.now_us
    assert log.looked_at({"Y": has}, after_us=1_000, log_bytes=2_050) == 2
    assert log.truncation.pins == [Pin("Y", began_us)], "then comes another that it lacks"
    log.head = [Logged(at, Y, at // 2 + 1, 100) for at in range(1, 10, 2)]
    log.looked_at({"Y": has}, after_us=1_000)
    assert log.truncation.pins == []
    log.head = HEAD[4:]
    log.looked_at({"Y": has}, after_us=1_000)
    assert log.truncation.pins == [Pin("Y", began_us)]
    log.looked_at({"Y": ALL}, after_us=1_000)
    log.looked_at({"Y": has}, after_us=1_000)
    assert log.truncation.pins == [Pin("Y", log.now_us)], "it had caught up in between"


def test_all_that_lack_the_oldest_are_told_who_has_done_so_for_longest_first():
    log = Log()
    log.looked_at({"Y": ALL, "Z": {}})
    began_us = log.now_us
    log.looked_at({"W": {}, "Y": {}, "Z": {}}, after_us=1_000)
    later_us = log.now_us
    assert log.truncation.pins == [Pin("Z", began_us), Pin("W", later_us), Pin("Y", later_us)]


# --- what it costs


def test_what_is_younger_than_batches_are_kept_costs_nothing():
    log = Log()
    log.looked_at({"Z": {}})
    assert log.truncation.kept_for_pins_bytes(1_000) == 0


def test_what_is_older_is_kept_for_who_lacks_it_however_little_it_is():
    log = Log()
    log.aged({"Z": {}})
    assert log.truncation.kept_for_pins_bytes(1_000) == 1_000
    assert log.truncation.kept_for_pins_bytes(1_300) == 1_000, "what came since is young"
    log.looked_at({"Z": {X: 2, Y: 2}})
    assert log.truncation.kept_for_pins_bytes(600) == 600, "some of it is gone"


def test_so_is_what_goes_beyond_the_size_that_is_kept():
    log = Log()
    log.looked_at({"Z": {}}, log_bytes=1_700)
    assert log.truncation.kept_for_pins_bytes(1_700) == 700
