"""What a node answers to peers that pull from it: as much as they asked for, and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvnode.codec.batches import first_dot
from kvnode.codec.packing import pack
from kvnode.codec.pieces import encode_piece
from kvnode.codec.server import Since, Snapshot
from kvnode.codec.snapshots import Part, encode_part
from kvnode.core.vector import Dot
from kvnode.daemon.kept import Of, PartOf
from kvnode.daemon.node import Node


def pulled(node: Node, asked: Since, steady_us: int) -> tuple[Any, ...]:
    """Batches, or a piece of the first one if it alone is too long. Raises StorageError or
    Refused."""

    def is_lacking(of: Of) -> bool:
        return isinstance(of, Dot) and node.replica.lacks(asked.vector, of)

    if going_on := node.kept.goes_on(asked.begun, asked.bytes_max, is_lacking, steady_us):
        return encode_piece(going_on[1])
    batches = node.since(asked.vector, asked.bytes_max)
    if not batches or len(batches[0]) <= asked.bytes_max:
        return ("ok", batches)
    of = first_dot(batches[0])
    return encode_piece(node.kept.cut(batches[0], of, asked.begun, asked.bytes_max, steady_us))


def fetched(
    node: Node,
    asked: Snapshot,
    steady_us: int,
    sent: Callable[[Part], Part] = lambda part: part,
) -> tuple[Any, ...]:
    """A part of a snapshot, or a piece of it if it is too long, as one record may be; `sent` tells
    what becomes of it. Raises StorageError or Refused."""

    def is_asked(of: Of) -> bool:
        is_part = isinstance(of, PartOf) and of.after == asked.after
        return is_part and asked.number in (None, of[0])

    if going_on := node.kept.goes_on(asked.begun, asked.bytes_max, is_asked, steady_us):
        (number, _), piece = going_on
        assert isinstance(number, int)
        node.reads_on(number, steady_us)
        return encode_piece(piece)
    part = sent(node.snapshot(asked.number, asked.after, asked.bytes_max, steady_us))
    result = encode_part(part)
    if sum(len(key) + len(value) for key, value in part.origins + part.table) <= asked.bytes_max:
        return result
    of = PartOf(part.number, part.start)
    return encode_piece(node.kept.cut(pack(result), of, asked.begun, asked.bytes_max, steady_us))
