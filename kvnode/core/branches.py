"""Branches: no node builds on one history of an origin what was made on another.

See `chain`. A batch is *of another branch* if it does not go on from what is delivered of its
origin. Then it is neither delivered nor held, and what depends on it waits. So does what depends on
another branch of this node's own name, whose history the node knows: repair brings it again.
"""

from __future__ import annotations

from kvnode.core.alarms import Alarms
from kvnode.core.batch import Batch
from kvnode.core.chain import NO_CHAIN, OwnChains, chain_of_ends, check_in, check_of, differ
from kvnode.core.state import State
from kvnode.core.succession import ends_of
from kvnode.core.vector import Dot


class Branches:
    """Tells what goes on from what is delivered here."""

    def __init__(self, name: str, state: State, alarms: Alarms) -> None:
        self._prefix = f"{name}~"
        self._state = state
        self._alarms = alarms
        self._own = OwnChains()

    def made(self, batch: Batch) -> None:
        """This node made a batch."""
        self._own.made(Dot(batch.origin, batch.last), batch.encoded)

    def fits(self, batch: Batch) -> bool:
        """Whether a batch may be delivered once its deps are; raises the alarm if it never may."""
        if self._is_of_another(batch):
            self._alarms.doubled(Dot(batch.origin, batch.first))
            return False
        return not self._depends_on_another(batch)

    def _is_of_another(self, batch: Batch) -> bool:
        delivered = self._state.cut.entries.get(batch.origin, 0)
        if batch.first != delivered + 1:
            # It may come early, or again; but no origin makes batches that overlap.
            return batch.first <= delivered < batch.last
        stands = self._state.chain_of(batch.origin) if delivered else self._chain_of_ends(batch)
        return differ(batch.previous, stands)

    def _chain_of_ends(self, batch: Batch) -> bytes:
        """What the first batch of an incarnation must go on from, if this node is just there."""
        ends, entries = ends_of(batch.origin, batch.deps), self._state.cut.entries
        if any(entries.get(ended, 0) != seq for ended, seq in ends.items()):
            return NO_CHAIN
        return chain_of_ends(ends, self._state.chain_of)

    def _depends_on_another(self, batch: Batch) -> bool:
        for origin, seq in batch.deps.items():
            if origin.startswith(self._prefix):
                check = check_in(batch.deps, batch.checks, origin)
                if differ(check, check_of(self._chain_at(Dot(origin, seq)))):
                    return True
        return False

    def _chain_at(self, dot: Dot) -> bytes:
        """The chain of an incarnation of this node's there, if it is at hand."""
        if self._state.cut.entries.get(dot.origin) == dot.seq:
            return self._state.chain_of(dot.origin)
        return self._own.at(dot)
