"""The scrub: reads the whole table now and then, since a running digest can't see rot.

The digest is kept up to date with each change, and never looks back: a record that a disk
damaged goes on counting as what it was. The scrub counts anew, from a view, a bit at each
heartbeat, and compares with what was saved with that view.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvnode.codec.records import checked_versions
from kvnode.core.alarms import Alarms
from kvnode.core.limits import Limits
from kvnode.core.versions import DIGEST_MODULUS, fingerprint
from kvnode.errors import MalformedError, StorageError
from kvnode.storage.store import View

#: The first scrub begins so long after the start, if none is due before: what one found is
#: forgotten with the process, and a node that is started each day is to be scrubbed too.
FIRST_SCRUB_US: Final = 60_000_000


class Scrub:
    """One scrub after another, with a pause between."""

    def __init__(self) -> None:
        self._view: View | None = None
        self._after = b""
        self._sum = 0
        self._due_us: int | None = None
        #: How many were finished.
        self.finished = 0

    def step(
        self, new_view: Callable[[], View], alarms: Alarms, limits: Limits, steady_us: int
    ) -> None:
        """Go on a bit, or begin another one if it is time."""
        interval_us = limits.scrub_interval_us
        if self._due_us is None:
            self._due_us = steady_us + min(interval_us, FIRST_SCRUB_US)
        if self._view is None:
            if not interval_us or steady_us < self._due_us:
                return
            self._view, self._after, self._sum = new_view(), b"", 0
        try:
            if self._read_on(self._view, limits.scrubbed_bytes_per_heartbeat):
                return
            saved, found = self._view.digest, self._sum % DIGEST_MODULUS
            if found == saved:
                alarms.sound_table()
            else:
                alarms.damaged_table(f"its digest is {found:032x} and should be {saved:032x}")
        except (MalformedError, StorageError) as error:
            alarms.damaged_table(str(error))
        self.finished += 1
        self._due_us = steady_us + interval_us
        self.close()

    def _read_on(self, view: View, bytes_max: int) -> bool:
        """Count the next records; whether there were any."""
        page = view.table(self._after, bytes_max)
        for key, record in page:
            self._after = key
            for version in checked_versions(record):
                self._sum += fingerprint(key, version)
        return bool(page)

    def close(self) -> None:
        """Let go of the view."""
        if self._view is not None:
            self._view.close()
            self._view = None
