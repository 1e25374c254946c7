"""Clocks that are wrong: daemons under libfaketime, which reads the shift from a file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.nemesis.field import Field
from tests.nemesis.tools import fake_time_library

HOUR_S: Final = 3_600

#: The library leaves files in /dev/shm when its process is killed. `ip netns exec` gives its
#: program mounts of its own, so this one is seen by the node alone, and goes with it.
_OWN_SHARED_MEMORY: Final = (
    "sh",
    "-c",
    'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$@"',
    "sh",
)


def shiftable(directory: Path, name: str) -> list[str]:
    """The command words that run a node under a clock that can be shifted."""
    library = fake_time_library()
    assert library is not None
    shift(directory, name, 0)
    variables = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(_file(directory, name)),
        "FAKETIME_NO_CACHE": "1",
        # Timers go by the steady clock, which nobody sets. Versions differ in the name.
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return [*_OWN_SHARED_MEMORY, "env", *(f"{key}={value}" for key, value in variables.items())]


@contextmanager
def clocks_apart(field: Field, ahead: str, behind: str) -> Iterator[None]:
    """One node's clock jumps an hour ahead, another's an hour back; then both are set right. Who
    runs on tells of it, and who starts meanwhile goes by it."""
    shift(field.directory, ahead, HOUR_S)
    shift(field.directory, behind, -HOUR_S)
    try:
        yield
        status = field.node(ahead).status()
        has_started = status["clock_us"] / 1_000_000 > time.time() + HOUR_S / 2
        field.toll["clocks_apart"] += has_started or any("clock" in it for it in status["alarms"])
    finally:
        shift(field.directory, ahead, 0)
        shift(field.directory, behind, 0)


def shift(directory: Path, name: str, seconds: int) -> None:
    """Set a node's clock so much wrong. The file is replaced whole: it may be read at any time."""
    partial = directory / f"{name}.clock.partial"
    partial.write_text(f"{seconds:+d}s\n")
    partial.replace(_file(directory, name))


def _file(directory: Path, name: str) -> Path:
    return directory / f"{name}.clock"
