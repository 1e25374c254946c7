"""Random bits that do not come again when the machine goes back in time.

A virtual machine that is reverted to a live snapshot has the random state of its processes back,
and that of its kernel too, perhaps. Two futures of one snapshot must not give one name to two
things: to two incarnations, to two cuts that clients read, or to two snapshots that peers read. So
the time goes in, to the nanosecond.
"""

from __future__ import annotations

import secrets
import time
from hashlib import blake2b
from typing import Final

BITS_MAX: Final = 64
_SEED_BYTES: Final = 16
#: What a float holds.
_FLOAT_BITS: Final = 53


def fresh_bits(bits: int) -> int:
    """So many random bits."""
    assert 0 < bits <= BITS_MAX
    clocks = (time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.perf_counter_ns())
    seed = secrets.token_bytes(_SEED_BYTES) + repr(clocks).encode()
    mixed = int.from_bytes(blake2b(seed, digest_size=BITS_MAX // 8).digest(), "big")
    return mixed >> (BITS_MAX - bits)


def fresh_random() -> float:
    """A number from 0 to 1, as `random.random` gives."""
    return fresh_bits(_FLOAT_BITS) / (1 << _FLOAT_BITS)
