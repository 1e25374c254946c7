"""What the service manager is told: that the node is up, what it does, that it lives, that it goes.

The protocol is that of sd_notify(3): datagrams of lines to the socket in NOTIFY_SOCKET. Without
that variable nobody wants to know. systemd gives it to services of `Type=notify`, Podman to
containers.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from kvnode.daemon.logs import LOGGER


class Supervisor:
    """Whoever started this process and watches it, if anybody does."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket: socket.socket | None = None
        address = environment.get("NOTIFY_SOCKET", "")
        #: A leading @ stands for the zero byte of an address that is no file.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        self._interval_us = _watchdog_us(environment) // 2 if self._socket else 0
        self._due_us = 0
        self._state = ""
        self._is_ready = False
        #: What the manager did not take yet: of each variable the newest value.
        self._untold: dict[str, str] = {}

    def ready(self, state: str, steady_us: int) -> None:
        """The node serves."""
        self._is_ready, self._state = True, state
        self._tell(READY="1", STATUS=_line(state))
        self._due_us = steady_us + self._interval_us

    def turned(self, state: str, steady_us: int) -> None:
        """The loop has come round: tell what the node does, if that is new, and that it lives,
        twice in the time after which it would be taken for stuck."""
        if not self._is_ready:
            return
        if self._untold:
            self._tell()
        if state != self._state:
            self._state = state
            self._tell(STATUS=_line(state))
        if self._interval_us and steady_us >= self._due_us:
            self._tell(WATCHDOG="1")
            self._due_us = steady_us + self._interval_us

    def wake_us(self) -> int | None:
        """When the next turn must come, by the steady clock."""
        return self._due_us if self._interval_us else None

    def stopping(self) -> None:
        """The node answers what waits, and ends."""
        self._tell(STOPPING="1", STATUS="is stopping")

    def close(self) -> None:
        """Nothing is told afterwards."""
        if self._socket is not None:
            self._socket.close()

    def _tell(self, **variables: str) -> None:
        """Tell this, and what is untold. A manager may be too busy to take it; if it never heard
        that the node is ready it would end it some day. So the next turn tries again."""
        if self._socket is None:
            return
        is_news = not self._untold
        self._untold |= variables
        lines = [f"{name}={value}" for name, value in self._untold.items()]
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
            self._untold.clear()
        except OSError as error:  # who does not listen must not stop the node
            if is_news:
                LOGGER.warning("can't tell the service manager %s: %s", lines[0], error.strerror)


def _line(state: str) -> str:
    return " ".join(state.split())


def _watchdog_us(environment: Mapping[str, str]) -> int:
    """After how much silence a process counts as stuck; 0 if this one is not watched."""
    watched = environment.get("WATCHDOG_PID")
    if watched is not None and watched != str(os.getpid()):
        return 0  # inherited: it is meant for another process
    interval = environment.get("WATCHDOG_USEC", "")
    return int(interval) if interval.isdecimal() else 0
