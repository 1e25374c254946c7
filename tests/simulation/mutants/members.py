"""Members, and what nobody has any more."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutants.mutant import mutant

_REPLICA: Final = "kvnode/core/replica.py"
_STATE: Final = "kvnode/core/state.py"
_NODE: Final = "kvnode/daemon/node.py"
_CATCH_UP: Final = "kvnode/core/catch_up.py"
_LOST: Final = "kvnode/core/lost.py"

MUTANTS: Final = (
    # --- members
    mutant(
        "open an incarnation without a member record",
        _REPLICA,
        "        if self._registration.is_open:\n            self._registration.done()\n",
        "        if False:\n            self._registration.done()\n",
    ),
    mutant(
        "do not join anew after having been forgotten",
        "kvnode/core/registration.py",
        '        """The record was deleted, as a peer says."""\n        self._is_done = False\n',
        '        """The record was deleted, as a peer says."""\n',
    ),
    mutant(
        "do not see a member record change",
        _STATE,
        "                self._record_changed(key, after, origin)\n",
        "                pass\n",
    ),
    # --- joining
    mutant(
        "believe an empty disk",
        _REPLICA,
        "        return not self.state.joined and not self.catch_up.may_join\n",
        "        return False\n",
    ),
    mutant(
        "found a cluster though not all were heard",
        _CATCH_UP,
        "            has_all = not self.has_unheard and not self._lacking\n",
        "            has_all = True\n",
    ),
    mutant(
        "join with a part of what others have",
        _CATCH_UP,
        " = has_what_lives and has_heard and self._has_what_one_had(cut)\n",
        " = has_heard\n",
    ),
    mutant(
        "take who has anything for one who has joined",
        _STATE,
        "        self.joined = saved.joined\n",
        "        self.joined = bool(saved.origins)\n",
    ),
    # --- lost dots
    mutant(
        "publish an incarnation's first batch before it is synced",
        _NODE,
        "        must = bool(commit.done) or any(batch.first == 1 for batch in own)\n",
        "        must = bool(commit.done)\n",
    ),
    mutant(
        "call lost what a member that nobody hears may have",
        _LOST,
        "    return all(claim is not None and _rules_out(claim, enders, cut)"
        " for claim in claims)\n",
        "    return all(claim is None or _rules_out(claim, enders, cut) for claim in claims)\n",
    ),
    mutant(
        "call lost what a member claims",
        _LOST,
        "    return has_all and any(",
        "    return any(",
    ),
    mutant(
        "let sessions wait for what is lost",
        _LOST,
        "    if not lost:\n",
        "    if True:\n",
    ),
    mutant(
        "never end what comes to light late",
        _REPLICA,
        "        return is_open and bool(self._unended(origin)) and self._is_caught_up()\n",
        "        return False\n",
    ),
)
