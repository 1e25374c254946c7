"""Doubts: writes that sessions or held batches name, and of which no end is known.

Perhaps they are on their way; perhaps a disk that died had them alone, and no later incarnation
of its name could know of them to end them. To find out, this node makes a write of its own, once a
write is in doubt: its *marker*. Whoever claims the marker spoke after that, the process that would
have made the missing write included. If all members claim the marker, if this node has all that
they claim, and if it still lacks the write, nobody has it. But a process whose member record has
come to nobody may be heard by others and not by this node: so a member that lacks a write of such a
stranger rules nothing out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from kvnode.core.messages import Claim
from kvnode.core.succession import Cut
from kvnode.core.vector import Dot

#: How long a write may be missing before it is in doubt: what is on its way has come by then.
DOUBT_HEARTBEATS: Final = 4

#: Between two markers at least: a client that makes up tokens makes this node write no more often.
MARKER_PAUSE_US: Final = 10_000_000

#: Origins that are in doubt at once; what is missing of others just waits.
DOUBTS_MAX: Final = 1_000


class _Doubt(NamedTuple):
    """From this seq on nobody may have the origin's writes."""

    seq: int
    since_us: int
    #: The own write that was made when it was in doubt.
    marker: Dot | None = None


class Doubts:
    """What is missing, and what it takes to be sure that nobody has it."""

    def __init__(self, *, heartbeat_us: int) -> None:
        self._wait_us = DOUBT_HEARTBEATS * heartbeat_us
        self._marked_us: int | None = None
        self._missing: dict[str, _Doubt] = {}

    def missed(self, dot: Dot, steady_us: int) -> None:
        """Something needs this write, and it is not here."""
        known = self._missing.get(dot.origin)
        if known is None:
            if len(self._missing) < DOUBTS_MAX:
                self._missing[dot.origin] = _Doubt(dot.seq, steady_us)
        elif dot.seq < known.seq:  # fewer are ruled out by what is known of the later ones
            self._missing[dot.origin] = _Doubt(dot.seq, steady_us)

    def came(self, cut: Cut) -> None:
        """Forget what has come."""
        entries = cut.entries
        self._missing = {
            origin: doubt
            for origin, doubt in self._missing.items()
            if entries.get(origin, 0) < doubt.seq
        }

    def calls_for_marker(self, steady_us: int) -> bool:
        """Whether something has been missing for long, and nothing was written to find out."""
        if self._marked_us is not None and steady_us - self._marked_us < MARKER_PAUSE_US:
            return False
        return any(
            doubt.marker is None and steady_us - doubt.since_us >= self._wait_us
            for doubt in self._missing.values()
        )

    def marked(self, marker: Dot, steady_us: int) -> None:
        """The node made this write, for all that is in doubt by now."""
        self._marked_us = steady_us
        self._missing = {
            origin: doubt if doubt.marker else doubt._replace(marker=marker)
            for origin, doubt in self._missing.items()
        }

    def is_nowhere(self, dot: Dot, cut: Cut, claims: Sequence[Claim | None]) -> bool:
        """Whether all members spoke since it was in doubt, and none has it."""
        doubt = self._missing.get(dot.origin)
        if doubt is None or doubt.marker is None or dot.seq < doubt.seq:
            return False
        if cut.entries.get(dot.origin, 0) >= dot.seq:
            return False
        origin, seq = doubt.marker
        return all(
            claim is not None
            and not claim.is_not_all
            and cut.succession.value(claim.delivered, origin) >= seq
            and cut.covers(claim.delivered)
            for claim in claims
        )
