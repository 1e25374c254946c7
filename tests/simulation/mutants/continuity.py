"""Processes that go back in time."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutants.mutant import mutant

_BRANCHES: Final = "kvnode/core/branches.py"
_CONTINUITY: Final = "kvnode/core/continuity.py"

#: In `_BRANCHES`: what a batch must go on from.
_STANDS: Final = (
    "        stands = self._state.chain_of(batch.origin) "
    "if delivered else self._chain_of_ends(batch)\n"
)

MUTANTS: Final = (
    mutant(
        "go on as before though time is missing",
        _CONTINUITY,
        "        return fell_silent or self.misses_time\n",
        "        return fell_silent\n",
    ),
    mutant(
        "go on as before though all fell silent",
        _CONTINUITY,
        "        return fell_silent or self.misses_time\n",
        "        return self.misses_time\n",
    ),
    mutant(
        "take a batch that goes on from another than is here",
        _BRANCHES,
        _STANDS,
        "        stands = NO_CHAIN if delivered else self._chain_of_ends(batch)\n",
    ),
    mutant(
        "take an incarnation that ends another branch",
        _BRANCHES,
        _STANDS,
        "        stands = self._state.chain_of(batch.origin) if delivered else NO_CHAIN\n",
    ),
    mutant(
        "take what depends on another branch of this node",
        _BRANCHES,
        "        return not self._depends_on_another(batch)\n",
        "        return True\n",
    ),
)
