"""Ports of this machine for daemons that are yet to start: chosen, and held until then.

A port that is merely seen to be free may be taken, by the next that looks for one, before
the daemon listens at it. So the socket that found it stays bound.
"""

from __future__ import annotations

import socket
import sys
import weakref
from typing import Final

#: Whether a socket that is bound, but does not listen, lets another listen at its port. Both
#: must set SO_REUSEADDR, as ZeroMQ does; all others are refused. See socket(7) of Linux: BSD
#: and its kin do not, and there a port is let go just before its daemon starts.
_LISTENER_MAY_JOIN: Final = sys.platform == "linux"


class HeldPort:
    """A TCP port of loopback that no other is given, as long as this object lives."""

    def __init__(self) -> None:
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        self.address: Final = "tcp://{}:{}".format(*holder.getsockname())
        self._let_go = weakref.finalize(self, holder.close)

    def make_way(self) -> None:
        """Let a daemon listen at it now."""
        if not _LISTENER_MAY_JOIN:
            self._let_go()
