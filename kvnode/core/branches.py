"""Branches: no node builds on one history of an origin what was made on another.

See `chain`. A batch is *of another branch* if it does not go on from what is delivered of its
origin. Then it is neither delivered nor held, and what depends on it waits. So does what depends on
another branch of this node's own name, whose history the node knows: repair brings it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvnode.core.alarms import Alarms
from kvnode.core.batch import Batch
from kvnode.core.chain import (
    NO_CHAIN,
    OwnChains,
    are_same,
    chain_of_ends,
    check_in,
    check_of,
    differ,
)
from kvnode.core.state import State
from kvnode.core.succession import ends_of
from kvnode.core.vector import Dot

#: Where no batch ends there is no chain that any other is equal to.
_NO_END: Final = b"no end"


class Branches:
    """Tells what goes on from what is delivered here."""

    def __init__(
        self,
        name: str,
        state: State,
        alarms: Alarms,
        logged: Callable[[Dot], Batch | None],
    ) -> None:
        """`logged` finds the batch of the log that has a dot, if one has it."""
        self._prefix = f"{name}~"
        self._state = state
        self._alarms = alarms
        self._logged = logged
        self._own = OwnChains()

    def made(self, batch: Batch) -> None:
        """This node made a batch, which is delivered."""
        self._own.made(Dot(batch.origin, batch.last), self._state.chain_of(batch.origin))

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
        """What the first batch of an incarnation must go on from, as far as it is known here."""
        ends = ends_of(batch.origin, batch.deps)
        return chain_of_ends(ends, lambda origin: self.chain_at(Dot(origin, ends[origin])))

    def own_parting(self, batch: Batch) -> Dot | None:
        """Up to where this node has another history of its own name than the one that a batch goes
        on from, if it surely has: of the incarnation itself, or of one that it depends on."""
        if batch.first > 1 and batch.origin.startswith(self._prefix) and self._is_of_another(batch):
            return Dot(batch.origin, self._state.cut.entries[batch.origin])
        return self._dep_on_another(batch)

    def _depends_on_another(self, batch: Batch) -> bool:
        return self._dep_on_another(batch) is not None

    def _dep_on_another(self, batch: Batch) -> Dot | None:
        for origin, seq in batch.deps.items():
            if origin.startswith(self._prefix):
                check = check_in(batch.deps, batch.checks, origin)
                if differ(check, check_of(self.chain_at(Dot(origin, seq)))):
                    return Dot(origin, seq)
        return None

    def relied_on(self, batch: Batch) -> list[Dot]:
        """Own writes that a batch of others surely comes after, from the same history."""
        if batch.origin.startswith(self._prefix):
            return []
        own = [Dot(*it) for it in batch.deps.items() if it[0].startswith(self._prefix)]
        deps, checks = batch.deps, batch.checks
        return [it for it in own if are_same(check_in(deps, checks, it.origin), self.chain_at(it))]

    def chain_at(self, dot: Dot) -> bytes:
        """The chain of an origin there, as far as it is known."""
        delivered = self._state.cut.entries.get(dot.origin, 0)
        if delivered == dot.seq:
            return self._state.chain_of(dot.origin)
        if delivered < dot.seq:
            return NO_CHAIN
        return self._own.at(dot) or self._logged_chain(dot)

    def _logged_chain(self, dot: Dot) -> bytes:
        next_one = Dot(dot.origin, dot.seq + 1)
        after = self._state.brought(next_one) or self._logged(next_one)
        if after is None:
            return NO_CHAIN
        return after.previous if after.first == dot.seq + 1 else _NO_END
