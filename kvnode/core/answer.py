"""The results of one request, with no more values than an answer holds."""

from __future__ import annotations

from kvnode.core.limits import ANSWER_VALUE_BYTES_MAX
from kvnode.core.messages import Entry, Failed, Result


class Answer:
    """Results as they come."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.size_bytes = 0

    def add(self, result: Result) -> None:
        """Add a result; of versions, those that fit."""
        if isinstance(result, Entry):
            result = self._fitting(result)
        self.results.append(result)

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
