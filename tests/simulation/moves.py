"""Moves: where the writes of reverted machines went, which their nodes made anew elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_

#: A set of writes, as in `oracle`.
Seen = int


class Moves:
    """What became of which write. Each try to move writes makes others of them: of those that
    failed nothing is ever seen."""

    def __init__(self) -> None:
        #: All that was ever moved.
        self.moved: Seen = 0
        #: What became of each, at once or in a later move.
        self._became: dict[Seen, Seen] = {}
        #: For each move the record that tells of it, and what was moved.
        self._records: list[tuple[Seen, Seen]] = []

    def mended(self, went: Mapping[Seen, Seen], record: Seen) -> None:
        """Writes became others, and that record tells where they went."""
        for was, now in went.items():
            for before in self._became:
                if self._became[before] & was:
                    self._became[before] |= now
            self._became[was] = self._became.get(was, 0) | now
        moved = reduce(or_, went, 0)
        self.moved |= moved
        self._records.append((record, moved))

    def found(self, writes: Seen, has: Seen) -> Seen:
        """Those of these writes that are there under other dots."""
        them = [was for was, now in self._became.items() if was & writes and now & has]
        return reduce(or_, them, 0)

    def with_others(self, writes: Seen) -> Seen:
        """These, and what became of them."""
        return reduce(or_, (now for was, now in self._became.items() if was & writes), writes)

    def is_told(self, write: Seen, seen: Seen) -> bool:
        """Whether a record that is seen tells where a write went."""
        return any(record & seen and moved & write for record, moved in self._records)


def moved(writes: Seen, went: Mapping[Seen, Seen]) -> Seen:
    """These writes, those that were moved as what they became."""
    for was, now in went.items():
        if was & writes:
            writes = writes & ~was | now
    return writes
