"""Chains and checks on the wire; apart from the rest, since clients need no digests."""

from __future__ import annotations

from typing import Any

from kvnode.core.chain import CHAIN_BYTES, CHECK_BYTES
from kvnode.errors import MalformedError


def chain(value: Any, what: str) -> bytes:
    """Check for a chain, or none."""
    if type(value) is not bytes or len(value) not in (0, CHAIN_BYTES):
        raise MalformedError(f"{what} must be {CHAIN_BYTES} bytes, or none")
    return value


def checks(value: Any, entries: int, what: str) -> bytes:
    """Check for the checks of a vector with so many entries."""
    if type(value) is not bytes or len(value) != CHECK_BYTES * entries:
        raise MalformedError(f"{what} must be {CHECK_BYTES} bytes for each entry")
    return value
