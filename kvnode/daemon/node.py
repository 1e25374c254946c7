"""One node without sockets: its replica, its store, and the order between them.

    turn -> commit -> publish -> claim -> reply -> pull

Save, then send: nothing leaves before the commit that it speaks of. The daemon and the
tests drive this very code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from kvnode.core.batch import Batch
from kvnode.core.clock import Now
from kvnode.core.messages import (
    Claim,
    Delete,
    Effects,
    Failed,
    Inputs,
    Pull,
    Put,
    Reply,
    Request,
)
from kvnode.core.replica import Replica, Saved
from kvnode.core.vector import Vector
from kvnode.errors import StorageError
from kvnode.storage.store import Store

#: A store that could not be opened again is tried this often.
REOPEN_US: Final = 1_000_000


class Durability(StrEnum):
    """When a commit is made to survive a power loss."""

    #: Before it is published or acknowledged.
    ALWAYS = "always"
    #: Every so many milliseconds.
    INTERVAL = "interval"
    #: When the operating system gets to it.
    NEVER = "never"


class Outbox(Protocol):
    """Where a turn's messages go once they may."""

    def publish(self, batch: Batch) -> None:
        """To all peers, as a hint."""

    def claim(self, claim: Claim) -> None:
        """To all peers: the heartbeat."""

    def reply(self, reply: Reply, token: Vector) -> None:
        """To the client; the token goes with it if the request was run."""

    def pull(self, pull: Pull) -> None:
        """To one peer."""


@dataclass(slots=True)
class Health:
    """How the disk does."""

    failures: int = 0
    last_error: str | None = None
    #: Whether the store is open.
    serving: bool = True


