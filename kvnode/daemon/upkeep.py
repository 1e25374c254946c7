"""Upkeep: what a node does for its disk beside its turns, a bit at a time."""

from __future__ import annotations

from kvnode.core.clock import Now
from kvnode.core.replica import Replica
from kvnode.core.versions import Versions
from kvnode.daemon.scrub import Scrub
from kvnode.storage.store import Store


class Upkeep:
    """Truncates the log, removes what has expired and scrubs the table, at heartbeats."""

    def __init__(self) -> None:
        self.scrub = Scrub()
        #: Whether there is more to remove at once.
        self.is_busy = False

    def step(self, store: Store, replica: Replica, now: Now, *, is_heartbeat: bool) -> None:
        """Do what is due. Raises StorageError."""
        if is_heartbeat or self.is_busy:
            truncates = self._truncate(store, replica, now)
            self.is_busy = self._sweep(store, replica, now) or truncates
        if is_heartbeat:
            self.scrub.step(store.view, replica.alarms, replica.limits, now.steady_us)

    def close(self) -> None:
        """Let go of the disk."""
        self.is_busy = False
        self.scrub.close()

    def _truncate(self, store: Store, replica: Replica, now: Now) -> bool:
        """Drop from the log what nobody needs; whether that was much, and there may be more."""
        limits = replica.limits
        head = store.log_head(limits.dropped_batches_per_turn, limits.dropped_bytes_per_turn)
        dropped = replica.droppable(head, store.log_bytes, store.log_end, now)
        if dropped:
            floor = replica.state.floor_without(dropped)
            store.drop_log(dropped, floor)
            replica.state.floor = floor
        return bool(dropped) and len(dropped) == len(head)

    def _sweep(self, store: Store, replica: Replica, now: Now) -> bool:
        """Remove from the table what has expired; whether that was much, and there may be more.

        Nobody can see a difference, and nobody is told: each node does so by itself.
        """
        limits = replica.limits
        due = store.due(replica.expiry.now_us, limits.swept_keys_per_turn)
        held: dict[bytes, Versions] = {}
        size_bytes = 0
        for at, (_, key) in enumerate(due):
            held[key] = store.versions(key)
            size_bytes += sum(len(version.value) for version in held[key])
            if size_bytes > limits.swept_bytes_per_turn:
                due = due[: at + 1]
                break
        if due:
            store.sweep(due, replica.expiry.left(held))
        if size_bytes > limits.swept_bytes_per_turn or len(due) == limits.swept_keys_per_turn:
            return True
        replica.expiry.all_removed(now.wall_us)
        return False
