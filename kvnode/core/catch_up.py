"""What a node must have before it speaks for the cluster, and before clients are sent to it.

A node with an empty disk can't tell an empty cluster from one that it has not heard yet. So it does
not *join* before somebody told it: it joins

- when it has all that the peers that it hears had when it first heard them, if one of them had
  anything; a peer that is never heard is waited for some time;
- when it has heard every peer that it knows of, none of them has anything, and none knows of
  anybody who has: the cluster is new. Who joins names all whom it knows of, so whoever hears it
  knows of them as well, and must hear them too;
- at once if it was told of no peer: whoever starts a node without addresses founds a cluster.

What it has answered once it can't take back: a process that may join stays so. But it may not if
the commit fails of the turn in which it had all: nothing was answered yet, and what came in that
turn may be gone.

A node that has joined answers from what it has, always. Whether clients are better off elsewhere
for now is another question: it is *ready* once it has what its peers had when it started.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from kvnode.core.messages import Claim
from kvnode.core.repair import ALIVE_HEARTBEATS
from kvnode.core.succession import Cut
from kvnode.core.vector import Vector

#: So long a peer is waited for that has not been heard since the start: one that is away must not
#: keep the others from being asked. At 500 ms heartbeats that are ten seconds.
HEAR_HEARTBEATS: Final = 20


class Decided(NamedTuple):
    """How far a process is."""

    #: Whether a node with an empty disk may take itself for a part of the cluster.
    may_join: bool
    #: Whether the process has had all that it had to catch up with. It stays so: how far behind a
    #: node falls later is its lag.
    is_done: bool


class CatchUp:
    """What one process has to catch up with, whichever replica does it."""

    def __init__(self, *, heartbeat_us: int, founds: bool = False) -> None:
        #: To be put back if the commit fails of the turn that changed it.
        self.decided = Decided(may_join=founds, is_done=False)
        #: Where others may be found, to be told as long as the node joins.
        self.known: tuple[str, ...] = ()
        #: Whether there are peers that the node knows of and has not heard.
        self.has_unheard = False
        self._is_refused = False
        self._heartbeat_us = heartbeat_us
        #: Which process spoke under each name, and what it had when it first had anything, or
        #: what it had later, if that is here.
        self._aims: dict[str, tuple[int, Vector]] = {}
        self._heard_us: dict[str, int] = {}
        #: Who knows that there is more than it claims.
        self._lacking: set[str] = set()
        #: None before the first look.
        self._give_up_hearing_us: int | None = None

    @property
    def may_join(self) -> bool:
        """See `Decided`."""
        return self.decided.may_join

    @property
    def is_done(self) -> bool:
        """See `Decided`."""
        return self.decided.is_done

    @property
    def heard(self) -> set[str]:
        """Who has been heard since the start."""
        return set(self._aims)

    def look(
        self,
        claims: Iterable[Claim],
        cut: Cut,
        steady_us: int,
        *,
        joined: bool,
        unheard: bool | None = None,
        refused: bool | None = None,
        known: tuple[str, ...] | None = None,
    ) -> None:
        """Take in what peers claim. `joined` tells whether the node had joined before, `unheard`
        whether there are known peers that were not heard, `refused` whether this node is refused
        (see `Inputs`), and `known` where all of them are; None if that is as it was."""
        self.has_unheard = self.has_unheard if unheard is None else unheard
        self._is_refused = self._is_refused if refused is None else refused
        self.known = self.known if known is None else known
        for claim in claims:
            aim = self._aims.get(claim.name)
            # Who has all that a peer claims lacks nothing of it, though that had more before: its
            # machine may have gone back in time.
            has_all = bool(claim.delivered) and cut.covers(claim.delivered)
            is_new = aim is None or aim[0] != claim.instance or not aim[1]
            if is_new or has_all or claim.name in self._lacking:
                self._aims[claim.name] = claim.instance, claim.delivered
            self._heard_us[claim.name] = steady_us
            self._lacking.discard(claim.name)
            if claim.is_not_all:
                self._lacking.add(claim.name)
        if self._give_up_hearing_us is None:
            self._give_up_hearing_us = steady_us + HEAR_HEARTBEATS * self._heartbeat_us
        is_patient = steady_us < self._give_up_hearing_us
        has_what_lives = self._has_what_lives(cut, steady_us)
        has_heard = not self.has_unheard or not is_patient
        if any(aim for _, aim in self._aims.values()):
            has_all = has_what_lives and has_heard and self._has_what_one_had(cut)
        else:
            has_all = not self.has_unheard and not self._lacking
        may_join = self.may_join or has_all
        is_in = (joined or may_join) and not self._is_refused
        is_done = self.is_done or (is_in and has_what_lives and has_heard)
        self.decided = Decided(may_join=may_join, is_done=is_done)

    def _has_what_lives(self, cut: Cut, steady_us: int) -> bool:
        """What only a peer had that fell silent may never come."""
        silence_us = ALIVE_HEARTBEATS * self._heartbeat_us
        return all(
            cut.covers(aim)
            for name, (_, aim) in self._aims.items()
            if steady_us - self._heard_us[name] < silence_us
        )

    def _has_what_one_had(self, cut: Cut) -> bool:
        return any(
            aim and cut.covers(aim)
            for name, (_, aim) in self._aims.items()
            if name not in self._lacking
        )
