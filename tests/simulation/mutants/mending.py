"""Writes under dots that were given before, and what mends that."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutants.mutant import mutant

_BRANCHES: Final = "kvnode/core/branches.py"
_MENDING: Final = "kvnode/core/mending.py"
_NODE: Final = "kvnode/daemon/node.py"
_REPLICA: Final = "kvnode/core/replica.py"
_STANDING: Final = "kvnode/core/standing.py"

MUTANTS: Final = (
    mutant(
        "compare no history with a peer's",
        _STANDING,
        "            if own.encoded != batch.encoded:\n",
        "            if False:\n",
    ),
    mutant(
        "never give a comparison up",
        _REPLICA,
        "        self.standing.gives_up()\n        self._end_quiet(was_quiet=True)\n",
        "        self._end_quiet(was_quiet=True)\n",
    ),
    mutant(
        "publish while others may have other writes",
        _REPLICA,
        "            publish=() if self.standing.is_quiet else tuple(self.own),\n",
        "            publish=tuple(self.own),\n",
    ),
    mutant(
        "have no doubt after a silence",
        _STANDING,
        "        if self.unconfirmed():\n            self.is_quiet = True\n",
        "        if False:\n            self.is_quiet = True\n",
    ),
    mutant(
        "serve peers what they may have otherwise",
        _NODE,
        "        if not self.replica.is_asked(vector):\n            return []\n",
        "        self.replica.is_asked(vector)\n",
    ),
    mutant(
        "move all but the first of what is to be moved",
        _MENDING,
        "        for batch in moved:\n            base",
        "        for batch in moved[1:]:\n            base",
    ),
    mutant(
        "count what was moved as delivered still",
        _MENDING,
        "    kept = {} if stays is None else {parting.origin: stays}\n",
        "    kept = {}\n",
    ),
    mutant(
        "leave the versions of what was moved in the table",
        _MENDING,
        "        return tuple(it for it in held if not self._is_moved(Dot(it.origin, it.seq)))\n",
        "        return held\n",
    ),
    mutant(
        "tell nobody where writes were moved",
        _MENDING,
        "Change(renamed_key(o), record.encode())",
        'Change(renamed_key(f"{o}?"), record.encode())',
    ),
    mutant(
        "mend from what was confirmed at the latest write",
        _REPLICA,
        "        saved = saved._replace(own=self.standing.past)\n",
        "",
    ),
    mutant(
        "confirm what has the same number",
        _STANDING,
        "            if are_same(said, chain_at(Dot(origin, seq))):\n",
        "            if True:\n",
    ),
    mutant(
        "look for no other history in what the turn has brought",
        _BRANCHES,
        "self._state.brought(next_one) or self._logged(next_one)",
        "self._logged(next_one)",
    ),
    mutant(
        "move what others have built on",
        _REPLICA,
        "            self.standing.is_relied_on(dot)\n",
        "            pass\n",
    ),
    mutant(
        "answer twice who waits while a mend fails",
        _REPLICA,
        "        self.watches = Watches(self.limits)\n        self.scans.cuts.close()\n",
        "        self.scans.cuts.close()\n",
    ),
    mutant(
        "publish in doubt what a failed commit left",
        _NODE,
        "        told = () if self.replica.standing.is_quiet else self._in_doubt\n",
        "        told = self._in_doubt\n",
    ),
    mutant(
        "do not sync an incarnation's first batch while quiet",
        _NODE,
        "self._commit(self._store, effects.commit, self.replica.own, now)",
        "self._commit(self._store, effects.commit, effects.publish, now)",
    ),
    mutant(
        "tell watchers nothing of what took the place of what they saw",
        _REPLICA,
        "            token = as_position(request.token, self.cut, self.state.versions, "
        "self._stands_before)\n",
        "            token = request.token\n",
    ),
)
