"""Ports of this machine for daemons that are yet to start: chosen, and held until then.

A port that is merely seen to be free may be taken, by the next that looks for one, before
the daemon listens at it. So the socket that found it stays bound.
"""

from __future__ import annotations

import errno
import secrets
import socket
import sys
import weakref
from typing import Final

#: Whether a socket that is bound, but does not listen, lets another listen at its port. Both
#: must set SO_REUSEADDR, as ZeroMQ does; all others are refused. See socket(7) of Linux: BSD
#: and its kin do not, and there a port is let go just before its daemon starts.
_LISTENER_MAY_JOIN: Final = sys.platform == "linux"

#: Below the ephemeral ports of most machines, which others may be handed once a port is let go.
_CHOICE: Final = range(20_000, 32_000)
_TRIES: Final = 1_000


class HeldPort:
    """A TCP port of loopback that no other is given as long as this object lives, or, where a
    daemon can't join, until the daemon starts."""

    def __init__(self) -> None:
        holder = socket.socket()
        _bind(holder)
        # Not before: who binds with it is given what another has bound with it.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.address: Final = "tcp://{}:{}".format(*holder.getsockname())
        self._let_go = weakref.finalize(self, holder.close)

    def make_way(self) -> None:
        """Let a daemon listen at it now."""
        if not _LISTENER_MAY_JOIN:
            self._let_go()


def _bind(holder: socket.socket) -> None:
    """Raises OSError if there is no loopback, or all ports that are tried have been taken."""
    for tries_left in reversed(range(_TRIES)):
        try:
            holder.bind(("127.0.0.1", secrets.choice(_CHOICE)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not tries_left:
                holder.close()
                raise
        else:
            return
