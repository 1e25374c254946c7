"""Who knows better: what a node must have before it speaks, if its disk was empty."""

from __future__ import annotations

from collections.abc import Mapping

from tests.simulation.oracle import Seen


class Better:
    """What one process that joins may have learnt of those who spoke since it started.

    Who has all that one of them had at any time may go by that: it has heard just that, perhaps,
    whatever became of the other one since. And if nobody speaks any more, the cluster is new.
    """

    def __init__(self, speaking: Mapping[str, Seen]) -> None:
        #: What each of those has who speak now.
        self.speaking = dict(speaking)
        #: What is enough: all that one of them had once.
        self._enough = list(self.speaking.values())

    def speaks(self, name: str, has: Seen, *, is_told_of: bool) -> None:
        """Another one speaks from now on, or has more or less than before. A copy's address nobody
        is told, but it may be heard."""
        if not self.speaking:
            return
        if is_told_of:
            self.speaking[name] = has
        if not self.is_enough(has):
            self._enough.append(has)

    def is_silent(self, name: str) -> None:
        """Another one can tell nothing: it is gone, or has nothing itself."""
        self.speaking.pop(name, None)

    def is_enough(self, seen: Seen) -> bool:
        """Whether a node that has this may speak."""
        return not self.speaking or any(has & ~seen == 0 for has in self._enough)
