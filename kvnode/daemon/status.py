"""What a node tells of itself: the answer to `status`."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from kvnode.codec.records import decode_member
from kvnode.core.batch import Batch
from kvnode.core.holdback import Waiter
from kvnode.core.replica import Replica
from kvnode.core.succession import Reading
from kvnode.core.truncation import Pin
from kvnode.core.vector import Vector
from kvnode.core.versions import Version
from kvnode.daemon.config import Config
from kvnode.daemon.mesh import Mesh
from kvnode.daemon.node import Node
from kvnode.daemon.peer import Peer
from kvnode.errors import MalformedError

#: Waiting batches and requests that are spelled out; all are counted.
WAITING_SHOWN: Final = 20


def replica_status(replica: Replica) -> dict[str, Any]:
    """The digest, and what is held back and why."""
    holdback = replica.holdback
    return {
        "name": replica.identity.name,
        "digest": f"{replica.state.digest:032x}",
        "clock_us": replica.state.clock.last_us,
        "clocks_ahead_ms": {n: us // 1000 for n, us in sorted(replica.clocks.ahead_us.items())},
        "incarnations": len(replica.cut.entries),
        "held": [_batch_shown(w) for w in islice(holdback.batches.values(), WAITING_SHOWN)],
        "held_batches": len(holdback.batches),
        "held_bytes": holdback.batch_bytes,
        "evicted_batches": holdback.evicted,
        "parked": [_request_shown(w) for w in islice(holdback.requests.values(), WAITING_SHOWN)],
        "parked_requests": len(holdback.requests),
        "parked_bytes": holdback.request_bytes,
        "watches": len(replica.watches),
        "awaiting_replicas": replica.concerns.count,
        "cuts": len(replica.scans.cuts),
        "cut_bytes": replica.scans.cuts.size_bytes,
        "joining": replica.is_joining,
        "in_doubt": replica.standing.is_quiet,
        "alarms": sorted(replica.alarms.raised.values()),
        "fetching_from": replica.repair.staging.name if replica.repair.staging else None,
    }


def node_status(node: Node, steady_us: int) -> dict[str, Any]:
    """The replica's status and how the disk does."""
    health = node.health
    return replica_status(node.replica) | {
        "vector": dict(node.vector),
        "folding": node.is_folding,
        "scrubs": node.upkeep.scrub.finished,
        "snapshots_taken": node.snapshots_taken,
        "mended": node.mended,
        "log": _log_shown(node, steady_us),
        "storage": {
            "serving": health.serving,
            "writable": health.writable,
            "failures": health.failures,
            "last_error": health.last_error,
        },
    }


def state_of(node: Node) -> str:
    """What the node does, in a few words."""
    health = node.health
    if not health.writable:
        does = "takes no writes, but reads go on" if health.serving else "does not answer"
        return f"{does}: {health.last_error}"
    if node.is_folding:
        return "puts a snapshot in place"
    joins = "joins: its disk was empty, and it has not yet what its peers have"
    return joins if node.replica.is_joining else "serves"


def peers_status(mesh: Mesh, replica: Replica, steady_us: int) -> list[dict[str, Any]]:
    """Each address that is tried: who answers there, since when it is silent, what it lacks."""
    calling = {it.greeting.instance for it in mesh.callers if it.greeting is not None}
    shown = [
        peer
        for peer in mesh.peers
        if not peer.is_own
        and not mesh.neighbours.is_idle_number(peer)
        and not (peer.greeting is None and peer.introduced_by in calling)
    ]
    return [_peer_shown(peer, mesh, replica, steady_us) for peer in [*shown, *mesh.callers]]


def unheard_status(mesh: Mesh) -> list[dict[str, Any]]:
    """Each known address where nobody was heard, and why."""
    return [
        {"address": it.address, "reason": it.reason, "refused": it.is_refused}
        for it in mesh.unheard()
    ]


