"""What clients ask and are told: sessions, writes, and requests that are done once."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutants.mutant import mutant

_CONCERNS: Final = "kvnode/core/concerns.py"
_HOLDBACK: Final = "kvnode/core/holdback.py"
_REPLICA: Final = "kvnode/core/replica.py"
_STATE: Final = "kvnode/core/state.py"
_NODE: Final = "kvnode/daemon/node.py"
_ONCE: Final = "kvnode/core/once.py"
_MEMORY: Final = "kvnode/storage/memory.py"
_SESSION: Final = "kvnode/client/session.py"

MUTANTS: Final = (
    # --- clients
    mutant(
        "ignore the token",
        _REPLICA,
        "            if self.cut.covers(request.token):\n",
        "            if True:\n",
    ),
    mutant(
        "drop a parked request",
        _HOLDBACK,
        "            self._ready_requests[waiter.arrival] = waiter\n",
        "            pass\n",
    ),
    mutant(
        "let a request wait beyond its deadline",
        _HOLDBACK,
        "        while (least := self._deadlines.least()) and least[0] <= steady_us:\n",
        "        while False and (least := self._deadlines.least()) and least[0] <= steady_us:\n",
    ),
    mutant(
        "forget a request that is cancelled",
        _HOLDBACK,
        "            self._deadlines.push(arrival, 0)\n",
        "            self._take_request(arrival)\n",
    ),
    mutant(
        "take the token before the turn's own writes",
        _REPLICA,
        "            token=dict(self.cut.heads),\n",
        "            token={o: s for o, s in self.cut.heads.items() if o != self.origin},\n",
    ),
    mutant(
        "do not see what the turn has changed",
        _STATE,
        "        return self._table.versions(key) if changed is None else changed\n",
        "        return self._table.versions(key)\n",
    ),
    mutant(
        "keep the first token for ever",
        _SESSION,
        "            self.token = token\n            return True\n",
        "            self.token = self.token or token\n            return True\n",
    ),
    # --- requests that are done once
    mutant(
        "commit a request's id apart from its write",
        _MEMORY,
        "        self._write([*puts, *self._once.puts(commit, span)] if commit.done else puts,"
        " sync=sync)\n",
        "        self._write(puts, sync=sync)\n"
        "        if commit.done:\n"
        "            self._write(self._once.puts(commit, span), sync=sync)\n",
    ),
    mutant(
        "remember a request though its commit failed",
        _MEMORY,
        "        span = self._once.after(commit)\n",
        "        span = self._once.after(commit)\n"
        "        self._disk.write(self._once.puts(commit, span), sync=sync)\n",
    ),
    mutant(
        "lose what is done once with the power",
        _NODE,
        "        must = bool(commit.done) or any(batch.first == 1 for batch in own)\n",
        "        must = any(batch.first == 1 for batch in own)\n",
    ),
    mutant(
        "forget the ids of requests at a restart",
        _MEMORY,
        "        positions = [key for key",
        "        if not read_only:\n"
        '            for key in [it for it in disk.families["once"] if it.startswith(once.ID)]:\n'
        '                del disk.families["once"][key]\n'
        "        positions = [key for key",
    ),
    mutant(
        "answer with what another request brought",
        "kvnode/storage/once.py",
        "        record = self._read(ID + id_)\n",
        "        last = self._read(position_key(self.span.end - 1)) if self.span.end else None\n"
        "        record = self._read(ID + (last or id_))\n",
    ),
    mutant(
        "do a request twice in one turn",
        _ONCE,
        "        added = self.added.get(id_)\n",
        "        added = None\n",
    ),
    mutant(
        "do again what may be forgotten",
        _ONCE,
        "        if start <= once.position <= self.position or",
        "        if True or",
    ),
    mutant(
        "write again what is answered as before",
        _ONCE,
        "        answer.add(next(left, _TOO_LARGE) if is_made else run(operation, shown, now))\n",
        "        ran = run(operation, shown, now)\n"
        "        answer.add(next(left, _TOO_LARGE) if is_made else ran)\n",
    ),
    # --- writes of several keys
    mutant(
        "keep the first of a write's changes to a key",
        "kvnode/core/batch.py",
        "    return tuple({change.key: change for change in changes}.values())\n",
        "    return tuple({change.key: change for change in reversed(list(changes))}.values())\n",
    ),
    mutant(
        "write though a condition does not hold",
        "kvnode/core/operations.py",
        "            return Conflict(conflicts) if conflicts else",
        "            return",
    ),
    mutant(
        "judge a condition by the winner alone",
        "kvnode/core/operations.py",
        "for it in _visible(key, shown))\n",
        "for it in _visible(key, shown)[:1])\n",
    ),
    # --- write concerns
    mutant(
        "count as synced what a member has delivered",
        _CONCERNS,
        "succession.value(claim.synced, self._origin)",
        "succession.value(claim.delivered, self._origin)",
    ),
    mutant(
        "report what is delivered, synced or not",
        _REPLICA,
        "        due = self.reports.due(self._synced_of)\n",
        "        due = self.reports.due(lambda origin: self.cut.entries.get(origin, 0))\n",
    ),
    mutant(
        "count a write on this node before it is synced",
        _REPLICA,
        "        synced[self.identity.name] = self._synced_of(self.origin)\n",
        "        own = self.origin\n"
        "        synced[self.identity.name] = self.cut.entries.get(own, 0)\n",
    ),
    mutant(
        "report before the commit",
        _NODE,
        "            if effects.commit is not None:\n",
        "            me, dots = self.replica.identity, self.replica.reports\n"
        "            for dot in dots.due(self.replica._synced_of):\n"
        "                check = self.replica.branches.chain_at(dot)[:4]\n"
        "                outbox.report(Report(me.name, me.instance, *dot, check))\n"
        "            if effects.commit is not None:\n",
    ),
    mutant(
        "hold a reply back before its commit",
        _NODE,
        "            if effects.stage is not None:\n                self._put_aside",
        "            for reply in effects.replies:\n"
        "                if reply.concern is not None:\n"
        "                    self.replica.concerns.hold(reply)\n"
        "            if effects.stage is not None:\n                self._put_aside",
    ),
    mutant(
        "count a member's report and its claim as two",
        _CONCERNS,
        "        reached = sorted(synced.values(), reverse=True)\n",
        "        reached = sorted([*synced.values(), *self._reported.values()], reverse=True)\n",
    ),
    mutant(
        "count who is no member",
        _CONCERNS,
        "            if name in members\n",
        "",
    ),
    mutant(
        "be content with one member less",
        _CONCERNS,
        "            last = reached[replicas - 1]\n",
        "            last = reached[max(0, replicas - 2)]\n",
    ),
    mutant(
        "take reports by another process of the name",
        _CONCERNS,
        "        if claim is not None and claim.instance == report.instance:\n",
        "        if claim is not None:\n",
    ),
    mutant(
        "never tell that a wait for replicas is in vain",
        _CONCERNS,
        "        while (least := self._deadlines.least()) and least[0] <= steady_us:\n",
        "        while False:\n",
    ),
    mutant(
        "forget held replies when the replica is replaced",
        _NODE,
        "        self._abandon_concerns(reason, outbox)\n",
        "",
    ),
    mutant(
        "forget held replies when the disk fails",
        _NODE,
        '        self._abandon_concerns(f"the node\'s disk failed: {error}", outbox)\n',
        "",
    ),
    mutant(
        "refuse a write for want of room after it was made",
        _REPLICA,
        "            if refusal := self._refusal(request):\n",
        "            if refusal := self._refusal(request):\n"
        "                for operation in request.operations:\n"
        "                    run(operation, self, now)\n",
    ),
    mutant(
        "hold back more replies than there is room for",
        _REPLICA,
        "        if awaits_replicas(request) and not self.concerns.has_room:\n",
        "        if False:\n",
    ),
)
