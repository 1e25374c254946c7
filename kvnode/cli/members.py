"""The members of a cluster, as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_HEAD: Final = ("MEMBER", "ADDRESS", "STATE", "LAG", "PINS")
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


def member_lines(members: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each, under a head; columns are two spaces apart."""
    rows = [_HEAD, *(_row(member) for member in members)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _row(member: Mapping[str, Any]) -> tuple[str, ...]:
    lag, pins = member["lag_updates"], member["pins"]
    return (
        member["origin"] or member["name"],
        ", ".join(member["addresses"]) or "-",
        _state(member),
        "?" if lag is None else str(lag),
        f"{size(pins['bytes'])} of log for {duration(pins['for_ms'])}" if pins else "-",
    )


def _state(member: Mapping[str, Any]) -> str:
    if member["self"]:
        return "this node" if member["origin"] else "this node, no member yet"
    if member["alive"]:
        return "alive"
    if member["silent_ms"] is None:
        return "not heard yet"
    return f"silent for {duration(member['silent_ms'])}"


def duration(ms: int) -> str:
    """A time in its two greatest units."""
    seconds = ms // 1000
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def size(count: int) -> str:
    """A number of bytes in the unit that fits."""
    amount = float(count)
    for unit in _UNITS:
        if amount < 1024 or unit == _UNITS[-1]:
            break
        amount /= 1024
    return f"{count} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
