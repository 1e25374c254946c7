"""Expiry: versions that are hidden, and then removed, once their time has come.

Each node goes by its own clock, and sends nobody a word of it. So a version may be gone at one node
and shown at another, by as much as their clocks differ; its dot stays covered everywhere, so it
never comes back. To change when a version expires is to put it again.
"""

from __future__ import annotations

from collections.abc import Mapping

from kvnode.core.messages import Due
from kvnode.core.versions import Version, Versions


class ExpiryClock:
    """A wall clock that goes back only once all is removed that it has hidden: what was hidden once
    stays hidden.

    It lives as long as the process. A clock that was ahead would else hide for as long what is put
    with an expiry. What had been removed by then is gone all the same.
    """

    def __init__(self) -> None:
        self.now_us = 0

    def advance(self, wall_us: int) -> None:
        """A turn begins."""
        self.now_us = max(self.now_us, wall_us)

    def all_removed(self, wall_us: int) -> None:
        """Nothing is there that is hidden: it may go back to this time."""
        self.now_us = min(self.now_us, wall_us)

    def after(self, ttl_ms: int | None) -> int | None:
        """When what lives so long from now on expires."""
        return None if ttl_ms is None else self.now_us + ttl_ms * 1000

    def stopped(self) -> ExpiryClock:
        """One that stays at this moment."""
        clock = ExpiryClock()
        clock.now_us = self.now_us
        return clock

    def visible(self, versions: Versions) -> Versions:
        """Those whose time has not come."""
        for version in versions:
            if version.expires_us is not None:
                return tuple(it for it in versions if not self._is_over(it))
        return versions  # as nearly always

    def _is_over(self, version: Version) -> bool:
        return version.expires_us is not None and version.expires_us <= self.now_us

    def left(self, held: Mapping[bytes, Versions]) -> dict[bytes, Versions]:
        """Of the keys that hold something that is over what is left, perhaps nothing."""
        left = {key: self.visible(versions) for key, versions in held.items()}
        return {key: versions for key, versions in left.items() if versions != held[key]}


def due_of(key: bytes, versions: Versions) -> set[Due]:
    """When something of a key expires."""
    return {Due(it.expires_us, key) for it in versions if it.expires_us is not None}
