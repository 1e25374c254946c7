"""Disks that fail: one that fills up, a small tmpfs under a node's data; and one whose fsync
fails, by a library that stands before the system's."""

from __future__ import annotations

import os
import threading
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
_REFILL_S: Final = 0.02


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
        fill(filler)
        yield
        field.toll["full_disk"] += node.status()["storage"]["failures"] - failures
    finally:
        filler.unlink(missing_ok=True)


@contextmanager
def kept_full(data: Path) -> Iterator[None]:
    """Something else takes all the room on a disk, also what becomes free meanwhile."""
    filler, done = data / _FILLER, threading.Event()

    def fill_again() -> None:
        while not done.wait(_REFILL_S):
            fill(filler)

    thread = threading.Thread(target=fill_again)
    fill(filler)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        filler.unlink()


def under_failing_fsync(directory: Path, number: int) -> tuple[list[str], Path]:
    """The command words that run a node whose fsync fails so while a file exists; that file."""
    library, switch = directory / "failing_fsync.so", directory / "fsync-fails"
    flags = ("-shared", "-fPIC", "-nostdlib", "-O1", "-Wall", "-Werror")
    run("gcc", *flags, "-o", library, Path(__file__).with_name("failing_fsync.c"))
    variables = {"LD_PRELOAD": library, "FSYNC_FAILS": switch, "FSYNC_ERRNO": number}
    return ["env", *(f"{key}={value}" for key, value in variables.items())], switch


def fill(filler: Path) -> None:
    """Let a file grow until nothing more fits."""
    descriptor = os.open(filler, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        while True:
            os.write(descriptor, bytes(_PIECE_BYTES))
    except OSError:  # full, as was meant
        return
    finally:
        os.close(descriptor)
