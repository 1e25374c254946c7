"""Looks what is wrong at addresses where nobody answers, one at a time, beside the loop."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from kvnode.daemon.peer import Peer
from kvnode.transport.diagnosis import diagnosed

#: Who has not answered for so many heartbeats is looked at; and again after so many more. At 500 ms
#: heartbeats that are five seconds, and a minute.
UNANSWERED_HEARTBEATS: Final = 10
DIAGNOSE_AGAIN_HEARTBEATS: Final = 120

#: As long as a node joins: it must know where surely nobody is.
URGENT_HEARTBEATS: Final = 2

#: How long a connection, and then the first words over it, may take.
_TIMEOUT_S: Final = 3.0


class Diagnoses:
    """One thread at a time looks at one peer; `Peer.trouble` has what it saw."""

    def __init__(self, heartbeat_us: int) -> None:
        self._heartbeat_us = heartbeat_us
        #: Who is looked at; and what was seen there.
        self._peer: Peer | None = None
        self._seen: SimpleQueue[str] = SimpleQueue()
        self._first_heartbeats = UNANSWERED_HEARTBEATS

    def go_on(self, peers: Sequence[Peer], steady_us: int, *, is_urgent: bool = False) -> None:
        """Take in what was seen, and look at the next one; sooner if others wait for that."""
        self._first_heartbeats = URGENT_HEARTBEATS if is_urgent else UNANSWERED_HEARTBEATS
        with suppress(Empty):
            seen = self._seen.get_nowait()
            if self._peer is not None and not self._answers(self._peer, steady_us):
                self._peer.trouble = seen
            self._peer = None
        for peer in peers:
            if peer.trouble is not None and self._answers(peer, steady_us):
                peer.trouble = None
        due = [peer for peer in peers if self._is_due(peer, steady_us)]
        if self._peer is not None or not due:
            return
        peer = min(due, key=lambda peer: peer.diagnosed_us or 0)
        with suppress(RuntimeError):  # the machine has no room for one more thread
            Thread(target=self._look, args=(peer.reached,), daemon=True).start()
            self._peer, peer.diagnosed_us = peer, steady_us

    def _answers(self, peer: Peer, steady_us: int) -> bool:
        patience_us = UNANSWERED_HEARTBEATS * self._heartbeat_us
        return bool(peer.answered_us) and steady_us - peer.answered_us < 2 * patience_us

    def _is_due(self, peer: Peer, steady_us: int) -> bool:
        if peer.reached is None or peer.tried_us is None or self._answers(peer, steady_us):
            return False
        heartbeats, since_us = DIAGNOSE_AGAIN_HEARTBEATS, peer.diagnosed_us
        if since_us is None:
            heartbeats, since_us = self._first_heartbeats, peer.tried_us
        return steady_us - since_us >= heartbeats * self._heartbeat_us

    def _look(self, address: str) -> None:
        self._seen.put(diagnosed(address, _TIMEOUT_S))
