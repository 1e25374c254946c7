"""The disks of machines: each knows what it holds, as the oracle counts it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from kvnode.core.messages import Commit, Due, Saved
from kvnode.core.truncation import Logged
from kvnode.core.vector import Vector
from kvnode.core.versions import Versions
from kvnode.errors import StorageError
from kvnode.storage.layout import Puts
from kvnode.storage.memory import MemoryDisk, MemoryStore
from tests.simulation.oracle import Seen

if TYPE_CHECKING:
    from tests.simulation.machine import Machine

#: Where the oracle's own record of what a disk holds stands on that disk: it comes and goes
#: with the commits, and the node never sees it.
_ORACLE: Final = "oracle"


class SimulatedStore(MemoryStore):
    """Tells the machine of what is written before it is tried and when it went well."""

    def __init__(self, machine: Machine, *, read_only: bool, first_position: int) -> None:
        self._machine = machine
        if read_only or not machine.disk.full:
            machine.disk.recover()
        self._seen = seen_on(machine.disk)
        #: Whether what is being committed has a write of the node's own.
        self._joins = False
        super().__init__(machine.disk, read_only=read_only, first_position=first_position)

    def commit(self, commit: Commit, *, sync: bool) -> None:
        """See `Store.commit`."""
        others, self._seen = self._machine.committing(commit)
        self._joins = self._seen != others
        super().commit(commit, sync=sync)
        self._joins = False
        self._machine.committed(others, self._seen)

    def sweep(self, due: Sequence[Due], left: Mapping[bytes, Versions]) -> None:
        """See `Store.sweep`."""
        self._machine.sweeping()
        super().sweep(due, left)

    def drop_log(self, dropped: Sequence[Logged], floor: Vector) -> None:
        """See `Store.drop_log`."""
        self._machine.dropping(dropped)
        super().drop_log(dropped, floor)

    def stage(self, table: Mapping[bytes, Versions], settled: Sequence[Due] = ()) -> None:
        """See `Store.stage`."""
        self._machine.step()
        super().stage(table, settled)

    def switch(self, saved: Saved) -> None:
        """See `Store.switch`."""
        self._machine.step()
        self._machine.is_switching = True
        self._seen = self._machine.switching()
        super().switch(saved)
        self._machine.committed(self._seen, self._seen)

    def expect_in_place(self) -> None:
        """See `Store.expect_in_place`."""
        with self._failures_told():
            super().expect_in_place()

    def sync(self) -> None:
        """See `Store.sync`."""
        super().sync()
        self._machine.synced()

    def _write(self, puts: Puts, *, sync: bool) -> None:
        seen = self._seen.to_bytes((self._seen.bit_length() + 7) // 8, "big")
        joined = [(_ORACLE, b"joined", b"")] if self._joins else []
        with self._failures_told():
            super()._write([*puts, (_ORACLE, b"seen", seen), *joined], sync=sync)
        if sync:
            self._machine.synced()

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            yield
        except StorageError:
            self._machine.failed()
            raise


def has_joined_on(disk: MemoryDisk) -> bool:
    """Whether a node has made a write of its own on this disk, as the oracle noted."""
    return b"joined" in disk.families[_ORACLE]


def seen_on(disk: MemoryDisk) -> Seen:
    """What a disk holds, as the oracle wrote it there."""
    return int.from_bytes(disk.families[_ORACLE].get(b"seen", b""), "big")


def new_disk() -> MemoryDisk:
    disk = MemoryDisk()
    disk.families[_ORACLE] = {}
    return disk
