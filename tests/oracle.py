"""A scenario that judges what happens in it, and trusts no vector for that."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from kvnode.codec.batches import decode_batch
from kvnode.core.batch import Batch, Write
from kvnode.core.requests import Request
from kvnode.core.results import Entry, Reply, Written
from kvnode.core.vector import Dot, Vector, name_of
from kvnode.storage.layout import decode_saved, decode_table_record
from tests.cluster import Machine
from tests.narrator import Asked
from tests.scenario import Scenario


class Judged(Scenario):
    """A scenario with an oracle: it knows of each write the true set of writes before it.

    Sets of writes are integers, one bit for each write; vectors are not trusted here.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = Random(seed).random
        self.bit: dict[Dot, int] = {}
        self.past: dict[Dot, int] = {}
        self.writes: dict[Dot, Write] = {}
        #: Each batch as its author committed it, by each of its dots.
        self.encoded: dict[Dot, bytes] = {}
        #: What a machine's node shows now, and the greatest stamp in it.
        self.shown: dict[str, int] = {}
        self.newest_us: dict[str, int] = {}
        #: What each session has seen, now and when it asked.
        self.seen: dict[str, int] = {}
        self.seen_before: dict[Asked, int] = {}
        self.deps_sent: dict[str, dict[str, int]] = {}

    # --- judging

    def on_start(self, machine: Machine, origin: str) -> None:
        super().on_start(machine, origin)
        if machine.only_reads:  # a failed commit that is in the log does not count yet
            return
        self.shown[machine.name] = self.newest_us[machine.name] = 0
        for _, encoded in sorted(machine.disk.families["log"].items()):
            self.show(machine.name, decode_batch(encoded))

    def on_commit(self, machine: Machine, batches: Sequence[Batch]) -> None:
        super().on_commit(machine, batches)
        for batch in batches:
            self.show(machine.name, batch)

    def show(self, name: str, batch: Batch) -> None:
        """From now on a node shows this batch: its whole past must be shown already."""
        if Dot(batch.origin, batch.first) not in self.past:
            assert name_of(batch.origin) == name, "shown elsewhere before its author saved it"
            assert batch.stamp_us > self.newest_us[name], "a later write has no later stamp"
            self.check_deps(batch)
        self.newest_us[name] = max(self.newest_us[name], batch.stamp_us)
        for seq, write in enumerate(batch.writes, batch.first):
            dot = Dot(batch.origin, seq)
            if dot not in self.past:
                self.bit[dot] = 1 << len(self.bit)
                self.past[dot] = self.shown[name]
                self.writes[dot] = write
                self.encoded[dot] = batch.encoded
            assert self.encoded[dot] == batch.encoded, f"{self.dot(*dot)} names two writes"
            assert not self.shown[name] & self.bit[dot], f"{name} shows {self.dot(*dot)} twice"
            assert not self.past[dot] & ~self.shown[name], f"{name} shows {self.dot(*dot)} early"
            self.shown[name] |= self.bit[dot]

    def check_deps(self, batch: Batch) -> None:
        """After an origin's first batch, only entries that have changed are sent."""
        sent = self.deps_sent.setdefault(batch.origin, {})
        for origin, seq in batch.deps.items():
            assert seq > sent.get(origin, 0), "an entry that was sent already"
        sent.update(batch.deps)

    def on_publish(self, machine: Machine, batch: Batch) -> None:
        super().on_publish(machine, batch)
        assert self.bit[Dot(batch.origin, batch.last)] & self.shown[machine.name], "not saved"

    def on_reply(self, machine: Machine, reply: Reply, token: Vector) -> None:
        shown = self.shown[machine.name]
        for result in reply.results:
            if isinstance(result, Written):
                assert self.bit[result.dot] & shown, "answered, and not saved"
            elif isinstance(result, Entry):
                dots = [Dot(it.origin, it.seq) for it in result.versions]
                assert all(self.bit[dot] & shown for dot in dots), "shown, and not saved"
        asked = reply.reply_to
        assert isinstance(asked, Asked)
        if asked.session and reply.ran:
            assert not self.seen_before[asked] & ~shown, f"{asked.session} went back in time"
            self.seen[asked.session] = self.seen.get(asked.session, 0) | shown
        super().on_reply(machine, reply, token)

    def asking(self, verb: str, words: Sequence[str]) -> Request:
        """A client's request, as its node gets it."""
        request = super().asking(verb, words)
        asked = request.reply_to
        assert isinstance(asked, Asked)
        self.seen_before[asked] = self.seen.get(asked.session or "", 0)
        return request

    def check_tables(self) -> None:
        """Every node holds exactly the puts that no other write that it shows has seen."""
        for name, machine in self.machines.items():
            shown = {dot for dot in self.past if self.bit[dot] & self.shown[name]}
            expected: dict[bytes, set[Dot]] = {}
            for dot in shown:
                for key, value, _ in self.writes[dot]:
                    later = (it for it in shown if self.past[it] & self.bit[dot])
                    replaced = any(change.key == key for it in later for change in self.writes[it])
                    if value is not None and not replaced:
                        expected.setdefault(key, set()).add(dot)
            table = {}
            for key, record in machine.disk.table.items():
                versions = decode_table_record(record)
                assert list(versions) == sorted(versions, reverse=True)
                table[key] = {Dot(version.origin, version.seq) for version in versions}
                for it in versions:
                    written = {key: value for key, value, _ in self.writes[Dot(it.origin, it.seq)]}
                    assert written[key] == it.value
            assert table == expected, f"{name}'s table"

    def check_rows(self) -> None:
        """What two nodes know of an origin is equal where they have as much of it."""
        known: dict[Dot, object] = {}
        for machine in self.machines.values():
            for origin, state in decode_saved(
                machine.disk.families["meta"].items()
            ).origins.items():
                assert known.setdefault(Dot(origin, state.delivered), state) == state

    def check_equal(self) -> None:
        """All nodes show the same, and their vectors, tables, digests and rows say so."""
        self.told = []
        self.do_compare()
        assert len(self.told) == 1, self.told
        assert len(set(self.shown.values())) == 1
        tables = [machine.disk.table for machine in self.machines.values()]
        assert all(table == tables[0] for table in tables)