class Node:
    """Drives a replica over a store, and starts both anew when the disk fails."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        make_replica: Callable[[Saved, Store], Replica],
        *,
        durability: Durability,
        sync_interval_us: int,
    ) -> None:
        self.health = Health()
        self._open_store = open_store
        self._make_replica = make_replica
        self._durability = durability
        self._sync_interval_us = sync_interval_us
        self._sync_due_us: int | None = None
        self._reopen_due_us = 0
        #: Own batches of a failed commit: if the reopened store has them, they count.
        self._in_doubt: tuple[Batch, ...] = ()
        #: What is delivered and committed, in normal form.
        self.vector: Vector = {}
        self._store: Store | None = None
        self._load(open_store())

    def turn(self, inputs: Inputs, now: Now, outbox: Outbox) -> None:
        """One turn: deliver and serve, save, then send."""
        if self._store is None and not self._reopen(now, outbox):
            for request in inputs.requests:
                outbox.reply(_failed(request, "unavailable", self._trouble(), maybe=False), {})
            return
        assert self._store is not None
        effects: Effects | None = None
        try:
            effects = self.replica.turn(inputs, now)
            if effects.commit is not None:
                sync = self._durability is Durability.ALWAYS
                self._store.commit(effects.commit, sync=sync)  # save ...
                if self._sync_due_us is None:
                    self._sync_due_us = now.steady_us + self._sync_interval_us
            self._sync_if_due(now)
        except StorageError as error:
            self._fail(inputs, effects, error, now, outbox)
            return
        self.vector = effects.token
        self._send(effects, outbox)  # ... then send

    def since(self, vector: Vector, bytes_max: int) -> list[bytes]:
        """Committed batches beyond a vector, for a peer. Raises StorageError."""
        if self._store is None:
            raise StorageError(self._trouble())
        return self._store.since(self.replica.lacking(vector), bytes_max)

    def wake_us(self) -> int:
        """When the next turn must come, input or not, by the steady clock."""
        if self._store is None:
            return self._reopen_due_us
        if self._durability is Durability.INTERVAL and self._sync_due_us is not None:
            return min(self._sync_due_us, self.replica.wake_us())
        return self.replica.wake_us()

    def close(self, outbox: Outbox) -> StorageError | None:
        """Answer what waits, sync and close; nothing may be called afterwards.

        Returns the error if not all that was acknowledged could be synced.
        """
        failure = None
        for request in self._waiting():
            message = "the node is shutting down; nothing was done"
            outbox.reply(_failed(request, "unavailable", message, maybe=False), {})
        if self._store is not None:
            try:
                self._store.sync()
            except StorageError as error:
                self.health.last_error = str(error)
                failure = error
            self._store.close()
            self._store = None
        return failure

    def _send(self, effects: Effects, outbox: Outbox) -> None:
        for batch in effects.publish:
            outbox.publish(batch)
        if effects.claim is not None:
            outbox.claim(effects.claim)
        for reply in effects.replies:
            outbox.reply(reply, effects.token)
        if effects.pull is not None:
            outbox.pull(effects.pull)

    def _sync_if_due(self, now: Now) -> None:
        if (
            self._durability is Durability.INTERVAL
            and self._sync_due_us is not None
            and now.steady_us >= self._sync_due_us
        ):
            assert self._store is not None
            self._store.sync()
            self.replica.synced()
            self._sync_due_us = None

    # --- when the disk fails

    def _fail(
        self,
        inputs: Inputs,
        effects: Effects | None,
        error: StorageError,
        now: Now,
        outbox: Outbox,
    ) -> None:
        """Publish nothing, fail every answer, discard memory, and reload from disk.

        Held batches are forgotten with the rest; repair brings them again.
        """
        self.health.failures += 1
        self.health.last_error = str(error)
        replica = self.replica
        tried = set() if effects is None else {id(request) for request in replica.ran}
        unanswered = [*replica.ran, *replica.refused, *self._waiting(), *inputs.requests]
        for request in {id(request): request for request in unanswered}.values():
            if id(request) in tried and _writes(request):
                message = f"the disk failed during the commit; the write may be there: {error}"
                reply = _failed(request, "commit_failed", message, maybe=True)
            else:
                reply = _failed(request, "unavailable", self._trouble(), maybe=False)
            outbox.reply(reply, {})
        replica.ready.clear()
        self._in_doubt = () if effects is None else effects.publish
        assert self._store is not None
        self._store.close()
        self._store = None
        self._sync_due_us = None
        self._reopen(now, outbox)

    def _reopen(self, now: Now, outbox: Outbox) -> bool:
        if now.steady_us < self._reopen_due_us and not self.health.serving:
            return False
        try:
            self._load(self._open_store())
        except StorageError as error:
            self.health.last_error = str(error)
            self.health.serving = False
            self._reopen_due_us = now.steady_us + REOPEN_US
            return False
        self.health.serving = True
        for batch in self._in_doubt:
            if self.replica.cut.entries.get(batch.origin, 0) >= batch.last:
                outbox.publish(batch)
        self._in_doubt = ()
        return True

    def _load(self, store: Store) -> None:
        """Start from what a store has, which is synced first: a process that was killed
        may have left commits that a power failure would take back."""
        try:
            store.sync()
            self.replica = self._make_replica(store.load(), store)
        except StorageError:
            store.close()
            raise
        self._store = store
        self.vector = dict(self.replica.cut.heads)

    def _waiting(self) -> list[Request]:
        """Requests that have no answer yet and were not run."""
        if self._store is None:
            return []
        parked = (waiter.item for waiter in self.replica.holdback.requests.values())
        return [*self.replica.ready, *(item for item in parked if isinstance(item, Request))]

    def _trouble(self) -> str:
        return f"the node's disk does not answer; nothing was done: {self.health.last_error}"


def _writes(request: Request) -> bool:
    return any(isinstance(operation, Put | Delete) for operation in request.operations)


def _failed(request: Request, code: str, message: str, *, maybe: bool) -> Reply:
    return Reply(request.reply_to, request.id, (Failed(code, message, maybe),), ran=False)
