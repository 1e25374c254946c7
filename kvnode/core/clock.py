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
    #: Microseconds since some start; never goes back, and goes on while the machine sleeps. Timers
    #: use this one.
    steady_us: int


#: What a wall clock may step at once and be believed: corrections of a clock that is kept are less.
CLOCK_STEP_US_MAX: Final = 1_000_000


class WallClock:
    """The machine's wall clock, but for jumps that its steady clock did not see. They are believed
    once the clock has gone on from there for a while; until then time goes on steadily.

    So a clock that is wrong for a moment neither makes leases end nor stamps win. One that is set
    right is believed late, which does no more harm than to have been wrong before.
    """

    def __init__(self) -> None:
        #: Of what is believed to the steady clock; None before the first reading.
        self._offset_us: int | None = None
        #: The same of a jump that is not believed yet, and when it was seen.
        self._jumped: tuple[int, int] | None = None

    @property
    def jump_us(self) -> int:
        """How far the machine's clock has jumped from what is believed; 0 if it has not."""
        return 0 if self._jumped is None else self._jumped[0] - (self._offset_us or 0)

    def read(self, now: Now, held_us: int) -> Now:
        """What to take for the time; a jump is believed that has held for so long."""
        offset_us, steady_us = now.wall_us - now.steady_us, now.steady_us
        if self._offset_us is None or abs(offset_us - self._offset_us) <= CLOCK_STEP_US_MAX:
            self._offset_us, self._jumped = offset_us, None
        elif self._jumped is None or abs(offset_us - self._jumped[0]) > CLOCK_STEP_US_MAX:
            self._jumped = offset_us, steady_us
        elif steady_us - self._jumped[1] >= held_us:
            self._offset_us, self._jumped = offset_us, None
        else:
            self._jumped = offset_us, self._jumped[1]
        return Now(steady_us + self._offset_us, steady_us)


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
