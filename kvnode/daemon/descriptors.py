"""File descriptors: each connection takes one, and each file of the store."""

from __future__ import annotations

import os
import resource
from typing import Final

from kvnode.daemon.logs import LOGGER, Complaints
from kvnode.errors import ConfigError

#: What a node takes when it is idle is some forty; with fewer than this there are hardly clients.
LIMIT_MIN: Final = 256

#: Below it a node warns at its start: a few hundred clients would be all.
LIMIT_LOW: Final = 1024

#: With fewer left the node tells: RocksDB opens a dozen files when it writes out its memory, and
#: some thirty when the store is opened anew.
LEFT_FEW: Final = 64

#: With so many left again all is well; or it would tell anew of each client.
LEFT_ENOUGH: Final = 2 * LEFT_FEW

#: Where the kernel sets no limit.
_UNLIMITED: Final = 1 << 20


def limit() -> int:
    """How many descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft


def raise_limit() -> None:
    """Have as many descriptors as this process may. Raises ConfigError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    message = (
        f"this process may have {limit()} file descriptors, and each client and each file of the "
        f"store takes one: raise that (ulimit -Hn, or LimitNOFILE in systemd)"
    )
    if limit() < LIMIT_MIN:
        raise ConfigError(f"{message} to {LIMIT_LOW} or more")
    if limit() < LIMIT_LOW:
        LOGGER.warning("%s", message)


class Descriptors:
    """Whether enough of them are left."""

    def __init__(self, limit: int, complaints: Complaints) -> None:
        self.limit = limit
        self.are_few = False
        self._complaints = complaints
        self._ran_out = False

    def look(self) -> None:
        """Look how many are left: numbers are given out from the lowest one that is free."""
        try:
            number = os.dup(0)
            os.close(number)
        except OSError:
            number = self.limit
            self._tell()
        self.are_few = self.limit - number < (LEFT_ENOUGH if self.are_few else LEFT_FEW)
        self._ran_out &= self.are_few

    def _tell(self) -> None:
        """Once, until there are enough again: how many connect in vain nobody knows. The kernel
        lets them wait, and libzmq tries to take each of them many thousand times a second."""
        if not self._ran_out:
            self._ran_out = True
            what = f"all {self.limit} are in use; who connects now waits until one is free"
            self._complaints.add("no_descriptors_left", what)
