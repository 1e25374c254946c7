"""The order of a turn, and what a node does whose disk fails."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutants.mutant import mutant

_NODE: Final = "kvnode/daemon/node.py"

MUTANTS: Final = (
    # --- order of the turn
    mutant(
        "acknowledge what is written to files that were moved",
        _NODE,
        "                if is_heartbeat or effects.commit is not None:\n",
        "                if is_heartbeat:\n",
    ),
    mutant(
        "publish before commit",
        _NODE,
        "            if effects.commit is not None:\n",
        "            for batch in effects.publish:\n"
        "                outbox.publish(batch)\n"
        "            if effects.commit is not None:\n",
    ),
    mutant(
        "answer before commit",
        _NODE,
        "            if effects.commit is not None:\n",
        "            for reply in effects.replies:\n"
        "                outbox.reply(reply, effects.token)\n"
        "            if effects.commit is not None:\n",
    ),
    mutant(
        "acknowledge before fsync",
        _NODE,
        "        always = self._durability is Durability.ALWAYS\n",
        "        always = False\n",
    ),
    mutant(
        "go on in memory after a failed commit",
        _NODE,
        "        self._close_store()\n        self._reopen(now, outbox)\n",
        "",
    ),
    mutant(
        "call a failed write undone",
        _NODE,
        "            if id(request) in tried and _writes(request):\n",
        "            if False:\n",
    ),
    # --- a disk that can only be read
    mutant(
        "acknowledge writes that can't be committed",
        _NODE,
        "            inputs = self._readable(inputs, outbox)\n",
        "            if self._store is not None:\n"
        "                self._store.commit = lambda commit, sync: None\n",
    ),
    mutant(
        "deliver though it can't be committed",
        _NODE,
        "        return Inputs(claims=inputs.claims, heard=inputs.heard, requests=reads)\n",
        "        if self._store is not None:\n"
        "            self._store.commit = lambda commit, sync: None\n"
        "        return replace(inputs, requests=reads)\n",
    ),
    mutant(
        "show what a failed commit left",
        "kvnode/storage/frozen.py",
        "        was = self._was.table.get(key)\n",
        "        was = None\n",
    ),
    mutant(
        "hand over what a failed commit left",
        "kvnode/storage/frozen.py",
        "        return [batch for batch in found if batch not in self._was.hidden]\n",
        "        return found\n",
    ),
    mutant(
        "count what a failed commit left as committed",
        "kvnode/storage/frozen.py",
        "        return was._replace(floor=joined(was.floor, found.floor))\n",
        "        return found\n",
    ),
    mutant(
        "refuse reads while the disk is full",
        _NODE,
        "            if self._store is None or _writes(request):\n",
        "            if True:\n",
    ),
    mutant(
        "forget to write again when there is room",
        _NODE,
        "        if now.steady_us < self._reopen_due_us:\n            return inputs\n",
        "        if self._store is not None or now.steady_us < self._reopen_due_us:\n"
        "            return inputs\n",
    ),
)
