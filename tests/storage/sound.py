"""A sound data directory with a bit of everything in it, and a hand in its store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgpack
from rocksdict import Options, Rdict

from kvnode.codec.client import Operation, delete, put
from kvnode.codec.packing import pack
from kvnode.core.messages import Inputs
from kvnode.storage import layout
from kvnode.storage.directory import DataDirectory
from kvnode.storage.memory import MemoryDisk
from kvnode.storage.store import Record
from tests.cluster import Cluster, Machine, request


class Families:
    """A store's families by name, with nothing between."""

    def __init__(self, directory: Path) -> None:
        families = {name: Options(raw_mode=True) for name in layout.FAMILIES}
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.create_missing_column_families(True)
        self._db = Rdict(str(directory), options, column_families=families)
        self._families = {name: self._db.get_column_family(name) for name in families}

    def __getitem__(self, family: str) -> Rdict:
        return self._families[family]

    def records(self, family: str) -> list[Record]:
        """All that stands there, in order."""
        return list(self._families[family].items())

    def close(self) -> None:
        """Let go of it."""
        for family in (*self._families.values(), self._db):
            family.close()


@contextmanager
def families_of(directory: Path) -> Iterator[Families]:
    """The store of a data directory, to look into or to damage."""
    families = Families(directory / "store")
    try:
        yield families
    finally:
        families.close()


def sound_disk() -> MemoryDisk:
    """X's disk: siblings, a deleted key, another's writes, an ended incarnation, a floor, a key
    that will expire.

    The log has X:1 (dropped), X:2, Y:1, X:3, X':1, Y:2-3, X':2-3.
    """
    cluster = Cluster()
    cluster.add("X")
    cluster.add("Y")
    x, y = cluster.machines.values()
    _ask(x, put(b"a", b"1"))
    _ask(x, put(b"b", b"1"))
    _ask(y, put(b"a", b"2"))
    _exchange(cluster)
    _ask(x, put(b"c", b"1"))
    x.start()
    _ask(x, delete(b"b"))
    _exchange(cluster)
    _ask(y, put(b"d", b"2"), put(b"e", b"2"))
    _exchange(cluster)
    _ask(x, put(b"f", b"1"), put(b"g", b"1", 1000))
    store = x.node._store
    assert store is not None
    head = store.log_head(1, 1)
    store.drop_log(head, {batch.origin: batch.last for batch in head})
    return x.disk


def sound_directory(path: Path) -> Path:
    """A data directory with these records on a real disk."""
    directory = DataDirectory(path, name="X", cluster="c")
    families = Families(directory.store)
    for family, records in sound_disk().families.items():
        for key, record in records.items():
            families[family][key] = record
    families.close()
    directory.close()
    return path


def by_dot(families: Families) -> dict[tuple[str, int], bytes]:
    """Log keys by the name and last seq of the batch; X' is X's later incarnation."""
    names: dict[str, str] = {}
    keys = {}
    for key, encoded in families.records("log"):
        _, origin, first, *_, writes = msgpack.unpackb(encoded)
        name = names.setdefault(origin, origin[0] if origin[0] not in names.values() else "X'")
        keys[name, first + len(writes) - 1] = key
    return keys


def renumber_without(families: Families, removed: bytes) -> None:
    """The log as if this batch had never been in it."""
    log = families.records("log")
    size_bytes = 0
    at = 1
    for key, encoded in log:
        del families["log"][key]
        if key == removed:
            del families["index"][key[8:]]
            continue
        moved = at.to_bytes(8, "big") + key[8:]
        families["log"][moved] = encoded
        families["index"][key[8:]] = moved
        size_bytes += len(encoded)
        at += 1
    set_state(families, 3, size_bytes)


def set_state(families: Families, at: int, value: object) -> None:
    state = msgpack.unpackb(families["meta"][b"state"])
    state[at] = value
    families["meta"][b"state"] = pack(state)


def _ask(machine: Machine, *operations: Operation) -> None:
    machine.cluster.now_us += 1000
    asked = request(None, None, 0, list(operations), machine.cluster.now_us)
    machine.turn(Inputs(requests=[asked]))


def _exchange(cluster: Cluster) -> None:
    machines: Sequence[Machine] = list(cluster.machines.values())
    for machine in machines:
        encoded, machine.inbox = machine.inbox, []
        cluster.deliver(machine, encoded)
