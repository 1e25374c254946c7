"""What the log says of a node's troubles: once as they begin, and once as they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kvnode.core.clock import ClocksAhead
from kvnode.daemon.logs import LOGGER, Complaints
from kvnode.daemon.neighbours import Unheard
from kvnode.daemon.node import Health, Node

#: Between two lines that say what a joining node waits for.
_JOINING_AGAIN_US: Final = 10_000_000


class Reports:
    """Remembers what was told."""

    def __init__(self, complaints: Complaints) -> None:
        self._complaints = complaints
        self._health = (0, True, True)
        self._ahead: set[str] = set()
        self._alarms: dict[str, str] = {}
        #: When to tell next what the node waits for; None while it does not join.
        self._joining_again_us: int | None = None

    def tell(self, node: Node, unheard: Callable[[], Sequence[Unheard]], steady_us: int) -> None:
        """Tell what is new since the last time."""
        self._tell_joining(node, unheard, steady_us)
        self._tell_health(node.health)
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
            self._joining_again_us = steady_us + _JOINING_AGAIN_US
        elif steady_us >= self._joining_again_us:
            LOGGER.warning("still joining: %s", waits_for(unheard()))
            self._joining_again_us = steady_us + _JOINING_AGAIN_US

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
