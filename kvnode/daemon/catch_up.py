"""Whether a node has what its peers had when it first heard them: clients may be sent to it then.

It is always writable, and answers meanwhile from what it has. But after a start, on an empty disk
above all, that may be next to nothing; so probes and balancers are told when it is no more.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Final

from kvnode.core.messages import Claim
from kvnode.core.repair import ALIVE_HEARTBEATS
from kvnode.core.vector import Vector

#: So long a peer is waited for that has not been heard since the start: one that is away must not
#: keep the others from being asked. At 500 ms heartbeats that are ten seconds.
HEAR_HEARTBEATS: Final = 20


class CatchUp:
    """What to catch up with, and whether that is done. Once it is, it stays so: how far behind a
    node falls later is its lag."""

    def __init__(self, heartbeat_us: int) -> None:
        self.is_done = False
        self._heartbeat_us = heartbeat_us
        #: What each peer had in its first claim, and when it was last heard.
        self._aims: dict[str, Vector] = {}
        self._heard_us: dict[str, int] = {}
        #: None before the first look.
        self._give_up_hearing_us: int | None = None

    def look(
        self,
        claims: Iterable[Claim],
        has: Callable[[Vector], bool],
        unheard: Callable[[Container[str]], bool],
        steady_us: int,
    ) -> None:
        """Take in what peers claim. `has` tells whether the node covers a vector, `unheard` whether
        there are peers but for those of these names."""
        if self.is_done:
            return
        for claim in claims:
            self._aims.setdefault(claim.name, claim.delivered)
            self._heard_us[claim.name] = steady_us
        if self._give_up_hearing_us is None:
            self._give_up_hearing_us = steady_us + HEAR_HEARTBEATS * self._heartbeat_us
        if steady_us < self._give_up_hearing_us and unheard(self._aims):
            return
        # What only a peer had that fell silent may never come.
        silence_us = ALIVE_HEARTBEATS * self._heartbeat_us
        self.is_done = all(
            has(aim)
            for name, aim in self._aims.items()
            if steady_us - self._heard_us[name] < silence_us
        )
