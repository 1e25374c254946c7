"""What a node tells of itself: the answer to `status`."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from kvnode.core.batch import Batch
from kvnode.core.holdback import Waiter
from kvnode.core.replica import Replica
from kvnode.core.vector import Vector
from kvnode.daemon.mesh import Mesh
from kvnode.daemon.node import Node

#: Waiting batches and requests that are spelled out; all are counted.
WAITING_SHOWN: Final = 20


def replica_status(replica: Replica) -> dict[str, Any]:
    """The digest, and what is held back and why."""
    holdback = replica.holdback
    return {
        "name": replica.identity.name,
        "digest": f"{replica.digest:032x}",
        "clock_us": replica.clock.last_us,
        "incarnations": len(replica.cut.entries),
        "held": [_batch_shown(w) for w in islice(holdback.batches.values(), WAITING_SHOWN)],
        "held_batches": len(holdback.batches),
        "held_bytes": holdback.batch_bytes,
        "evicted_batches": holdback.evicted,
        "parked": [_request_shown(w) for w in islice(holdback.requests.values(), WAITING_SHOWN)],
        "parked_requests": len(holdback.requests),
        "parked_bytes": holdback.request_bytes,
    }


def node_status(node: Node) -> dict[str, Any]:
    """The replica's status and how the disk does."""
    health = node.health
    return replica_status(node.replica) | {
        "vector": dict(node.vector),
        "storage": {
            "serving": health.serving,
            "failures": health.failures,
            "last_error": health.last_error,
        },
    }


def peers_status(mesh: Mesh, replica: Replica, steady_us: int) -> list[dict[str, Any]]:
    """Each configured peer: who answers there, since when it is silent, what it lacks."""
    claims = replica.repair.claims
    return [
        {
            "address": peer.address,
            "name": peer.greeting.name if peer.greeting else None,
            "refusal": peer.refusal,
            "silent_ms": None if peer.heard_us is None else (steady_us - peer.heard_us) // 1000,
            "lag_updates": (
                _lag(replica, claims[peer.greeting.name].delivered)
                if peer.greeting and peer.greeting.name in claims
                else None
            ),
        }
        for peer in mesh.peers
    ]


def _lag(replica: Replica, claimed: Vector) -> int:
    """Writes that this node has delivered and the claim does not cover."""
    lacking = replica.lacking(claimed)
    return sum(replica.cut.entries[origin] - first + 1 for origin, first in lacking.items())


def _batch_shown(waiter: Waiter) -> dict[str, Any]:
    batch = waiter.item
    assert isinstance(batch, Batch)
    return {
        "origin": batch.origin,
        "first": batch.first,
        "last": batch.last,
        "waits_for": waiter.waits_for,
    }


def _request_shown(waiter: Waiter) -> dict[str, Any]:
    assert not isinstance(waiter.item, Batch)
    return {"id": waiter.item.id, "waits_for": waiter.waits_for}
