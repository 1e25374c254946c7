"""Registration: each process writes its member record once, even if nobody writes through it.

That opens its incarnation: the record says that it is a member, and where; the ends of its
first batch say what its name has lost.
"""

from __future__ import annotations

from typing import Final

#: So long after a start a node waits: by then it has heard of what its name did before, if
#: anyone knows.
REGISTER_HEARTBEATS: Final = 2

#: Nor does it wait for what it lacks for more heartbeats than this: what nobody knows to be
#: a member nobody keeps a log for.
REGISTER_TRIES_MAX: Final = 8


class Registration:
    """Whether the record is written, and when to write it."""

    def __init__(self, *, is_member: bool, heartbeat_us: int) -> None:
        self._heartbeat_us = heartbeat_us
        self._is_member = is_member
        self._is_done = False
        self._tries = 0
        #: None before the first turn.
        self._due_us: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether the record is still to be written."""
        return self._is_member and not self._is_done

    @property
    def is_done(self) -> bool:
        """Whether this process wrote a record, and may write another."""
        return self._is_member and self._is_done

    @property
    def wake_us(self) -> int | None:
        """When it is due without other input."""
        return self._due_us if self.is_open else None

    def close(self) -> None:
        """It will not be written."""
        self._is_member = False

    def done(self) -> None:
        """The record was written."""
        self._is_done = True

    def again(self) -> None:
        """The record was deleted, as a peer says."""
        self._is_done = False

    def is_due(self, steady_us: int, *, is_caught_up: bool) -> bool:
        """Whether to write it now; if not, it is due again a heartbeat later."""
        if not self.is_open:
            return False
        if self._due_us is None:
            self._due_us = steady_us + REGISTER_HEARTBEATS * self._heartbeat_us
        if steady_us < self._due_us:
            return False
        self._due_us = steady_us + self._heartbeat_us
        self._tries += 1
        return is_caught_up or self._tries > REGISTER_TRIES_MAX
