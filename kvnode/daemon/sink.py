"""Where the lines of the log go: to a descriptor that nobody may read, or that can't be written.

Whoever logs never waits. A thread of its own writes, since a write may wait for as long as a pipe
is full, a terminal is stopped or a disk hangs. The descriptor can't be made non-blocking instead:
that is a property of what is open, which other processes may share, a shell for one.
"""

from __future__ import annotations

import os
import select
import stat
import time
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import Final

from kvnode.core.limits import MIB

#: What waits to be written; some ten thousand lines. Beyond that they are counted only.
WAITING_BYTES_MAX: Final = MIB

#: How long until a write is tried again that failed, as on a full disk.
RETRY_S: Final = 1.0

#: How long an end waits for what is not written yet. Whoever reads needs no longer.
END_WITHIN_S: Final = 1.0


def unwaited(descriptor: int) -> int:
    """For a pipe another descriptor of it, on which a write never waits: for what can't be left to
    a thread, since a signal has ended all that. Opened anew, it is shared with nobody. What is no
    pipe, or can't be opened, is returned as it is."""
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            mode = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{descriptor}", mode)
    except OSError:
        pass
    return descriptor


class Sink:
    """Lines on their way to a descriptor."""

    def __init__(
        self,
        descriptor: int,
        notice: Callable[[int], bytes],
        *,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
        retry_s: float = RETRY_S,
    ) -> None:
        """`notice` makes a line that stands where so many are missing."""
        #: How many lines were dropped.
        self.dropped = 0
        self._descriptor = descriptor
        self._notice = notice
        self._waiting_bytes_max = waiting_bytes_max
        self._retry_s = retry_s
        #: Lines, and counts of those that are missing there.
        self._waiting: deque[bytes | int] = deque()
        self._waiting_bytes = 0
        self._is_writing = False
        self._changed = Condition()
        Thread(target=self._run, name="log", daemon=True).start()

    def put(self, line: bytes) -> None:
        """Have a line written, or count it."""
        with self._changed:
            if self._waiting_bytes + len(line) <= self._waiting_bytes_max:
                self._waiting.append(line)
                self._waiting_bytes += len(line)
            else:
                self.dropped += 1
                last = self._waiting.pop() if self._waiting else 0
                if not isinstance(last, int):
                    self._waiting.append(last)
                    last = 0
                self._waiting.append(last + 1)
            self._changed.notify_all()

    def flush(self, within_s: float = END_WITHIN_S) -> None:
        """Wait until all is written, but no longer than this."""
        give_up = time.monotonic() + within_s
        with self._changed:
            while self._waiting or self._is_writing:
                if not self._changed.wait(give_up - time.monotonic()):
                    return

    def _run(self) -> None:
        while True:
            self._write(self._next())
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()

    def _next(self) -> bytes:
        with self._changed:
            while not self._waiting:
                self._changed.wait()
            first = self._waiting.popleft()
            self._is_writing = True
            if isinstance(first, int):
                return self._notice(first)
            self._waiting_bytes -= len(first)
            return first

    def _write(self, line: bytes) -> None:
        """Write all of it, however long that takes."""
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:  # somebody else has made it non-blocking
                select.select([], [self._descriptor], [], self._retry_s)
            except OSError:
                time.sleep(self._retry_s)
