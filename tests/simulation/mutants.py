"""Deliberate faults, each a small change to the sources. The simulator must catch every one."""

from __future__ import annotations

from typing import Final, NamedTuple

_AUTHOR: Final = "kvnode/core/author.py"
_CONCERNS: Final = "kvnode/core/concerns.py"
_HOLDBACK: Final = "kvnode/core/holdback.py"
_REPAIR: Final = "kvnode/core/repair.py"
_OVERLAY: Final = "kvnode/core/overlay.py"
_SCANS: Final = "kvnode/core/scans.py"
_REPLICA: Final = "kvnode/core/replica.py"
_STATE: Final = "kvnode/core/state.py"
_SUCCESSION: Final = "kvnode/core/succession.py"
_VECTOR: Final = "kvnode/core/vector.py"
_VERSIONS: Final = "kvnode/core/versions.py"
_BATCHES: Final = "kvnode/codec/batches.py"
_RECORDS: Final = "kvnode/codec/records.py"
_NODE: Final = "kvnode/daemon/node.py"
_EXPIRY: Final = "kvnode/core/expiry.py"
_OPERATIONS: Final = "kvnode/core/operations.py"
_UPKEEP: Final = "kvnode/daemon/upkeep.py"
_WATCHES: Final = "kvnode/core/watches.py"
_FOLD: Final = "kvnode/daemon/fold.py"
_LOST: Final = "kvnode/core/lost.py"
_ONCE: Final = "kvnode/core/once.py"
_MEMBERS: Final = "kvnode/core/members.py"
_SNAPSHOT: Final = "kvnode/core/snapshot.py"
_TRUNCATION: Final = "kvnode/core/truncation.py"
_LAYOUT: Final = "kvnode/storage/layout.py"
_MEMORY: Final = "kvnode/storage/memory.py"
_SESSION: Final = "kvnode/client/session.py"


class Edit(NamedTuple):
    """A text that stands in a file exactly once, and what to put in its place."""

    file: str
    old: str
    new: str


class Mutant(NamedTuple):
    """One deliberate fault."""

    fault: str
    edits: tuple[Edit, ...]


def _mutant(fault: str, file: str, old: str, new: str) -> Mutant:
    return Mutant(fault, (Edit(file, old, new),))


