"""Continuity: whether a process is still where it was, or may have gone back in time.

A virtual machine that is reverted to a snapshot of itself, taken while it ran, goes back with its
memory and its disk, and no start tells of it. If its node went on counting, a dot that others have
already would stand for another write. A node can't ask before it writes, since it must take writes
while it is cut off. So where it may have gone back it goes on as a new incarnation, which needs
nobody. It may have

- if more time went by between two turns than it meant to wait, by one of its clocks;
- if those that it heard all fell silent: to be reverted ends all connections. One silence counts
  once, however long;
- if somebody has more of this incarnation's writes than it has itself (see `Replica`): then it has.
"""

from __future__ import annotations

from typing import Final

from kvnode.core.clock import Now

#: A node turns at each heartbeat at least, and so do its peers.
PATIENCE_HEARTBEATS: Final = 2

#: How often a process may go on anew for what was only suspected, and how long it takes until it
#: may once more. Incarnations are never forgotten: a link that comes and goes all the time must not
#: make more of them than a node that is started once every ten minutes.
RENEWALS_MAX: Final = 16
RENEWAL_EVERY_US: Final = 600_000_000


class Continuity:
    """What one process knows of the time between its turns, whichever replica makes them."""

    def __init__(self, *, heartbeat_us: int) -> None:
        self._patience_us = PATIENCE_HEARTBEATS * heartbeat_us
        #: When the latest turn was, or ended; None before the first one.
        self._latest: Now | None = None
        #: When a peer was last heard; None before the first one, and in a silence that has counted.
        self._heard_us: int | None = None
        self._renewals_left = RENEWALS_MAX
        self._regained_us: int | None = None

    def rests(self, now: Now) -> None:
        """A turn is over: how long that took tells nothing, since a slow disk may have."""
        self._latest = now

    def may_be_broken(self, now: Now, *, hears: bool) -> bool:
        """Whether this turn may be in another past than the one before; asked at each turn."""
        latest, self._latest = self._latest, now
        fell_silent = self._falls_silent(now.steady_us, hears=hears)
        if latest is None:
            return False
        gap_us = max(now.wall_us - latest.wall_us, now.steady_us - latest.steady_us)
        return fell_silent or gap_us > self._patience_us

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
