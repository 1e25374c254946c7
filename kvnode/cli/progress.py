"""How far a command is that takes long, on standard error."""

from __future__ import annotations

import sys
import time
from typing import Final

#: How often a terminal is told, and who is none.
_IN_PLACE_EVERY_S: Final = 0.2
_LINE_EVERY_S: Final = 5.0


class Progress:
    """A line that changes on a terminal; elsewhere a line now and then, if it is asked for."""

    def __init__(self, *, wanted: bool) -> None:
        self._in_place = sys.stderr.isatty()
        self.is_shown = wanted or self._in_place
        self._every_s = _IN_PLACE_EVERY_S if self._in_place else _LINE_EVERY_S
        self._next_s = time.monotonic() + self._every_s

    def at(self, text: str, count: int) -> None:
        """It is so far: `text` has a place for the count. Not each is shown."""
        if self.is_shown and (now_s := time.monotonic()) >= self._next_s:
            self._next_s = now_s + self._every_s
            self._show(text.format(f"{count:,}"), "")

    def end(self, text: str) -> None:
        """The last word on it."""
        if self.is_shown:
            self._show(text, "\n")

    def tell(self, text: str) -> None:
        """What everybody must hear."""
        self._show(text, "\n")

    def _show(self, text: str, end: str) -> None:
        start, end = ("\r\x1b[K", end) if self._in_place else ("", "\n")
        print(f"{start}{text}", end=end, file=sys.stderr, flush=True)