MUTANTS: Final = (
    # --- delivery
    _mutant(
        "deliver without checking deps",
        _HOLDBACK,
        "        needs = item.deps\n",
        "        needs = {}\n",
    ),
    Mutant(
        "forget the origin's own gap",
        (
            Edit(
                _HOLDBACK,
                "        if delivered.get(item.origin, 0) < item.first - 1:\n",
                "        if False:\n",
            ),
            Edit(
                _REPLICA,
                "            if batch.first != self.cut.entries.get(batch.origin, 0) + 1:\n",
                "            if batch.last <= self.cut.entries.get(batch.origin, 0):\n",
            ),
        ),
    ),
    Mutant(
        "deliver what is delivered already",
        (
            Edit(
                _HOLDBACK,
                "        if batch.last <= delivered.get(batch.origin, 0) or dot in self.batches:\n",
                "        if dot in self.batches:\n",
            ),
            Edit(
                _REPLICA,
                "            if batch.first != self.cut.entries.get(batch.origin, 0) + 1:\n",
                "            if False:\n",
            ),
            Edit(_SUCCESSION, "        assert seq > self.entries.get(origin, 0)\n", ""),
        ),
    ),
    _mutant(
        "freeze deps at the start of the turn",
        _REPLICA,
        "        self._receive(inputs, now)\n",
        "        frozen = dict(self.cut.heads)\n"
        "        self._receive(inputs, now)\n"
        "        now_heads, self.cut.heads = self.cut.heads, frozen\n"
        "        if inputs.requests:\n"
        "            self._close_batch()\n"
        "            self._author.open(now.wall_us)\n"
        "            if not any(isinstance(o, Put | Delete) for r in inputs.requests"
        " for o in r.operations):\n"
        "                self._author._open = None\n"
        "        self.cut.heads = now_heads\n",
    ),
    _mutant(
        "send too few deps changes",
        _AUTHOR,
        "            self._unsent[origin] = None\n",
        "            self._unsent = self._unsent or {origin: None}\n",
    ),
    _mutant(
        "forget deps changes with the first batch of a turn",
        _AUTHOR,
        "            deps = {origin: row[origin] for origin in self._unsent if origin in row}\n",
        "            deps = {}\n",
    ),
    # --- merging
    _mutant(
        "judge a batch's later writes by its first row",
        _VERSIONS,
        "        return version.seq < own.seq\n",
        "        return succession.covers(row, version.origin, version.seq)\n",
    ),
    _mutant(
        "keep only the latest deps as a row",
        _STATE,
        "        row = {**before, **batch.deps, batch.origin: batch.first - 1}\n",
        "        row = {**batch.deps, batch.origin: batch.first - 1}\n",
    ),
    _mutant(
        "replace what was not seen",
        _VERSIONS,
        "    return succession.covers(row, version.origin, version.seq)\n",
        "    return True\n",
    ),
    _mutant(
        "pick the winner by arrival",
        _VERSIONS,
        "        kept.sort(reverse=True)\n",
        "        kept.insert(0, kept.pop())\n",
    ),
    _mutant(
        "resurrect a deleted key at a restart",
        _LAYOUT,
        "    puts = _encode_versions(commit.table, live)\n",
        "    puts = _encode_versions({k: v for k, v in commit.table.items() if v}, live)\n",
    ),
    _mutant(
        "never subtract from the digest",
        _VERSIONS,
        "            change -= fingerprint(key, version)\n",
        "            change -= 0\n",
    ),
    # --- bytes
    _mutant(
        "decode a batch without its deps",
        _BATCHES,
        "    return Batch(origin, first, deps, stamp_us, writes, encoded)\n",
        "    return Batch(origin, first, {}, stamp_us, writes, encoded)\n",
    ),
    _mutant(
        "forget siblings on disk",
        _RECORDS,
        "    if len(versions) == 1:\n",
        "    if versions:\n",
    ),
    _mutant(
        "answer with an older token",
        "kvnode/codec/token.py",
        "    return pack([cluster, dict(seen)])\n",
        "    return pack([cluster, {o: s - 1 for o, s in seen.items() if s > 1}])\n",
    ),
    # --- clocks and vectors
    _mutant(
        "do not observe delivered stamps",
        _STATE,
        "        self.clock.observe(batch.stamp_us)\n",
        "",
    ),
    _mutant(
        "forget the clock at a restart",
        _STATE,
        "        self.clock = HybridLogicalClock(saved.clock_us)\n",
        "        self.clock = HybridLogicalClock(0)\n",
    ),
    _mutant(
        "keep one incarnation for ever",
        _VECTOR,
        "{_digits(created_s, _CREATED_DIGITS)}{_digits(random_bits, _RANDOM_DIGITS)}",
        "{_digits(0, _CREATED_DIGITS)}{_digits(0, _RANDOM_DIGITS)}",
    ),
    _mutant(
        "read vectors without succession",
        _SUCCESSION,
        "        return origin in self._ended_by and self._implied(vector, origin) >= seq\n",
        "        return False\n",
    ),
    _mutant(
        "read an own next seq without value",
        _AUTHOR,
        "        first = self._cut.entries.get(self.origin, 0) + 1\n",
        "        first = self._cut.heads.get(self.origin, 0) + 1\n",
    ),
    _mutant(
        "forget ends at a restart",
        _SUCCESSION,
        "            cut.succession.add(origin, ended)\n",
        "            pass\n",
    ),
    _mutant(
        "leave out entries that nothing implies",
        _SUCCESSION,
        "            if self.entries[ended] == last:\n",
        "            if True:\n",
    ),
    # --- order of the turn
    _mutant(
        "publish before commit",
        _NODE,
        "            if effects.commit is not None:\n",
        "            for batch in effects.publish:\n"
        "                outbox.publish(batch)\n"
        "            if effects.commit is not None:\n",
    ),
    _mutant(
        "answer before commit",
        _NODE,
        "            if effects.commit is not None:\n",
        "            for reply in effects.replies:\n"
        "                outbox.reply(reply, effects.token)\n"
        "            if effects.commit is not None:\n",
    ),
    _mutant(
        "acknowledge before fsync",
        _NODE,
        "        always = self._durability is Durability.ALWAYS\n",
        "        always = False\n",
    ),
    _mutant(
        "go on in memory after a failed commit",
        _NODE,
        "        self._close_store()\n        self._reopen(now, outbox)\n",
        "",
    ),
    _mutant(
        "call a failed write undone",
        _NODE,
        "            if id(request) in tried and _writes(request):\n",
        "            if False:\n",
    ),
    # --- a disk that can only be read
    _mutant(
        "acknowledge writes that can't be committed",
        _NODE,
        "            inputs = self._readable(inputs, outbox)\n",
        "            if self._store is not None:\n"
        "                self._store.commit = lambda commit, sync: None\n",
    ),
    _mutant(
        "deliver though it can't be committed",
        _NODE,
        "        return Inputs(claims=inputs.claims, requests=reads)\n",
        "        if self._store is not None:\n"
        "            self._store.commit = lambda commit, sync: None\n"
        "        return replace(inputs, requests=reads)\n",
    ),
    _mutant(
        "show what a failed commit left",
        "kvnode/storage/frozen.py",
        "        was = self._was.table.get(key)\n",
        "        was = None\n",
    ),
    _mutant(
        "hand over what a failed commit left",
        "kvnode/storage/frozen.py",
        "        return [batch for batch in found if batch not in self._was.hidden]\n",
        "        return found\n",
    ),
    _mutant(
        "count what a failed commit left as committed",
        "kvnode/storage/frozen.py",
        "        return self._was.saved\n",
        "        return self._store.load()\n",
    ),
    _mutant(
        "refuse reads while the disk is full",
        _NODE,
        "            if self._store is None or _writes(request):\n",
        "            if True:\n",
    ),
    _mutant(
        "forget to write again when there is room",
        _NODE,
        "        if now.steady_us < self._reopen_due_us:\n            return inputs\n",
        "        if self._store is not None or now.steady_us < self._reopen_due_us:\n"
        "            return inputs\n",
    ),
    # --- clients
    _mutant(
        "ignore the token",
        _REPLICA,
        "            if self.cut.covers(request.token):\n",
        "            if True:\n",
    ),
    _mutant(
        "drop a parked request",
        _HOLDBACK,
        "            self._ready_requests[waiter.arrival] = waiter\n",
        "            pass\n",
    ),
    _mutant(
        "let a request wait beyond its deadline",
        _HOLDBACK,
        "        while (least := self._deadlines.least()) and least[0] <= steady_us:\n",
        "        while False and (least := self._deadlines.least()) and least[0] <= steady_us:\n",
    ),
    _mutant(
        "take the token before the turn's own writes",
        _REPLICA,
        "            token=dict(self.cut.heads),\n",
        "            token={o: s for o, s in self.cut.heads.items()"
        " if o != self.identity.origin},\n",
    ),
    _mutant(
        "do not see what the turn has changed",
        _STATE,
        "        return self._table.versions(key) if changed is None else changed\n",
        "        return self._table.versions(key)\n",
    ),
    _mutant(
        "keep the first token for ever",
        _SESSION,
        "            self.token = answer.token\n",
        "            self.token = self.token or answer.token\n",
    ),
    # --- requests that are done once
    _mutant(
        "commit a request's id apart from its write",
        _MEMORY,
        "        self._write([*puts, *self._once.puts(commit, span)] if commit.done else puts,"
        " sync=sync)\n",
        "        self._write(puts, sync=sync)\n"
        "        if commit.done:\n"
        "            self._write(self._once.puts(commit, span), sync=sync)\n",
    ),
    _mutant(
        "remember a request though its commit failed",
        _MEMORY,
        "        span = self._once.after(commit)\n",
        "        span = self._once.after(commit)\n"
        "        self._disk.write(self._once.puts(commit, span), sync=sync)\n",
    ),
    _mutant(
        "forget the ids of requests at a restart",
        _MEMORY,
        "        positions = [key for key",
        "        if not read_only:\n"
        '            disk.families["once"].clear()\n'
        "        positions = [key for key",
    ),
    _mutant(
        "answer with what another request brought",
        "kvnode/storage/once.py",
        "        record = self._read(ID + id_)\n",
        "        last = self._read(position_key(self.span.end - 1)) if self.span.end else None\n"
        "        record = self._read(ID + (last or id_))\n",
    ),
    _mutant(
        "do a request twice in one turn",
        _ONCE,
        "        added = self.added.get(id_)\n",
        "        added = None\n",
    ),
    _mutant(
        "do again what may be forgotten",
        _ONCE,
        "        if start <= once.position <= self.position or",
        "        if True or",
    ),
    _mutant(
        "do what another node was asked for",
        _ONCE,
        "        if once.node != name:\n",
        "        if False:\n",
    ),
    _mutant(
        "write again what is answered as before",
        _ONCE,
        "        answer.add(next(left, _TOO_LARGE) if is_made else run(operation, shown, now))\n",
        "        ran = run(operation, shown, now)\n"
        "        answer.add(next(left, _TOO_LARGE) if is_made else ran)\n",
    ),
    # --- writes of several keys
    _mutant(
        "keep the first of a write's changes to a key",
        "kvnode/core/batch.py",
        "    return tuple({change.key: change for change in changes}.values())\n",
        "    return tuple({change.key: change for change in reversed(list(changes))}.values())\n",
    ),
    _mutant(
        "write though a condition does not hold",
        "kvnode/core/operations.py",
        "            return Conflict(conflicts) if conflicts else",
        "            return",
    ),
    _mutant(
        "judge a condition by the winner alone",
        "kvnode/core/operations.py",
        "for it in _visible(key, shown))\n",
        "for it in _visible(key, shown)[:1])\n",
    ),
    # --- scans
    _mutant(
        "read further pages from the table as it is now",
        _SCANS,
        "        page = self._read(cut, scan)\n"
        "        if page.next is None:\n            self.cuts",
        "        cut = cut._replace(view=Overlay(self._table.table_view(), {}))\n"
        "        page = self._read(cut, scan)\n"
        "        if page.next is None:\n            self.cuts",
    ),
    _mutant(
        "do not see in a scan what the turn has changed",
        _SCANS,
        "        cut = TableCut(Overlay(self._table.table_view(), changed), expiry.stopped())\n",
        "        cut = TableCut(Overlay(self._table.table_view(), {}), expiry.stopped())\n",
    ),
    _mutant(
        "let a cut see what its turn changes later",
        _OVERLAY,
        "        self._changes = dict(changes)\n",
        "        self._changes = changes\n",
    ),
    _mutant(
        "open a cut without what its turn has changed",
        _SCANS,
        "        number = self.cuts.keep(cut, self._turned_us)\n",
        "        cut = TableCut(Overlay(self._table.table_view(), {}), expiry.stopped())\n"
        "        number = self.cuts.keep(cut, self._turned_us)\n",
    ),
    _mutant(
        "let a cut move with what is committed",
        _MEMORY,
        "        self._records: dict[bytes, bytes] | None = dict(table)\n",
        "        self._records: dict[bytes, bytes] | None = table\n",
    ),
    _mutant(
        "show kvnode's own keys in a scan",
        _SCANS,
        "    for first, last in (above, below) if scan.reverse else (below, above):\n",
        "    for first, last in ((start, end),):\n",
    ),
    _mutant(
        "show a deleted key in a scan",
        _SCANS,
        "        if versions := cut.expiry.visible(held):  # what",
        "        if (versions := cut.expiry.visible(held)) or scan.shows is not Shows.ENTRIES:  #",
    ),
    _mutant(
        "show in a scan what has expired",
        _SCANS,
        "        if versions := cut.expiry.visible(held):",
        "        if versions := held:",
    ),
    _mutant(
        "hide in a cut what expires after its first page",
        "kvnode/core/expiry.py",
        "        clock = ExpiryClock()\n        clock.now_us = self.now_us\n        return clock\n",
        "        return self\n",
    ),
    _mutant(
        "skip a key between two pages",
        _SCANS,
        "            goes_on_at = last if scan.reverse else key\n",
        '            goes_on_at = last if scan.reverse else key + b"\\0"\n',
    ),
    _mutant(
        "repeat a key in the next page in reverse",
        _SCANS,
        "            goes_on_at = last if scan.reverse else key\n",
        '            goes_on_at = last + b"\\0" if scan.reverse else key\n',
    ),
    _mutant(
        "merge a scan in reverse as if it went forward",
        _OVERLAY,
        "(key > record[0] if reverse else key < record[0])",
        "key < record[0]",
    ),
    _mutant(
        "show what a failed commit left in a scan",
        "kvnode/storage/frozen.py",
        "        return Overlay(self._store.table_view(), self._was.table)\n",
        "        return self._store.table_view()\n",
    ),
    _mutant(
        "let go of a cut that is being read",
        "kvnode/core/cuts.py",
        "        return number if steady_us - quietest.read_us >= CUT_QUIET_US else None\n",
        "        return number\n",
    ),
    _mutant(
        "keep more cuts than the limit",
        "kvnode/core/cuts.py",
        "        return fits and len(self._open) < self._limits.cuts_max\n",
        "        return fits\n",
    ),
    # --- repair
    _mutant(
        "never ask a third party",
        _REPAIR,
        "                others.append(peer)\n",
        "                peer.settled = True\n",
    ),
    _mutant(
        "ask only owners, though they are gone",
        _REPAIR,
        "        return owners + others  # the owners did not answer: they may be gone\n",
        "        return owners or others\n",
    ),
    _mutant(
        "count what a held incarnation ends as come",
        _REPAIR,
        "            unread += ends\n",
        "",
    ),
    _mutant(
        "serve the log by origin, not by delivery",
        _LAYOUT,
        "    for position in heapq.merge(*streams):\n",
        "    for position in (p for stream in streams for p in stream):\n",
    ),
    _mutant(
        "pull in bare normal form",
        _REPAIR,
        "        if origin in cut.heads or name_of(origin) in differing\n",
        "        if origin in cut.heads\n",
    ),
    _mutant(
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
    _mutant(
        "drop rows from a snapshot",
        _SNAPSHOT,
        "            origins[origin] = state\n",
        "            origins[origin] = state._replace(row={})\n",
    ),
    _mutant(
        "leave ends out of a snapshot",
        _SNAPSHOT,
        "            origins[origin] = state\n",
        "            origins[origin] = state._replace(ends={})\n",
    ),
    _mutant(
        "leave the floor unchanged by a snapshot",
        _SNAPSHOT,
        "            floor[origin] = state.delivered\n",
        "",
    ),
    _mutant(
        "forget the snapshot's clock",
        _SNAPSHOT,
        "max(mine.clock_us, theirs.clock_us)",
        "mine.clock_us",
    ),
    _mutant(
        "merge a snapshot in place",
        _MEMORY,
        "        self._write(layout.encode_staged(table, settled, 1 - self._live), sync=False)\n",
        "        for live in (0, 1):\n"
        "            self._write(layout.encode_staged(table, settled, live), sync=False)\n",
    ),
    _mutant(
        "switch to a snapshot without folding",
        _FOLD,
        "    if any(their_entries.get(origin, 0) < seq for origin, seq in my_entries.items()):\n",
        "    if False:\n",
    ),
    _mutant(
        "bring back from a snapshot what was replaced here",
        _SNAPSHOT,
        "my_entries.get(v.origin, 0) < v.seq]",
        "True]",
    ),
    _mutant(
        "keep beside a snapshot what was replaced there",
        _SNAPSHOT,
        "their_entries.get(v.origin, 0) < v.seq]",
        "True]",
    ),
    _mutant(
        "trust a snapshot whatever its digest",
        _REPAIR,
        "snapshot is None or snapshot.digest == chunk.digest",
        "True",
    ),
    _mutant(
        "stage a snapshot over the remains of another",
        _NODE,
        "        if stage.is_first:\n",
        "        if False:\n",
    ),
    _mutant(
        "serve a snapshot of a state that moves",
        _MEMORY,
        "        self._table = dict(disk.table)\n",
        "        self._table = disk.table\n",
    ),
    _mutant(
        "write while a snapshot is folded",
        _NODE,
        "        claim = self.replica.claim_if_due(now)\n",
        "        return True\n",
    ),
    # --- the log's start
    _mutant(
        "truncate before all have it",
        _TRUNCATION,
        "    return [name for name, has in members.items()"
        " if has.get(batch.origin, 0) < batch.last]\n",
        "    return []\n",
    ),
    _mutant(
        "leave the floor unchanged by a truncation",
        "kvnode/daemon/upkeep.py",
        "                floor[batch.origin] = max(floor.get(batch.origin, 0), batch.last)\n",
        "                pass\n",
    ),
    _mutant(
        "count a wiped member's old claim",
        _REPLICA,
        "            known = self._spelled_out[name] = claim,"
        " self.cut.succession.expanded(claim.delivered)\n",
        "            old, new = known[1] if known else {},"
        " self.cut.succession.expanded(claim.delivered)\n"
        "            known = self._spelled_out[name] = claim, {\n"
        "                o: max(old.get(o, 0), new.get(o, 0)) for o in {**old, **new}\n"
        "            }\n",
    ),
    _mutant(
        "forget the floor at a restart",
        _STATE,
        "        self.floor: dict[str, int] = dict(saved.floor)\n",
        "        self.floor: dict[str, int] = {}\n",
    ),
    _mutant(
        "pull from a log that starts later",
        _REPAIR,
        "        with_log = [peer for peer in able if cut.covers(peer.claim.floor)]\n",
        "        with_log = able\n",
    ),
    _mutant(
        "claim no floor",
        _NODE,
        "        floor = self.replica.cut.succession.normal(self.replica.state.floor)\n",
        "        floor = {}\n",
    ),
    # --- members
    _mutant(
        "open an incarnation without a member record",
        _REPLICA,
        "        if self._registration.is_open:\n            self._registration.done()\n",
        "        if False:\n            self._registration.done()\n",
    ),
    _mutant(
        "do not join anew after having been forgotten",
        "kvnode/core/registration.py",
        '        """The record was deleted, as a peer says."""\n        self._is_done = False\n',
        '        """The record was deleted, as a peer says."""\n',
    ),
    _mutant(
        "do not see a member record change",
        _STATE,
        "                self._record_changed(key, after, origin)\n",
        "                pass\n",
    ),
    # --- lost dots
    _mutant(
        "publish an incarnation's first batch before it is synced",
        _NODE,
        "        opens = any(batch.first == 1 for batch in own)\n",
        "        opens = False\n",
    ),
    _mutant(
        "call lost what a member that nobody hears may have",
        _LOST,
        "    return all(claim is not None and _rules_out(claim, enders, cut)"
        " for claim in claims)\n",
        "    return all(claim is None or _rules_out(claim, enders, cut) for claim in claims)\n",
    ),
    _mutant(
        "call lost what a member claims",
        _LOST,
        "    return has_all and any(",
        "    return any(",
    ),
    _mutant(
        "let sessions wait for what is lost",
        _LOST,
        "    if not lost:\n",
        "    if True:\n",
    ),
    _mutant(
        "never end what comes to light late",
        _REPLICA,
        "        return bool(others) and origin in self.cut.entries and self._is_caught_up()\n",
        "        return False\n",
    ),
    # --- expiry
    _mutant(
        "show what has expired",
        _EXPIRY,
        "        return version.expires_us is not None and version.expires_us <= self.now_us\n",
        "        return False\n",
    ),
    _mutant(
        "let the expiry clock go back",
        _EXPIRY,
        "        self.now_us = max(self.now_us, wall_us)\n",
        "        self.now_us = wall_us\n",
    ),
    _mutant(
        "let each replica of a process have an expiry clock of its own",
        _NODE,
        "self._raised, self._expiry\n",
        "self._raised, ExpiryClock()\n",
    ),
    _mutant(
        "never remove what has expired",
        _UPKEEP,
        "        if due:\n",
        "        if False:\n",
    ),
    _mutant(
        "remove the siblings of what has expired",
        _UPKEEP,
        "replica.expiry.left(held))\n",
        "dict.fromkeys(held, ()))\n",
    ),
    _mutant(
        "count what expires in the digest",
        _VERSIONS,
        "    if expires_us is not None:\n        return 0\n",
        "",
    ),
    _mutant(
        "judge conditions by what has expired",
        _OPERATIONS,
        "for it in _visible(key, shown))",
        "for it in shown.versions(key))",
    ),
    _mutant(
        "have deletes expire",
        _OPERATIONS,
        "    return change if change.value is None else change._replace",
        "    return change._replace",
    ),
    _mutant(
        "touch what has expired",
        _OPERATIONS,
        "            versions = _visible(key, shown)\n            if not versions:\n",
        "            versions = shown.versions(key)\n            if not versions:\n",
    ),
    _mutant(
        "decode a batch without its expiries",
        _BATCHES,
        "value_bytes(rest[0]), expiry_us(rest[1]))",
        "value_bytes(rest[0]))",
    ),
    _mutant(
        "forget when a version expires on disk",
        _RECORDS,
        "        return pack(versions[0])\n",
        "        return pack(versions[0]._replace(expires_us=None))\n",
    ),
    _mutant(
        "leave in the list what was replaced",
        _STATE,
        "        for due in sorted(was_due ^ is_due):\n",
        "        for due in is_due - was_due:\n",
    ),
    _mutant(
        "leave in the list what a snapshot had replaced",
        _FOLD,
        "                settled += due_of(key, staged) - due_of(key, after)\n",
        "",
    ),
    _mutant(
        "keep the list of what expires of the table before",
        _MEMORY,
        "        families = (layout.TABLES[table], layout.DUES[table])\n",
        "        families = (layout.TABLES[table],)\n",
    ),
    # --- watches
    _mutant(
        "tell a parked watcher nothing",
        _WATCHES,
        "        if not self._parked or not delivered:\n",
        "        if True:\n",
    ),
    _mutant(
        "tell what the turn has brought before what the log has",
        _WATCHES,
        "        batches = [*batches, *delivered]\n",
        "        batches = [*delivered, *batches]\n",
    ),
    _mutant(
        "skip what the log still has",
        _WATCHES,
        "    if _reaches(advanced(position, batches, None), cut, delivered):\n",
        "    if True:\n",
    ),
    _mutant(
        "begin a batch anew in whose middle the watcher was",
        _WATCHES,
        "            if seq <= seen:\n",
        "            if seq <= seen - 1:\n",
    ),
    _mutant(
        "cut a write apart",
        _WATCHES,
        "            if events and is_full:\n",
        "            found = found[:1]\n            if False:\n",
    ),
    _mutant(
        "give a watcher the token of the turn though it has not seen all",
        _REPLICA,
        "(result,), ran=True, token=position))\n",
        "(result,), ran=True))\n",
    ),
    _mutant(
        "go on behind a write that did not fit",
        _WATCHES,
        "                entries[batch.origin] = rest.seq - 1\n",
        "                entries[batch.origin] = rest.seq\n",
    ),
    _mutant(
        "watch below the floor",
        _WATCHES,
        "    if any(position.get(origin, 0) < seq for origin, seq in floor.items()):\n",
        "    if False:\n",
    ),
    _mutant(
        "read a watcher's position without succession",
        _WATCHES,
        "    position = cut.succession.expanded(request.token)\n",
        "    position = dict(request.token)\n",
    ),
    _mutant(
        "tell watchers by origin, not by delivery",
        _WATCHES,
        "    page = page_of(batches, position, watch.prefix, limits)\n",
        "    batches = sorted(batches, key=lambda it: (it.origin, it.first))\n"
        "    page = page_of(batches, position, watch.prefix, limits)\n",
    ),
    _mutant(
        "forget watches at a renewal",
        _NODE,
        "        watches = self.replica.watches.waiting()\n",
        "        watches = []\n",
    ),
    _mutant(
        "let a watch wait beyond its deadline",
        _WATCHES,
        "        while (least := self._deadlines.least()) and least[0] <= steady_us:\n",
        "        while (least := self._deadlines.least()) and False:\n",
    ),
    _mutant(
        "tell of a key that is kvnode's own",
        _WATCHES,
        " and not change.key.startswith(RESERVED_PREFIX)\n",
        "\n",
    ),
    # --- write concerns
    _mutant(
        "count as synced what a member has delivered",
        _CONCERNS,
        "succession.value(claim.synced, self._origin)",
        "succession.value(claim.delivered, self._origin)",
    ),
    _mutant(
        "report what is delivered, synced or not",
        _REPLICA,
        "        due = self.reports.due(self._synced_of)\n",
        "        due = self.reports.due(lambda origin: self.cut.entries.get(origin, 0))\n",
    ),
    _mutant(
        "count a write on this node before it is synced",
        _REPLICA,
        "        synced[self.identity.name] = self._synced_of(self.identity.origin)\n",
        "        own = self.identity.origin\n"
        "        synced[self.identity.name] = self.cut.entries.get(own, 0)\n",
    ),
    _mutant(
        "report before the commit",
        _NODE,
        "            if effects.commit is not None:\n",
        "            me, dots = self.replica.identity, self.replica.reports\n"
        "            for dot in dots.due(self.replica._synced_of):\n"
        "                outbox.report(Report(me.name, me.instance, *dot))\n"
        "            if effects.commit is not None:\n",
    ),
    _mutant(
        "hold a reply back before its commit",
        _NODE,
        "            if effects.stage is not None:\n                self._put_aside",
        "            for reply in effects.replies:\n"
        "                if reply.concern is not None:\n"
        "                    self.replica.concerns.hold(reply)\n"
        "            if effects.stage is not None:\n                self._put_aside",
    ),
    _mutant(
        "count a member's report and its claim as two",
        _CONCERNS,
        "        reached = sorted(synced.values(), reverse=True)\n",
        "        reached = sorted([*synced.values(), *self._reported.values()], reverse=True)\n",
    ),
    _mutant(
        "count who is no member",
        _CONCERNS,
        "            if name in members\n",
        "",
    ),
    _mutant(
        "be content with one member less",
        _CONCERNS,
        "            last = reached[replicas - 1]\n",
        "            last = reached[max(0, replicas - 2)]\n",
    ),
    _mutant(
        "take reports by another process of the name",
        _CONCERNS,
        "        if claim is not None and claim.instance == report.instance:\n",
        "        if claim is not None:\n",
    ),
    _mutant(
        "never tell that a wait for replicas is in vain",
        _CONCERNS,
        "        while (least := self._deadlines.least()) and least[0] <= steady_us:\n",
        "        while False:\n",
    ),
    _mutant(
        "forget held replies when the replica is replaced",
        _NODE,
        "        self._abandon_concerns(reason, outbox)\n",
        "",
    ),
    _mutant(
        "forget held replies when the disk fails",
        _NODE,
        '        self._abandon_concerns(f"the node\'s disk failed: {error}", outbox)\n',
        "",
    ),
    _mutant(
        "refuse a write for want of room after it was made",
        _REPLICA,
        "            if refusal := self._refusal(request):\n",
        "            if refusal := self._refusal(request):\n"
        "                for operation in request.operations:\n"
        "                    run(operation, self, now)\n",
    ),
    _mutant(
        "hold back more replies than there is room for",
        _REPLICA,
        "        if awaits_replicas(request) and not self.concerns.has_room:\n",
        "        if False:\n",
    ),
)
