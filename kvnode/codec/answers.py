"""Answers: what a node sends back, as `codec.client` shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kvnode.codec.packing import pack
from kvnode.core.results import (
    Absent,
    Compacted,
    Conflict,
    Delayed,
    Entry,
    Event,
    Events,
    Failed,
    Known,
    Lost,
    Page,
    Replicated,
    Result,
    Unreplicated,
    Written,
)


def encode_answer(id_: int | None, token: bytes | None, results: Iterable[Sequence[Any]]) -> bytes:
    """An answer's one frame."""
    return pack([id_, token, list(results)])


def encode_result(result: Result) -> Sequence[Any]:
    """A result of the replica, ready for `encode_answer`."""
    match result:
        case Entry(versions, more):
            return ("ok", versions, more)
        case Page(cut, records, next_):
            return ("ok", cut, records, next_)
        case Written(dot, stamp_us, expires_us):
            return ("ok", dot.origin, dot.seq, stamp_us, expires_us)
        case Known(repeated, position_):
            return ("ok", repeated, position_)
        case Absent():
            return ("absent",)
        case Events(events):
            return ("ok", [_encoded_event(event) for event in events])
        case Compacted(floor):
            return ("compacted", dict(floor))
        case Conflict(found):
            return ("conflict", [(key, sorted(dots)) for key, dots in found])
        case Delayed(reason, incoming, local, missing):
            return ("delayed", reason, dict(incoming), dict(local), missing)
        case Lost(missing, left):
            return ("lost", missing, dict(left))
        case Replicated(replicas):
            return ("ok", replicas)
        case Unreplicated(reason, dot, replicas_wanted, names):
            return ("unreplicated", reason, dot, replicas_wanted, names)
        case Failed(code, message, maybe):
            return ("error", code, message, maybe)


def _encoded_event(event: Event) -> tuple[Any, ...]:
    """As in a batch: a delete has no value, and what never expires no expiry."""
    (origin, seq), stamp_us, key, value, expires_us = event
    if value is None:
        return (origin, seq, stamp_us, key)
    if expires_us is None:
        return (origin, seq, stamp_us, key, value)
    return (origin, seq, stamp_us, key, value, expires_us)
