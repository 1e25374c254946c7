"""Repair, snapshots, and the log."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutants.mutant import mutant

_REPAIR: Final = "kvnode/core/repair.py"
_REPLICA: Final = "kvnode/core/replica.py"
_STATE: Final = "kvnode/core/state.py"
_SUCCESSION: Final = "kvnode/core/succession.py"
_NODE: Final = "kvnode/daemon/node.py"
_FOLD: Final = "kvnode/daemon/fold.py"
_SNAPSHOT: Final = "kvnode/core/snapshot.py"
_TRUNCATION: Final = "kvnode/core/truncation.py"
_COLLECTING: Final = "kvnode/storage/collecting.py"
_MEMORY: Final = "kvnode/storage/memory.py"

MUTANTS: Final = (
    # --- repair
    mutant(
        "never ask a third party",
        _REPAIR,
        "                others.append(peer)\n",
        "                peer.settled = True\n",
    ),
    mutant(
        "ask only owners, though they are gone",
        _REPAIR,
        "        return owners + others  # the owners did not answer: they may be gone\n",
        "        return owners or others\n",
    ),
    mutant(
        "count what a held incarnation ends as come",
        _REPAIR,
        "            unread += ends\n",
        "",
    ),
    mutant(
        "serve the log by origin, not by delivery",
        _COLLECTING,
        "    for position in _Merged(lacking, ends, positions):\n",
        "    for position in (p for it in lacking.items() for p in positions(*it)):\n",
    ),
    mutant(
        "leave out earlier incarnations that a peer lacks",
        _SUCCESSION,
        "            if not has:\n",
        "            if False:\n",
    ),
    mutant(
        "serve what a peer's heads imply",
        _SUCCESSION,
        "            has = reading.value(origin)\n",
        "            has = vector.get(origin, 0)\n",
    ),
    mutant(
        "pull in bare normal form",
        _REPAIR,
        "    while unread and len(vector) < SPELLED_OUT_MAX:\n",
        "    while False and len(vector) < SPELLED_OUT_MAX:\n",
    ),
    mutant(
        "never tell a peer in full what this node has",
        _REPAIR,
        "            peer.misreads = self.staging is None\n",
        "            peer.misreads = False\n",
    ),
    mutant(
        "max-merge claims",
        _REPAIR,
        "        if peer is None or peer.claim.instance != claim.instance:\n",
        "        if peer is not None:\n"
        "            both = dict(claim.delivered)\n"
        "            for origin, seq in peer.claim.delivered.items():\n"
        "                both[origin] = max(seq, both.get(origin, 0))\n"
        "            claim = Claim(claim.name, claim.instance, both, claim.synced,"
        " claim.digest, claim.floor, claim.wall_us)\n"
        "        if peer is None or peer.claim.instance != claim.instance:\n",
    ),
    # --- snapshots
    mutant(
        "drop rows from a snapshot",
        _SNAPSHOT,
        "            origins[origin] = state\n",
        "            origins[origin] = state._replace(row={})\n",
    ),
    mutant(
        "leave ends out of a snapshot",
        _SNAPSHOT,
        "            origins[origin] = state\n",
        "            origins[origin] = state._replace(ends={})\n",
    ),
    mutant(
        "leave the floor unchanged by a snapshot",
        _SNAPSHOT,
        "            floor[origin] = state.delivered\n",
        "",
    ),
    mutant(
        "forget the snapshot's clock",
        _SNAPSHOT,
        "max(mine.clock_us, theirs.clock_us)",
        "mine.clock_us",
    ),
    mutant(
        "merge a snapshot in place",
        _MEMORY,
        "        self._write(layout.encode_staged(table, settled, 1 - self._live), sync=False)\n",
        "        for live in (0, 1):\n"
        "            self._write(layout.encode_staged(table, settled, live), sync=False)\n",
    ),
    mutant(
        "switch to a snapshot without folding",
        _FOLD,
        "    if any(their_entries.get(origin, 0) < seq for origin, seq in my_entries.items()):\n",
        "    if False:\n",
    ),
    mutant(
        "bring back from a snapshot what was replaced here",
        _SNAPSHOT,
        "my_entries.get(v.origin, 0) < v.seq]",
        "True]",
    ),
    mutant(
        "keep beside a snapshot what was replaced there",
        _SNAPSHOT,
        "their_entries.get(v.origin, 0) < v.seq]",
        "True]",
    ),
    mutant(
        "trust a snapshot whatever its digest",
        _REPAIR,
        "snapshot is None or is_credible(snapshot, chunk.digest, cut)",
        "True",
    ),
    mutant(
        "stage a snapshot over the remains of another",
        _NODE,
        "        if stage.is_first:\n",
        "        if False:\n",
    ),
    mutant(
        "serve a snapshot of a state that moves",
        _MEMORY,
        "        self._table = dict(disk.table)\n",
        "        self._table = disk.table\n",
    ),
    mutant(
        "write while a snapshot is folded",
        _NODE,
        "        claim = self.replica.claim_if_due(now)\n",
        "        return True\n",
    ),
    # --- the log's start
    mutant(
        "truncate before all have it",
        _TRUNCATION,
        "    return [name for name, has in members.items()"
        " if not has.covers(batch.origin, batch.last)]\n",
        "    return []\n",
    ),
    mutant(
        "leave the floor unchanged by a truncation",
        _STATE,
        "            floor[batch.origin] = max(floor.get(batch.origin, 0), batch.last)\n",
        "            pass\n",
    ),
    mutant(
        "count a wiped member's old claim",
        _REPLICA,
        "        return self.truncation.droppable(head, log_bytes, log_end, members, now)\n",
        "        for name, has in members.items():\n"
        "            old = vars(self).setdefault('_old', {}).get(name, {})\n"
        "            members[name] = self._old[name] = {\n"
        "                o: max(old.get(o, 0), has.get(o, 0)) for o in {**old, **has}\n"
        "            }\n"
        "        return self.truncation.droppable(head, log_bytes, log_end, members, now)\n",
    ),
    mutant(
        "forget the floor at a restart",
        _STATE,
        "        self.floor: Vector = self.cut.succession.normal(saved.floor)\n",
        "        self.floor: Vector = {}\n",
    ),
    mutant(
        "pull from a log that starts later",
        _REPAIR,
        "        with_log = [peer for peer in able if cut.covers(peer.claim.floor)]\n",
        "        with_log = able\n",
    ),
    mutant(
        "claim no floor",
        _NODE,
        "        floor = dict(self.replica.state.floor)\n",
        "        floor = {}\n",
    ),
)
