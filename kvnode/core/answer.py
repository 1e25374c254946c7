"""The results of one request, with no more values than an answer holds."""

from __future__ import annotations

from typing import Final

from kvnode.core.limits import ANSWER_VALUE_BYTES_MAX
from kvnode.core.results import Conflict, Entry, Failed, Page, Result

#: What the dot of a conflict takes at most: an origin's name and a number.
_DOT_BYTES_MAX: Final = 100


def conflict_bytes(conflict: Conflict) -> int:
    """What a conflict takes at most."""
    return sum(len(key) + _DOT_BYTES_MAX * len(dots) for key, dots in conflict.found)


class Answer:
    """Results as they come."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.size_bytes = 0

    def add(self, result: Result) -> None:
        """Add a result; of versions, those that fit."""
        if isinstance(result, Entry):
            result = self._fitting(result)
        elif isinstance(result, Conflict):
            result = self._fitting_conflict(result)
        elif isinstance(result, Page):
            result = self._fitting_page(result)
        self.results.append(result)

    def _fitting_conflict(self, conflict: Conflict) -> Result:
        size_bytes = conflict_bytes(conflict)
        if self.size_bytes + size_bytes > ANSWER_VALUE_BYTES_MAX:
            message = "conditions do not hold, and what is there does not fit an answer"
            return Failed("too_large", f"{message}; nothing was done")
        self.size_bytes += size_bytes
        return conflict

    def _fitting_page(self, page: Page) -> Result:
        """A page fits an answer of its own; others may be in the way."""
        size_bytes = page.size_bytes
        if self.size_bytes + size_bytes > ANSWER_VALUE_BYTES_MAX:
            message = f"an answer holds at most {ANSWER_VALUE_BYTES_MAX} bytes of values"
            return Failed("too_large", f"{message}; ask for this page in a request of its own")
        self.size_bytes += size_bytes
        return page

    def _fitting(self, entry: Entry) -> Result:
        versions, more = entry
        for at, version in enumerate(versions):
            if self.size_bytes + len(version.value) > ANSWER_VALUE_BYTES_MAX:
                if at == 0:
                    message = f"an answer holds at most {ANSWER_VALUE_BYTES_MAX} bytes of values"
                    return Failed("too_large", message)
                return Entry(versions[:at], more + len(versions) - at)
            self.size_bytes += len(version.value)
        return entry
