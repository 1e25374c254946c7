"""Upkeep: what a node does for its disk beside its turns, a bit at a time."""

from __future__ import annotations

from kvnode.core.clock import Now
from kvnode.core.replica import Replica
from kvnode.daemon.scrub import Scrub
from kvnode.storage.store import Store


class Upkeep:
    """Truncates the log and scrubs the table, at heartbeats."""

    def __init__(self) -> None:
        self.scrub = Scrub()
        #: Whether there is more of the log to drop at once.
        self.is_busy = False

    def step(self, store: Store, replica: Replica, now: Now, *, is_heartbeat: bool) -> None:
        """Do what is due. Raises StorageError."""
        if is_heartbeat or self.is_busy:
            self._truncate(store, replica, now)
        if is_heartbeat:
            self.scrub.step(store.view, replica.alarms, replica.limits, now.steady_us)

    def close(self) -> None:
        """Let go of the disk."""
        self.is_busy = False
        self.scrub.close()

    def _truncate(self, store: Store, replica: Replica, now: Now) -> None:
        """Drop from the log what nobody needs; more next turn if that was much."""
        limits = replica.limits
        head = store.log_head(limits.dropped_batches_per_turn, limits.dropped_bytes_per_turn)
        dropped = replica.droppable(head, store.log_bytes, store.log_end, now)
        self.is_busy = bool(dropped) and len(dropped) == len(head)
        if dropped:
            floor = dict(replica.floor)
            for batch in dropped:
                floor[batch.origin] = max(floor.get(batch.origin, 0), batch.last)
            store.drop_log(dropped, floor)
            replica.floor = floor
