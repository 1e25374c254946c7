"""What the log says of a node's troubles: once as they begin, and once as they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kvnode.core.clock import ClocksAhead
from kvnode.daemon.logs import LOGGER, Complaints
from kvnode.daemon.neighbours import Unheard
from kvnode.daemon.node import Health, Node

#: Who was not heard since so many heartbeats is told of: at 500 ms heartbeats, ten seconds.
UNHEARD_HEARTBEATS: Final = 20

#: Why an address is unheard is told again if that has changed, but not more often than this.
UNHEARD_AGAIN_US: Final = 60_000_000

#: Addresses that an alarm names; status has all.
_ALARM_ADDRESSES: Final = 3
#: Between two lines that say what a joining node waits for.
JOINING_AGAIN_US: Final = 10_000_000


class Reports:
    """Remembers what was told."""

    def __init__(self, complaints: Complaints, *, heartbeat_us: int) -> None:
        self._complaints = complaints
        self._heartbeat_us = heartbeat_us
        #: When to look next at who is not heard; since when each is not; and what was told of
        #: each, and when.
        self._look_us = 0
        self._unheard_us: dict[str, int] = {}
        self._unheard_told: dict[str, tuple[str, int]] = {}
        self._health = (0, True, True)
        self._mended = 0
        self._ahead: set[str] = set()
        self._alarms: dict[str, str] = {}
        #: When to tell next what the node waits for; None while it does not join.
        self._joining_again_us: int | None = None

    def tell(self, node: Node, unheard: Callable[[], Sequence[Unheard]], steady_us: int) -> None:
        """Tell what is new since the last time."""
        self._tell_joining(node, unheard, steady_us)
        self._tell_health(node.health)
        self._tell_mended(node.mended)
        self._tell_alarms(node.replica.alarms.raised)
        self._tell_clocks(node.replica.clocks)

    def _tell_joining(
        self, node: Node, unheard: Callable[[], Sequence[Unheard]], steady_us: int
    ) -> None:
        if not node.replica.is_joining:
            if self._joining_again_us is not None:
                LOGGER.info("joined the cluster")
            self._joining_again_us = None
        elif self._joining_again_us is None:
            LOGGER.info("joining: the disk was empty; it answers once it has what its peers have")
            self._joining_again_us = steady_us + JOINING_AGAIN_US
        elif steady_us >= self._joining_again_us:
            LOGGER.warning("still joining: %s", waits_for(unheard()))
            self._joining_again_us = steady_us + JOINING_AGAIN_US

    def looks_at_peers(self, steady_us: int) -> bool:
        """Whether it is time for `tell_of_peers`: once a heartbeat is enough."""
        if steady_us < self._look_us:
            return False
        self._look_us = steady_us + self._heartbeat_us
        return True

    def tell_of_peers(
        self, node: Node, unheard: Sequence[Unheard], steady_us: int, *, has_heard: bool
    ) -> None:
        """Tell once of each known address where nobody is heard, and why; and raise an alarm if
        nobody is heard anywhere, or somebody refuses this node."""
        self._unheard_us = {
            it.address: self._unheard_us.get(it.address, steady_us) for it in unheard
        }
        patience_us = UNHEARD_HEARTBEATS * self._heartbeat_us
        late = [it for it in unheard if steady_us - self._unheard_us[it.address] >= patience_us]
        for it in late:
            self._tell_unheard(it, steady_us)
        for address in self._unheard_told.keys() - self._unheard_us.keys():
            LOGGER.info("peer at %s is heard, or not looked for any more", address)
            del self._unheard_told[address]
        alarming = late if not has_heard else [it for it in late if it.is_refused]
        if alarming:
            named = [f"{it.address}: {it.reason}" for it in alarming[:_ALARM_ADDRESSES]]
            more = len(alarming) - len(named)
            node.replica.alarms.alone("; ".join(named) + (f"; and {more} more" if more else ""))
        else:
            node.replica.alarms.in_company()

    def _tell_unheard(self, unheard: Unheard, steady_us: int) -> None:
        told, told_us = self._unheard_told.get(unheard.address, (None, -UNHEARD_AGAIN_US))
        if unheard.reason != told and steady_us - told_us >= UNHEARD_AGAIN_US:
            LOGGER.warning(
                "peer at %s is not heard: %s; what may help stands in docs/OPERATIONS.md, "
                "'Firewalls, NAT and names'",
                unheard.address,
                unheard.reason,
            )
            self._unheard_told[unheard.address] = unheard.reason, steady_us

    def _tell_health(self, health: Health) -> None:
        now = (health.failures, health.serving, health.writable)
        if now == self._health:
            return
        if not health.serving:
            LOGGER.error("the disk does not answer; trying again: %s", health.last_error)
        elif not health.writable:
            LOGGER.error(
                "the disk takes no writes, but reads go on; trying again: %s", health.last_error
            )
        elif health.failures > self._health[0]:
            LOGGER.error("a commit failed; the store is open again: %s", health.last_error)
        else:
            LOGGER.info("the disk takes writes again")
        self._health = now

    def _tell_mended(self, mended: int) -> None:
        if mended > self._mended:
            LOGGER.warning(
                "this machine went back in time as it ran, or runs twice: writes of it bore names "
                "that others had for other writes; all are kept, and the later ones were renamed"
            )
        self._mended = mended

    def _tell_alarms(self, raised: dict[str, str]) -> None:
        """An alarm's text may change with every heartbeat, as digests do: that is no news."""
        if raised.keys() == self._alarms.keys():
            return
        for what in raised.keys() - self._alarms.keys():
            LOGGER.error("ALARM: %s", raised[what])
        for what in self._alarms.keys() - raised.keys():
            LOGGER.info("the alarm has ended: %s", self._alarms[what])
        self._alarms = dict(raised)

    def _tell_clocks(self, clocks: ClocksAhead) -> None:
        """Warn of each clock once, until it was right again."""
        for name in clocks.ahead_us.keys() - self._ahead:
            message = (
                f"that of {name} by {clocks.ahead_us[name] // 1_000_000} s; "
                f"or this node's is behind, if others are told of too"
            )
            self._complaints.add("clocks_ahead", message)
        self._ahead = set(clocks.ahead_us)


def waits_for(unheard: Sequence[Unheard]) -> str:
    """What keeps a node from joining, and what to do about it."""
    if not unheard:
        return "this node has not yet all that its peers had when it first heard them"
    addresses = ", ".join(f"{it.address} ({it.reason})" for it in unheard)
    return (
        f"not heard: {addresses}. If this is to be a cluster's first node, or those are gone for "
        f"good, start it without --join"
    )
