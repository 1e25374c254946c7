"""Runs a node that names its first incarnation as it is told, as one does that goes back in time
with its memory: it goes on counting where its disk is.

    python tests/daemon/same_again.py ORIGIN python -m kvnode.cli.kvnode serve ...
"""

from __future__ import annotations

import sys

from kvnode.cli.kvnode import main
from kvnode.core.standing import Standing
from kvnode.daemon import loop

_ORIGIN = sys.argv[1]
_new_origin, _opens = loop.new_origin, Standing.opens
_named: list[str] = []


def same_again(name: str, created_s: int, random_bits: int) -> str:
    """The first one is the same in each process."""
    _named.append(_new_origin(name, created_s, random_bits) if _named else _ORIGIN)
    return _named[-1]


def opens(self: Standing, origin: str) -> None:
    """Nothing is opened that its memory would have as open."""
    self.written.add(origin)
    if origin != self.past.origin and origin not in self.past.opened:
        _opens(self, origin)


loop.new_origin = same_again
Standing.opens = opens  # type: ignore[method-assign]
sys.exit(main(sys.argv[5:]))
