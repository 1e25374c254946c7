"""Continuity: whether a process is still where it was, or may have gone back in time.

A virtual machine that is reverted to a snapshot of itself, taken while it ran, goes back with its
memory and its disk, and no start tells of it. If its node went on counting, a dot that others have
already would stand for another write. A node can't ask before it writes, since it must take writes
while it is cut off. So where it may have gone back it goes on as a new incarnation, which needs
nobody. It may have

- if more time went by between two turns than it meant to wait, or in a turn than one takes, by one
  of its clocks;
- if those that it heard all fell silent: to be reverted ends all connections. One silence counts
  once, however long;
- if somebody has more of this incarnation's writes than it has itself (see `Replica`): then it has.
"""

from __future__ import annotations

from typing import Final

from kvnode.core.clock import Now

#: A node turns at each heartbeat at least, and so do its peers.
PATIENCE_HEARTBEATS: Final = 2

#: But a busy machine may keep a process waiting for so long, however short its heartbeats are.
PATIENCE_US_MIN: Final = 1_000_000

#: How long a turn may take: a slow disk is no gap, and what is waited for longer is none.
TURN_US_MAX: Final = 10_000_000

#: How often a process may go on anew for what was only suspected, and how long it takes until it
#: may once more. Incarnations are never forgotten: a link that comes and goes all the time must not
#: make more of them than a node that is started once every ten minutes.
RENEWALS_MAX: Final = 16
RENEWAL_EVERY_US: Final = 600_000_000


class Continuity:
    """What one process knows of the time between its turns, whichever replica makes them."""

    def __init__(self, *, heartbeat_us: int) -> None:
        self._patience_us = max(PATIENCE_HEARTBEATS * heartbeat_us, PATIENCE_US_MIN)
        #: When the latest turn began, and when it was over; None before the first one.
        self._turned: Now | None = None
        self._rested: Now | None = None
        #: Whether time is missing before this turn: then what waited in memory is of before.
        self.misses_time = False
        #: When a peer was last heard; None before the first one, and in a silence that has counted.
        self._heard_us: int | None = None
        self._renewals_left = RENEWALS_MAX
        self._regained_us: int | None = None

    def rests(self, now: Now) -> None:
        """A turn is over."""
        self._rested = now

    def may_be_broken(self, now: Now, *, hears: bool) -> bool:
        """Whether this turn may be in another past than the one before; asked at each turn."""
        turned, rested = self._turned, self._rested
        self._turned, self._rested = now, None
        fell_silent = self._falls_silent(now.steady_us, hears=hears)
        self.misses_time = turned is not None and (
            _gap_us(rested or turned, now) > self._patience_us or self._jumps(turned, now)
        )
        return fell_silent or self.misses_time

    def _jumps(self, turned: Now, now: Now) -> bool:
        """Whether time is missing in the turn before: more than a turn takes, or by one clock only,
        where whatever took long would be seen by both."""
        ahead_us = (now.wall_us - turned.wall_us) - (now.steady_us - turned.steady_us)
        return _gap_us(turned, now) > TURN_US_MAX or ahead_us > self._patience_us

    def may_renew(self, steady_us: int) -> bool:
        """Whether the process may go on anew once more for that; counts it if so."""
        if self._regained_us is None:
            self._regained_us = steady_us
        regained = max(0, steady_us - self._regained_us) // RENEWAL_EVERY_US
        self._regained_us += regained * RENEWAL_EVERY_US
        self._renewals_left = min(self._renewals_left + regained, RENEWALS_MAX)
        if not self._renewals_left:
            return False
        self._renewals_left -= 1
        return True

    def _falls_silent(self, steady_us: int, *, hears: bool) -> bool:
        if hears:
            self._heard_us = steady_us
        elif self._heard_us is not None and steady_us - self._heard_us > self._patience_us:
            self._heard_us = None
            return True
        return False


def _gap_us(before: Now, now: Now) -> int:
    """By the clock that has gone on further."""
    return max(now.wall_us - before.wall_us, now.steady_us - before.steady_us)
