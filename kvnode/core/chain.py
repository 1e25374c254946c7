"""Chains: which of two histories of an origin a batch goes on.

A machine that goes back in time gives one dot to two writes. From then on its origin has two
*branches*, and numbers alone don't tell them apart. So each batch carries the *chain* of its
origin's batch before it, a digest of that one's bytes, which hold the chain before that in turn:
equal chains mean equal histories. Of each origin that it depends on a batch tells a *check*, the
first bytes of the chain there, in the order of its deps.

A chain may be unknown: of what was delivered before chains were kept, or ended long ago. What is
unknown contradicts nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Final

from kvnode.core.vector import Dot, Vector

#: Enough that two branches of one origin never have one chain by accident: there are few of them.
CHAIN_BYTES: Final = 8
#: Each entry of a heartbeat's vector, and each dep of a batch, costs these. They are compared with
#: one chain at a time, and miss one difference in four thousand million.
CHECK_BYTES: Final = 4
#: Of what is not known, or is not there.
NO_CHAIN: Final = b""
#: Of a vector of which no chain is known.
NO_CHECKS: Final = b""
#: Own batches whose chains are remembered. Others name what came a moment ago; this many are made
#: in a second or more, and take a fifth of a MiB.
OWN_CHAINS_MAX: Final = 1024

_UNKNOWN_CHECK: Final = bytes(CHECK_BYTES)

#: The chain of an origin at what is delivered of it.
ChainOf = Callable[[str], bytes]


def chained(encoded: bytes) -> bytes:
    """The chain of an origin after the batch with these bytes."""
    return blake2b(encoded, digest_size=CHAIN_BYTES).digest()


def chain_of_ends(ends: Mapping[str, int], chain_of: ChainOf) -> bytes:
    """What the first batch of an incarnation goes on from: the chain of the one that it ends, or
    one made of all of theirs. All are delivered just as far as they are ended."""
    chains = [chain_of(origin) for origin in sorted(ends)]
    if not chains or NO_CHAIN in chains:
        return NO_CHAIN
    return chains[0] if len(chains) == 1 else chained(b"".join(chains))


def differ(one: bytes, other: bytes) -> bool:
    """Whether two chains, or two checks, are surely not the same."""
    return bool(one and other) and one != other


def are_same(check: bytes, chain: bytes) -> bool:
    """Whether a check is surely that of a chain."""
    return bool(check and chain) and check == check_of(chain)


def check_of(chain: bytes) -> bytes:
    """What is told of a chain where there are many."""
    return chain[:CHECK_BYTES]


def told_check_of(chain: bytes) -> bytes:
    """The same as it travels: zeros for what is unknown."""
    return check_of(chain) or _UNKNOWN_CHECK


def checks_of(vector: Vector, chain_of: ChainOf) -> bytes:
    """The checks of a vector's entries, in its order; zeros for what is unknown."""
    return b"".join([told_check_of(chain_of(origin)) for origin in vector])


def unknown_checks(vector: Vector) -> bytes:
    """The checks of a vector of which nothing is known, as they travel."""
    return bytes(CHECK_BYTES * len(vector))


def checks_differ(one: bytes, other: bytes) -> bool:
    """Whether two vectors with the same entries, in one order, are surely not of one history."""
    for at in range(0, min(len(one), len(other)), CHECK_BYTES):
        mine, theirs = one[at : at + CHECK_BYTES], other[at : at + CHECK_BYTES]
        if _UNKNOWN_CHECK not in (mine, theirs) and mine != theirs:
            return True
    return False


def check_in(vector: Vector, checks: bytes, origin: str) -> bytes:
    """What these checks of a vector tell of an origin; none if it is unknown or not there."""
    for at, named in enumerate(vector):
        if named == origin:
            check = checks[CHECK_BYTES * at : CHECK_BYTES * (at + 1)]
            return NO_CHAIN if check == _UNKNOWN_CHECK else check
    return NO_CHAIN


class OwnChains:
    """The chains of a node's own latest batches, by the last write of each."""

    def __init__(self) -> None:
        self._chains: OrderedDict[Dot, bytes] = OrderedDict()

    def made(self, last: Dot, chain: bytes) -> None:
        """A batch was made that ends there, and this is the chain since."""
        self._chains[last] = chain
        if len(self._chains) > OWN_CHAINS_MAX:
            self._chains.popitem(last=False)

    def at(self, last: Dot) -> bytes:
        """The chain at the end of a batch, if it is one of these."""
        return self._chains.get(last, NO_CHAIN)
