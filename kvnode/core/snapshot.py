"""Snapshots: how a node goes on whose past no log holds any more.

A peer streams its state in chunks. It is staged aside, and its digest checked; then one
commit puts it, or what becomes of it together with this node's own state, in place. To
merge it in bit by bit would be wrong: a node that dies half-way would hold versions that its
vector does not cover, and replaced values would rise again everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kvnode.core.messages import Chunk, Fetch, OriginState, Saved, Snapshot
from kvnode.core.succession import Cut, contradiction
from kvnode.core.vector import Vector
from kvnode.core.versions import DIGEST_MODULUS, Versions, fingerprint, ranked

#: A silent peer that does not answer so many requests for one chunk is given up ...
FETCH_ATTEMPTS_MAX: Final = 3

#: ... and one whose heartbeats come, after so many: its link may be slow. Each time it is given
#: twice as long, since another request does not make the answer to the first come sooner; and what
#: it took for one chunk it is given for the next ones too. At 500 ms heartbeats that are two
#: minutes, enough for a part of a quarter of a megabyte at 2 kB a second.
PATIENT_ATTEMPTS_MAX: Final = 6


@dataclass(slots=True)
class Staging:
    """A snapshot on its way in from a peer."""

    name: str
    #: The peer's number for it; None until its first chunk.
    number: int | None = None
    #: Where the next chunk starts.
    after: bytes = b""
    #: How often that chunk was asked for in vain.
    attempts: int = 0
    #: How many times the time for an answer was doubled.
    doublings: int = 0
    #: Whether there was no way to ask for that chunk the last time.
    is_cut_off: bool = False
    _origins: dict[str, OriginState] = field(default_factory=dict)
    _sum: int = 0

    def in_vain(self, *, is_silent: bool) -> bool:
        """No answer came in time: whether to ask again, with twice the patience."""
        self.attempts += 1
        self.doublings = min(self.doublings + 1, PATIENT_ATTEMPTS_MAX)
        return self.attempts < (FETCH_ATTEMPTS_MAX if is_silent else PATIENT_ATTEMPTS_MAX)

    def question(self) -> Fetch:
        """Ask for the next chunk."""
        return Fetch(self.name, self.number, self.after)

    def expects(self, chunk: Chunk) -> bool:
        """Whether this is the chunk that was asked for last."""
        return (
            chunk.name == self.name
            and self.number in (None, chunk.number)
            and chunk.start == self.after
        )

    def take(self, chunk: Chunk) -> Snapshot | None:
        """Count in the expected chunk: the snapshot if it was the last one."""
        self.number, self.attempts = chunk.number, 0
        self._origins.update(chunk.origins)
        for key, versions in chunk.table.items():
            for version in versions:
                self._sum += fingerprint(key, version)
        if chunk.next is not None:
            self.after = chunk.next
            return None
        return Snapshot(self._origins, chunk.clock_us, self._sum % DIGEST_MODULUS)


def is_credible(snapshot: Snapshot, digest: int, cut: Cut) -> bool:
    """Whether a snapshot has the digest that came with it, and a node can have such a state. What
    incarnations end decides how vectors are read: so it must agree with itself, and with what is
    known here."""
    ends = {origin: state.ends for origin, state in snapshot.origins.items() if state.ends}
    known = cut.entries.keys() & snapshot.origins.keys()
    return (
        snapshot.digest == digest
        and contradiction(snapshot.entries, ends) is None
        and all(ends.get(o, {}) == cut.succession.ends.get(o, {}) for o in known)
    )


def merged_versions(
    mine: Versions, theirs: Versions, my_entries: Vector, their_entries: Vector
) -> Versions:
    """What two nodes' versions of a key become together; vectors spelled out.

    A version that only one side holds is kept exactly if the other has not seen it: else
    the other has replaced it.
    """
    kept = [v for v in mine if v in theirs or their_entries.get(v.origin, 0) < v.seq]
    kept += [v for v in theirs if v not in mine and my_entries.get(v.origin, 0) < v.seq]
    return ranked(kept)


def merged_state(mine: Saved, theirs: Snapshot, digest: int) -> Saved:
    """All beside the table: of each origin what the side knows that is further on.

    The log stays as it was, so it has gaps below what only the snapshot brought.
    """
    origins = dict(mine.origins)
    floor = dict(mine.floor)
    for origin, state in theirs.origins.items():
        if origin not in origins or state.delivered > origins[origin].delivered:
            origins[origin] = state
            floor[origin] = state.delivered
    clock_us = max(mine.clock_us, theirs.clock_us)
    return Saved(origins, clock_us, digest, floor, mine.joined, mine.own)
