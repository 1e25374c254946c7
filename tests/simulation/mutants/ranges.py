"""Scans, watches, and what expires."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutants.mutant import mutant

_OVERLAY: Final = "kvnode/core/overlay.py"
_SCANS: Final = "kvnode/core/scans.py"
_REPLICA: Final = "kvnode/core/replica.py"
_STATE: Final = "kvnode/core/state.py"
_VERSIONS: Final = "kvnode/core/versions.py"
_BATCHES: Final = "kvnode/codec/batches.py"
_RECORDS: Final = "kvnode/codec/records.py"
_NODE: Final = "kvnode/daemon/node.py"
_CLOCK: Final = "kvnode/core/clock.py"
_EXPIRY: Final = "kvnode/core/expiry.py"
_OPERATIONS: Final = "kvnode/core/operations.py"
_UPKEEP: Final = "kvnode/daemon/upkeep.py"
_WATCHES: Final = "kvnode/core/watches.py"
_FOLD: Final = "kvnode/daemon/fold.py"
_MEMORY: Final = "kvnode/storage/memory.py"

MUTANTS: Final = (
    # --- scans
    mutant(
        "read further pages from the table as it is now",
        _SCANS,
        "        page = self._read(cut, scan)\n"
        "        if page.next is None:\n            self.cuts",
        "        cut = cut._replace(view=Overlay(self._table.table_view(), {}))\n"
        "        page = self._read(cut, scan)\n"
        "        if page.next is None:\n            self.cuts",
    ),
    mutant(
        "do not see in a scan what the turn has changed",
        _SCANS,
        "        cut = TableCut(Overlay(self._table.table_view(), changed), expiry.stopped())\n",
        "        cut = TableCut(Overlay(self._table.table_view(), {}), expiry.stopped())\n",
    ),
    mutant(
        "let a cut see what its turn changes later",
        _OVERLAY,
        "        self._changes = dict(changes)\n",
        "        self._changes = changes\n",
    ),
    mutant(
        "open a cut without what its turn has changed",
        _SCANS,
        "        number = self.cuts.keep(cut, self._turned_us)\n",
        "        cut = TableCut(Overlay(self._table.table_view(), {}), expiry.stopped())\n"
        "        number = self.cuts.keep(cut, self._turned_us)\n",
    ),
    mutant(
        "let a cut move with what is committed",
        _MEMORY,
        "        self._records: dict[bytes, bytes] | None = dict(table)\n",
        "        self._records: dict[bytes, bytes] | None = table\n",
    ),
    mutant(
        "show kvnode's own keys in a scan",
        _SCANS,
        "    for first, last in (above, below) if scan.reverse else (below, above):\n",
        "    for first, last in ((start, end),):\n",
    ),
    mutant(
        "show a deleted key in a scan",
        _SCANS,
        "        if versions := cut.expiry.visible(held):  # what",
        "        if (versions := cut.expiry.visible(held)) or scan.shows is not Shows.ENTRIES:  #",
    ),
    mutant(
        "show in a scan what has expired",
        _SCANS,
        "        if versions := cut.expiry.visible(held):",
        "        if versions := held:",
    ),
    mutant(
        "hide in a cut what expires after its first page",
        "kvnode/core/expiry.py",
        "        clock = ExpiryClock()\n        clock.now_us = self.now_us\n        return clock\n",
        "        return self\n",
    ),
    mutant(
        "skip a key between two pages",
        _SCANS,
        "            goes_on_at = last if scan.reverse else key\n",
        '            goes_on_at = last if scan.reverse else key + b"\\0"\n',
    ),
    mutant(
        "repeat a key in the next page in reverse",
        _SCANS,
        "            goes_on_at = last if scan.reverse else key\n",
        '            goes_on_at = last + b"\\0" if scan.reverse else key\n',
    ),
    mutant(
        "merge a scan in reverse as if it went forward",
        _OVERLAY,
        "(key > record[0] if reverse else key < record[0])",
        "key < record[0]",
    ),
    mutant(
        "show what a failed commit left in a scan",
        "kvnode/storage/frozen.py",
        "        return Overlay(self._store.table_view(), self._was.table)\n",
        "        return self._store.table_view()\n",
    ),
    mutant(
        "let go of a cut that is being read",
        "kvnode/core/cuts.py",
        "        return number if steady_us - quietest.read_us >= CUT_QUIET_US else None\n",
        "        return number\n",
    ),
    mutant(
        "keep more cuts than the limit",
        "kvnode/core/cuts.py",
        "        return fits and len(self._open) < self._limits.cuts_max\n",
        "        return fits\n",
    ),
    # --- watches
    mutant(
        "tell a parked watcher nothing",
        _WATCHES,
        "        if not self._parked or not delivered:\n",
        "        if True:\n",
    ),
    mutant(
        "tell what the turn has brought before what the log has",
        _WATCHES,
        "        batches = [*batches, *delivered]\n",
        "        batches = [*delivered, *batches]\n",
    ),
    mutant(
        "skip what the log still has",
        _WATCHES,
        "    if _reaches(advanced(position, batches, None), cut, delivered):\n",
        "    if True:\n",
    ),
    mutant(
        "begin a batch anew in whose middle the watcher was",
        _WATCHES,
        "            if seq <= seen:\n",
        "            if seq <= seen - 1:\n",
    ),
    mutant(
        "cut a write apart",
        _WATCHES,
        "            if events and is_full:\n",
        "            found = found[:1]\n            if False:\n",
    ),
    mutant(
        "give a watcher the token of the turn though it has not seen all",
        _REPLICA,
        "(result,), ran=True, token=position))\n",
        "(result,), ran=True))\n",
    ),
    mutant(
        "go on after a write that did not fit",
        _WATCHES,
        "                entries[batch.origin] = max(rest.seq - 1,",
        "                entries[batch.origin] = max(rest.seq,",
    ),
    mutant(
        "watch below the floor",
        _WATCHES,
        "    if not reading.covers_all(floor):\n",
        "    if False:\n",
    ),
    mutant(
        "read a watcher's position without succession",
        _WATCHES,
        "    seen |= {origin: first - 1 for origin, first in lacking.items()}\n",
        "    seen = {}\n",
    ),
    mutant(
        "tell a watcher again what came in the turn and its position implies",
        _WATCHES,
        "    seen = {batch.origin: reading.value(batch.origin) for batch in delivered}\n",
        "    seen: dict[str, int] = {}\n",
    ),
    mutant(
        "tell watchers by origin, not by delivery",
        _WATCHES,
        "    page = page_of(batches, position, watch.prefix, limits)\n",
        "    batches = sorted(batches, key=lambda it: (it.origin, it.first))\n"
        "    page = page_of(batches, position, watch.prefix, limits)\n",
    ),
    mutant(
        "forget watches at a renewal",
        _NODE,
        "        watches = self.replica.watches.waiting()\n",
        "        watches = []\n",
    ),
    mutant(
        "let a watch wait beyond its deadline",
        _WATCHES,
        "        while (least := self._deadlines.least()) and least[0] <= steady_us:\n",
        "        while (least := self._deadlines.least()) and False:\n",
    ),
    mutant(
        "forget a watch that is cancelled",
        _WATCHES,
        "            self._deadlines.push(arrival, 0)\n",
        "            self._unparked(arrival)\n",
    ),
    mutant(
        "tell of a key that is kvnode's own",
        _WATCHES,
        " and not change.key.startswith(RESERVED_PREFIX)\n",
        "\n",
    ),
    # --- expiry
    mutant(
        "show what has expired",
        _EXPIRY,
        "        return version.expires_us is not None and version.expires_us <= self.now_us\n",
        "        return False\n",
    ),
    mutant(
        "let the expiry clock go back",
        _EXPIRY,
        "        self.now_us = max(self.now_us, wall_us)\n",
        "        self.now_us = wall_us\n",
    ),
    mutant(
        "believe each jump of a clock",
        _CLOCK,
        " or abs(offset_us - self._offset_us) <= CLOCK_STEP_US_MAX:",
        " or True:",
    ),
    mutant(
        "believe no jump of a clock",
        _CLOCK,
        "        elif steady_us - self._jumped[1] >= held_us:\n",
        "        elif False:\n",
    ),
    mutant(
        "let each replica of a process have an expiry clock of its own",
        _NODE,
        "self._raised, self._expiry\n",
        "self._raised, ExpiryClock()\n",
    ),
    mutant(
        "never remove what has expired",
        _UPKEEP,
        "        if due:\n",
        "        if False:\n",
    ),
    mutant(
        "remove the siblings of what has expired",
        _UPKEEP,
        "replica.expiry.left(held))\n",
        "dict.fromkeys(held, ()))\n",
    ),
    mutant(
        "count what expires in the digest",
        _VERSIONS,
        "    if expires_us is not None:\n        return 0\n",
        "",
    ),
    mutant(
        "judge conditions by what has expired",
        _OPERATIONS,
        "for it in _visible(key, shown))",
        "for it in shown.versions(key))",
    ),
    mutant(
        "have deletes expire",
        _OPERATIONS,
        "    return change if change.value is None else change._replace",
        "    return change._replace",
    ),
    mutant(
        "touch what has expired",
        _OPERATIONS,
        "            versions = _visible(key, shown)\n            if not versions:\n",
        "            versions = shown.versions(key)\n            if not versions:\n",
    ),
    mutant(
        "decode a batch without its expiries",
        _BATCHES,
        "value_bytes(rest[0]), expiry_us(rest[1]))",
        "value_bytes(rest[0]))",
    ),
    mutant(
        "forget when a version expires on disk",
        _RECORDS,
        "        return pack(versions[0])\n",
        "        return pack(versions[0]._replace(expires_us=None))\n",
    ),
    mutant(
        "leave in the list what was replaced",
        _STATE,
        "        for due in sorted(was_due ^ is_due):\n",
        "        for due in is_due - was_due:\n",
    ),
    mutant(
        "leave in the list what a snapshot had replaced",
        _FOLD,
        "                settled += due_of(key, staged) - due_of(key, after)\n",
        "",
    ),
    mutant(
        "keep the list of what expires of the table before",
        _MEMORY,
        "        families = (layout.TABLES[table], layout.DUES[table])\n",
        "        families = (layout.TABLES[table],)\n",
    ),
)
