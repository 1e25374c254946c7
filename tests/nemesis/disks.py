"""A disk that fills up: a small tmpfs under a node's data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.nemesis.field import Field
from tests.nemesis.tools import run

#: Room for a run's data. Less than the store likes to reserve for its log, so that it finds
#: the disk full with one of the next commits, not only when the reserve is used up.
_DISK: Final = "size=48m"

_PIECE_BYTES: Final = 64 * 1024
_FILLER: Final = "filler"


@contextmanager
def small_disk(data: Path) -> Iterator[None]:
    """A small disk at a node's data directory, for the whole life of the node."""
    data.mkdir()
    run("mount", "-t", "tmpfs", "-o", _DISK, "tmpfs", data)
    try:
        yield
    finally:
        run("umount", "--lazy", data)


@contextmanager
def full_disk(field: Field, victim: str) -> Iterator[None]:
    """Something else takes all the room on a node's disk, and gives it back."""
    node = field.node(victim)
    failures = node.status()["storage"]["failures"]
    filler = node.data / _FILLER
    try:
        _fill(filler)
        yield
        field.toll["full_disk"] += node.status()["storage"]["failures"] - failures
    finally:
        filler.unlink(missing_ok=True)


def _fill(filler: Path) -> None:
    descriptor = os.open(filler, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        while True:
            os.write(descriptor, bytes(_PIECE_BYTES))
    except OSError:  # full, as was meant
        return
    finally:
        os.close(descriptor)
