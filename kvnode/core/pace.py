"""Pace: how much to ask a peer for at a time.

An answer shows only when it is whole, and whoever waits must know soon whether it comes. So a
peer is asked for little at first, for more as long as answers come quickly, and for less where
they are slow: an answer should be on its way for about a heartbeat, whatever the link.

What takes long may not be the link: a far satellite, or a peer that has much to do, takes its time
for small answers too, and to ask for less would only make it worse. So what the quickest answer
took does not count; and where a much smaller answer took as long as a greater one, more is asked
for.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kvnode.core.limits import KIB, MIB

#: What a peer is asked for first: a second's worth of a link of 16 kB a second. A fast one is at
#: the most after three answers.
FIRST_BYTES: Final = 16 * KIB

#: At the least: as much again as a message costs beside what it brings.
LEAST_BYTES: Final = KIB

#: At the most: enough to keep a catch-up busy, little enough for one turn.
MOST_BYTES: Final = MIB

#: How much more is asked for after an answer that came quickly, and very quickly.
_GROWTH: Final = 2
_FAST_GROWTH: Final = 4

#: What was too much is not asked for again within so many answers: links seldom become faster.
_REMEMBERED_ANSWERS: Final = 16

#: An answer that is so much smaller tells whether size is what takes the time ...
_SMALLER: Final = 2
#: ... by taking less than this many quarters of the time.
_QUARTERS: Final = 3


class _Slow(NamedTuple):
    size_bytes: int
    took_us: int


class Pace:
    """Of one peer. All times are by the steady clock."""

    def __init__(self, *, heartbeat_us: int) -> None:
        #: What to ask for now.
        self.bytes_max = FIRST_BYTES
        self._heartbeat_us = heartbeat_us
        #: What the quickest answer took, but no more than this: more is the link's or the load's.
        self._quickest_us = 2 * heartbeat_us
        #: The slow answer before.
        self._slow: _Slow | None = None
        #: What was too much, and for how many answers that is remembered.
        self._too_much = 2 * MOST_BYTES
        self._remembered = 0

    def answered(self, size_bytes: int, took_us: int) -> None:
        """An answer of this size came after so long."""
        self._quickest_us = min(self._quickest_us, took_us)
        way_us = took_us - self._quickest_us
        self._remembered = max(0, self._remembered - 1)
        if 2 * way_us > 3 * self._heartbeat_us:
            self._was_slow(size_bytes, took_us, way_us)
        elif 2 * way_us < self._heartbeat_us:
            self._slow = None
            if 2 * size_bytes >= self.bytes_max:
                self._grow(_FAST_GROWTH if 8 * took_us < self._heartbeat_us else _GROWTH)

    def in_vain(self) -> None:
        """It is asked again, since no answer came in time."""
        self.bytes_max = max(LEAST_BYTES, self.bytes_max // _FAST_GROWTH)

    def _was_slow(self, size_bytes: int, took_us: int, way_us: int) -> None:
        if size_bytes < LEAST_BYTES // 2:
            return  # it had nothing to say, and tells nothing of the link
        before, self._slow = self._slow, _Slow(size_bytes, took_us)
        if self.bytes_max == LEAST_BYTES or _same_time(before, self._slow):
            self._remembered = 0
            self._grow(_FAST_GROWTH)
        else:
            self._too_much, self._remembered = size_bytes, _REMEMBERED_ANSWERS
            wanted = size_bytes * self._heartbeat_us // way_us
            self.bytes_max = max(LEAST_BYTES, min(self.bytes_max, wanted))

    def _grow(self, times: int) -> None:
        most = self._too_much // 2 if self._remembered else MOST_BYTES
        self.bytes_max = max(self.bytes_max, min(MOST_BYTES, most, times * self.bytes_max))


def _same_time(one: _Slow | None, other: _Slow) -> bool:
    """Whether two answers of very different sizes took about as long."""
    if one is None:
        return False
    small, large = sorted((one, other))
    is_smaller = _SMALLER * small.size_bytes <= large.size_bytes
    return is_smaller and 4 * small.took_us > _QUARTERS * large.took_us