def _peer_shown(peer: Peer, mesh: Mesh, replica: Replica, steady_us: int) -> dict[str, Any]:
    name = peer.greeting.name if peer.greeting else None
    claim = replica.repair.claims.get(name) if name is not None else None
    heard_by = asked_by = None
    if peer.greeting is not None:
        contact = mesh.contacts.of(peer.greeting.instance)
        calls = "calls" if contact.visits(steady_us) else None
        heard_by = "gossip" if contact.hears(steady_us) else calls
        asked_by = "link" if contact.is_open(steady_us) else calls
    return {
        "address": peer.place,
        "name": name,
        "refusal": peer.refusal,
        "trouble": peer.trouble,
        "member": name is not None and name in replica.members.names(),
        "heard_by": heard_by,
        "asked_by": asked_by,
        "silent_ms": None if peer.heard_us is None else (steady_us - peer.heard_us) // 1000,
        "lag_updates": None if claim is None else _lag(replica, claim.delivered),
    }


def members_status(
    node: Node, mesh: Mesh, config: Config, of: Vector | None, steady_us: int
) -> list[dict[str, Any]]:
    """Each member, this node included: where it is, how it does, what it holds up, and what it
    lacks: of a vector, or of all that this node has."""
    replica = node.replica
    counted = None if of is None else replica.cut.succession.reading(of)
    peers = {it.greeting.name: it for it in [*mesh.callers, *mesh.peers] if it.greeting}
    # Nobody knows what this node lacks that those have whom it has not heard.
    own_lag = 0 if not mesh.unheard() else None
    pins = {pin.name: pin for pin in replica.truncation.pins}
    shown = []
    for name in sorted(replica.members.names() | {config.name}):
        is_self = name == config.name
        records = replica.members.records(name)
        silent_us = 0 if is_self else replica.repair.silent_us(name, steady_us)
        claim = replica.repair.claims.get(name)
        lag = _lag(replica, claim.delivered, counted) if claim else None
        shown.append(
            {
                "name": name,
                "self": is_self,
                "origin": records[0].origin if records else None,
                "addresses": _addresses(records),
                "peer": peers[name].address if name in peers else None,
                "alive": is_self or replica.repair.is_alive(name, steady_us),
                "silent_ms": None if silent_us is None else silent_us // 1000,
                "lag_updates": own_lag if is_self else lag,
                "pins": _pin_shown(node, pins[name], steady_us) if name in pins else None,
            }
        )
    return shown


def _log_shown(node: Node, steady_us: int) -> dict[str, Any]:
    """How long the log is, and who keeps it from being shorter."""
    pins = node.replica.truncation.pins
    pinned = _pin_shown(node, pins[0], steady_us) if pins else None
    return {"bytes": node.log_bytes, "floor": dict(node.replica.state.floor), "pinned": pinned}


def _pin_shown(node: Node, pin: Pin, steady_us: int) -> dict[str, Any]:
    """Who lacks the oldest of the log, since when, and what it costs."""
    return {
        "by": pin.name,
        "for_ms": (steady_us - pin.since_us) // 1000,
        "bytes": node.log_bytes,
        "bytes_beyond_what_is_kept": node.replica.truncation.kept_for_pins_bytes(node.log_bytes),
    }


def _addresses(records: list[Version]) -> list[str]:
    """Each once: a node that begins anew and has not seen its record leaves that beside its own."""
    return list(dict.fromkeys(map(_address, records)))


def _address(record: Version) -> str:
    try:
        return decode_member(record.value).listen
    except MalformedError:
        return "unreadable"


def _lag(replica: Replica, claimed: Vector, counted: Reading | None = None) -> int:
    """Writes that this node has delivered and the claim does not cover; of what is counted, if that
    is not all."""
    lag = 0
    for origin, first in replica.lacking(claimed).items():
        last = replica.cut.entries[origin]
        if counted is not None:
            last = min(last, counted.value(origin))
        lag += max(0, last - first + 1)
    return lag


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
