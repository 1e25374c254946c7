"""What is too long for one answer, and who is slow."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutants.mutant import mutant

_PIECES: Final = "kvnode/core/pieces.py"
_REPAIR: Final = "kvnode/core/repair.py"
_REPLICA: Final = "kvnode/core/replica.py"
_PULLING: Final = "kvnode/daemon/pulling.py"

MUTANTS: Final = (
    mutant(
        "begin anew with each piece",
        _PIECES,
        "        return [Begun(digest, len(whole.data))"
        " for digest, whole in self._wholes.items()]\n",
        "        return []\n",
    ),
    mutant(
        "ask for all at once, whatever the pace",
        _PULLING,
        "        bytes_max = bytes_max or source.pace.bytes_max\n",
        "        bytes_max = 1 << 24\n",
    ),
    mutant(
        "count a piece as nothing",
        _REPAIR,
        "        self.answered(name, steady_us, advanced=is_news, is_late=is_late)\n",
        "        self.answered(name, steady_us, advanced=False, is_late=is_late)\n",
    ),
    mutant(
        "count only heartbeats as signs of life",
        _REPLICA,
        "        for name in inputs.heard:\n",
        "        for name in ():\n",
    ),
)
