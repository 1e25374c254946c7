"""Signals as input: no flag is polled, no system call is interrupted."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def wake_up_on_signals() -> Iterator[socket.socket]:
    """A socket that gets a byte for each SIGTERM or SIGINT: a signal is one more input."""
    ours, signalled = socket.socketpair()
    with ours, signalled:
        ours.setblocking(False)
        signalled.setblocking(False)
        before = signal.set_wakeup_fd(signalled.fileno(), warn_on_full_buffer=False)
        handlers = {
            number: signal.signal(number, lambda *_: None)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield ours
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)
