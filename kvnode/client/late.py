"""Answers that nobody waits for any more: they add to what their session has seen all the same."""

from __future__ import annotations

from typing import Final

from kvnode.client.session import Session
from kvnode.codec.client import Answer

#: Requests that were given up and may still be answered, of one connection: more than may be
#: on their way. An answer to an older one is dropped, which costs nobody anything.
_GIVEN_UP_MAX: Final = 1_000


class GivenUp:
    """The requests that were given up, by their ids, and whose they were."""

    def __init__(self) -> None:
        self._sessions: dict[int, Session] = {}

    def add(self, id_: int, session: Session) -> None:
        """Nobody waits for the answer to this."""
        self._sessions[id_] = session
        if len(self._sessions) > _GIVEN_UP_MAX:
            del self._sessions[next(iter(self._sessions))]

    def take(self, answer: Answer) -> None:
        """An answer to one of them, perhaps."""
        session = self._sessions.pop(answer.id or 0, None)
        if session is not None:
            session.add(answer)
