"""Hypothesis strategies that several tests share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgpack
from hypothesis import strategies as st

from kvnode.codec.batches import encode_batch
from kvnode.codec.packing import INTEGER_MAX
from kvnode.core.batch import Batch, Change, Write, reduced
from kvnode.core.chain import CHAIN_BYTES, CHECK_BYTES
from kvnode.core.clock import STAMP_US_MAX
from kvnode.core.limits import BATCH_WRITES_MAX
from kvnode.core.messages import Claim
from kvnode.core.vector import RANDOM_BITS, new_origin
from kvnode.core.versions import Version
from tests.histories import History, random_history

# --- vectors and batches

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)
origins = st.builds(
    new_origin, names, st.integers(0, (1 << 35) - 1), st.integers(0, (1 << RANDOM_BITS) - 1)
)
seqs = st.integers(1, INTEGER_MAX)
stamps = st.integers(1, STAMP_US_MAX)
vectors = st.dictionaries(origins, seqs, max_size=5)
#: Of an origin's batches; or none.
chains = st.just(b"") | st.binary(min_size=CHAIN_BYTES, max_size=CHAIN_BYTES)
clusters = st.text(max_size=16)
keys = st.binary(min_size=1, max_size=20)
values = st.binary(max_size=20)
#: When a version expires.
expiries = st.none() | st.integers(1, INTEGER_MAX)
versions = st.builds(Version, stamps, origins, seqs, values, expiries)


def checks(entries: int) -> st.SearchStrategy[bytes]:
    """The checks of a vector with so many entries."""
    return st.binary(min_size=CHECK_BYTES * entries, max_size=CHECK_BYTES * entries)


def checked(claims: st.SearchStrategy[Claim]) -> st.SearchStrategy[Claim]:
    """These claims, with checks of what they say is delivered."""
    return claims.flatmap(
        lambda it: checks(len(it.delivered)).map(lambda made: replace(it, checks=made))
    )


def writes(keys: st.SearchStrategy[bytes] = keys) -> st.SearchStrategy[Write]:
    """Changes of up to three of these keys."""
    puts = st.builds(Change, keys, values, expiries)
    changes = puts | keys.map(lambda key: Change(key, None))
    return st.lists(changes, min_size=1, max_size=3).map(reduced)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Any batch that the codec should know to carry."""
    origin = draw(origins)
    first = draw(st.integers(1, INTEGER_MAX - BATCH_WRITES_MAX))
    deps = draw(vectors.map(lambda it: {key: it[key] for key in it if key != origin}))
    stamp_us = draw(stamps)
    body = tuple(draw(st.lists(writes(), min_size=1, max_size=4)))
    in_chain = draw(chains), draw(checks(len(deps)))
    encoded = encode_batch(origin, first, deps, stamp_us, body, *in_chain)
    return Batch(origin, first, deps, stamp_us, body, encoded, *in_chain)


# --- histories


def histories() -> st.SearchStrategy[History]:
    """Two to four replicas that write, deliver, restart, and lose or copy disks.

    Drawn from a seed: quick to make, with long ones among them, and shrunk by cutting off
    the end.
    """
    return st.builds(
        random_history, st.sampled_from(["WX", "WXY", "WXYZ"]), st.integers(0, 80), st.integers()
    )


# --- hostile bytes

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.binary(max_size=8)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4) | st.binary(max_size=4), inner, max_size=4)
    ),
    max_leaves=6,
)


@st.composite
def hostile(draw: st.DrawFn, sound: st.SearchStrategy[bytes]) -> bytes:
    """Noise, and sound messages cut short, with a bit flipped, or with a part exchanged."""
    kind = draw(st.sampled_from(["noise", "cut", "flipped", "longer", "exchanged"]))
    if kind == "noise":
        return draw(st.binary(max_size=64))
    data = draw(sound)
    if kind == "cut":
        return data[: draw(st.integers(0, len(data) - 1))]
    if kind == "flipped":
        bit = draw(st.integers(0, 8 * len(data) - 1))
        return (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big")
    if kind == "longer":
        return data + draw(st.binary(min_size=1, max_size=4))
    tree = msgpack.unpackb(data)
    path = draw(st.sampled_from(list(_paths(tree))))
    return bytes(msgpack.packb(_exchanged(tree, path, draw(anything))))


def _paths(tree: Any) -> Iterator[tuple[Any, ...]]:
    yield ()
    if isinstance(tree, list | dict):
        for at, inner in enumerate(tree) if isinstance(tree, list) else tree.items():
            yield from ((at, *path) for path in _paths(inner))


def _exchanged(tree: Any, path: tuple[Any, ...], part: Any) -> Any:
    if not path:
        return part
    at, *rest = path
    copy = tree.copy()
    copy[at] = _exchanged(tree[at], tuple(rest), part)
    return copy
