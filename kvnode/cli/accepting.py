"""A client that goes on without what is lost, as `kv --accept-loss` has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from kvnode.client.call import Call
from kvnode.client.session import Session
from kvnode.client.sync import Client
from kvnode.errors import SessionLost

T = TypeVar("T")


class AcceptingClient(Client):
    """Goes on without what is lost, in whichever session that was seen: its own, or where a watch
    is. Nothing was done by the call that is told so, nor by those that it follows: these read."""

    #: See `told_of_loss`.
    _tell: Callable[[bytes], None] | None = None

    def _make(self, call: Call[T], session: Session | None = None) -> T:
        """See `ClientSession._make`."""
        seen = session or self._seen
        try:
            return super()._make(call, seen)
        except SessionLost as lost:
            seen.token = lost.token
            if self._tell is not None:
                self._tell(lost.token)
            return super()._make(call, seen)


@contextmanager
def told_of_loss(client: Client, tell: Callable[[bytes], None]) -> Iterator[None]:
    """Tell a command meanwhile when loss is accepted, and with which token the session goes on:
    what it keeps of its own beside the session may rest on what is gone."""
    if not isinstance(client, AcceptingClient):
        yield  # this one raises SessionLost
        return
    client._tell = tell
    try:
        yield
    finally:
        client._tell = None
