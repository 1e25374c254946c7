"""The hybrid logical clock: stamps that respect causality and stay near real time.

Kulkarni, Demirbas, Madappa, Avva, Leone: Logical Physical Clocks, OPODIS 2014; here with
the logical part folded into the microseconds, so that a stamp is one integer.
"""

from __future__ import annotations

from typing import Final, NamedTuple

#: The start of the year 2200, in microseconds since 1970. A stamp above it is malformed:
#: without a constant bound, one wild clock could end the numbers for everyone.
STAMP_US_MAX: Final = 7_258_118_400_000_000

#: The start of 2199. Own clocks count as no later, so that one set wrong leaves a year of
#: microseconds to count on in.
WALL_US_MAX: Final = 7_226_582_400_000_000


#: A peer's clock that is ahead of ours by more is reported: far beyond what NTP leaves between
#: two clocks and a heartbeat needs to come, and little enough that stamps still make sense.
CLOCK_AHEAD_US_MAX: Final = 60_000_000


class Now(NamedTuple):
    """A point in time, as the driver of a replica hands it in."""

    #: Microseconds since 1970 by the node's own clock; may jump either way.
    wall_us: int
    #: Microseconds since some start; never goes back. Timers use this one.
    steady_us: int


class HybridLogicalClock:
    """Issues stamps greater than all that it issued or observed."""

    def __init__(self, last_us: int = 0) -> None:
        self.last_us = last_us

    def tick(self, wall_us: int) -> int:
        """A new stamp for a batch made now."""
        self.last_us = max(self.last_us + 1, min(wall_us, WALL_US_MAX))
        return self.last_us

    def observe(self, stamp_us: int) -> None:
        """A batch with this stamp was delivered: later ones of ours must be greater."""
        self.last_us = max(self.last_us, stamp_us)


class ClocksAhead:
    """Whose clocks are far ahead of this node's, and by how much, as their heartbeats tell.

    A heartbeat is late by an unknown time. So a clock that is behind can't be told from a slow
    link; but one that was read ahead of ours is ahead by at least that. Stamps would not do:
    who delivers a stamp from the future goes on from there, with a clock that is right.
    """

    def __init__(self) -> None:
        #: By name, in microseconds; of each name as its latest heartbeat told.
        self.ahead_us: dict[str, int] = {}

    def heard(self, name: str, theirs_us: int, ours_us: int) -> None:
        """A heartbeat says what time it was there when it left."""
        if theirs_us - ours_us > CLOCK_AHEAD_US_MAX:
            self.ahead_us[name] = theirs_us - ours_us
        else:
            self.ahead_us.pop(name, None)
