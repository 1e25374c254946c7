"""Processes that go back in time."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutants.mutant import mutant

_CONTINUITY: Final = "kvnode/core/continuity.py"

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
)
