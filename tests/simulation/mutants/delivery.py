"""Delivery, merging, bytes, clocks and vectors."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutants.mutant import Edit, Mutant, mutant

_AUTHOR: Final = "kvnode/core/author.py"
_HOLDBACK: Final = "kvnode/core/holdback.py"
_LINEAGES: Final = "kvnode/core/lineages.py"
_REPLICA: Final = "kvnode/core/replica.py"
_STATE: Final = "kvnode/core/state.py"
_SUCCESSION: Final = "kvnode/core/succession.py"
_VECTOR: Final = "kvnode/core/vector.py"
_VERSIONS: Final = "kvnode/core/versions.py"
_BATCHES: Final = "kvnode/codec/batches.py"
_RECORDS: Final = "kvnode/codec/records.py"
_LAYOUT: Final = "kvnode/storage/layout.py"

MUTANTS: Final = (
    # --- delivery
    mutant(
        "deliver without checking deps",
        _HOLDBACK,
        "        needs = item.deps\n",
        "        needs = {}\n",
    ),
    mutant(
        "forget the origin's own gap",
        _HOLDBACK,
        "        if delivered.get(item.origin, 0) < item.first - 1:\n",
        "        if False:\n",
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
                "            if batch.last <= self.cut.entries.get(batch.origin, 0):\n",
                "            if False:\n",
            ),
            Edit(_SUCCESSION, "        assert seq > self.entries.get(origin, 0)\n", ""),
        ),
    ),
    mutant(
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
    mutant(
        "send too few deps changes",
        _AUTHOR,
        "            self._unsent[origin] = None\n",
        "            self._unsent = self._unsent or {origin: None}\n",
    ),
    mutant(
        "forget deps changes with the first batch of a turn",
        _AUTHOR,
        "            deps = {origin: row[origin] for origin in self._unsent if origin in row}\n",
        "            deps = {}\n",
    ),
    # --- merging
    mutant(
        "judge a batch's later writes by its first row",
        _VERSIONS,
        "        return version.seq < own.seq\n",
        "        return succession.covers(row, version.origin, version.seq)\n",
    ),
    mutant(
        "keep only the latest deps as a row",
        _STATE,
        "        row = {**before, **batch.deps, batch.origin: batch.first - 1}\n",
        "        row = {**batch.deps, batch.origin: batch.first - 1}\n",
    ),
    mutant(
        "replace what was not seen",
        _VERSIONS,
        "    return succession.covers(row, version.origin, version.seq)\n",
        "    return True\n",
    ),
    mutant(
        "pick the winner by arrival",
        _VERSIONS,
        "        kept.sort(reverse=True)\n",
        "        kept.insert(0, kept.pop())\n",
    ),
    mutant(
        "resurrect a deleted key at a restart",
        _LAYOUT,
        "    puts = _encode_versions(commit.table, live)\n",
        "    puts = _encode_versions({k: v for k, v in commit.table.items() if v}, live)\n",
    ),
    mutant(
        "never subtract from the digest",
        _VERSIONS,
        "            change -= fingerprint(key, version)\n",
        "            change -= 0\n",
    ),
    # --- bytes
    mutant(
        "decode a batch without its deps",
        _BATCHES,
        "    return Batch(origin, first, deps, stamp_us, writes, encoded, previous, deps_checks)\n",
        "    return Batch(origin, first, {}, stamp_us, writes, encoded, previous, deps_checks)\n",
    ),
    mutant(
        "forget siblings on disk",
        _RECORDS,
        "    if len(versions) == 1:\n",
        "    if versions:\n",
    ),
    mutant(
        "answer with an older token",
        "kvnode/codec/token.py",
        "    return pack([cluster, dict(seen)])\n",
        "    return pack([cluster, {o: s - 1 for o, s in seen.items() if s > 1}])\n",
    ),
    # --- clocks and vectors
    mutant(
        "do not observe delivered stamps",
        _STATE,
        "        self.clock.observe(batch.stamp_us)\n",
        "",
    ),
    mutant(
        "forget the clock at a restart",
        _STATE,
        "        self.clock = HybridLogicalClock(saved.clock_us)\n",
        "        self.clock = HybridLogicalClock(0)\n",
    ),
    mutant(
        "keep one incarnation for ever",
        _VECTOR,
        "{_digits(created_s, _CREATED_DIGITS)}{_digits(random_bits, _RANDOM_DIGITS)}",
        "{_digits(0, _CREATED_DIGITS)}{_digits(0, _RANDOM_DIGITS)}",
    ),
    mutant(
        "read vectors without succession",
        _SUCCESSION,
        "        return origin in self._ended_by and self.reading(vector).covers(origin, seq)\n",
        "        return False\n",
    ),
    mutant(
        "take incarnations that ran beside each other for one after the other",
        _LINEAGES,
        "        return self.gaps is None or not _has(self.gaps, other.number)\n",
        "        return True\n",
    ),
    mutant(
        "count a lineage's gaps from one place too low",
        _LINEAGES,
        "            those = _with(place.gaps, place.number + 1, self.length - 1)\n",
        "            those = _with(place.gaps, place.number, self.length - 1)\n",
    ),
    mutant(
        "know only the first that ends an incarnation",
        _SUCCESSION,
        "            self._ended_by.setdefault(ended, {})[origin] = seq\n",
        "            self._ended_by.setdefault(ended, {origin: seq})\n",
    ),
    mutant(
        "take every vector to have the latest incarnations",
        _SUCCESSION,
        "                if latest in self.vector and its_place.comes_after(place):\n",
        "                if its_place.comes_after(place):\n",
    ),
    mutant(
        "go on beyond an end as if nothing had been seen before",
        _STATE,
        "            known = self._table.origin_state(origin)\n",
        "            known = self._table.origin_state(origin)._replace(row={})\n",
    ),
    mutant(
        "read an own next seq without value",
        _AUTHOR,
        "        first = self._cut.entries.get(self.origin, 0) + 1\n",
        "        first = self._cut.heads.get(self.origin, 0) + 1\n",
    ),
    mutant(
        "forget ends at a restart",
        _SUCCESSION,
        "            cut.succession.add(origin, ended)\n",
        "            pass\n",
    ),
    mutant(
        "leave out entries that nothing implies",
        _SUCCESSION,
        "            if self.entries[ended] == last:\n",
        "            if True:\n",
    ),
)
