"""The members of a cluster, as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_HEAD: Final = ("MEMBER", "ADDRESS", "STATE", "LAG", "PINS")
_LAG_HEAD: Final = ("MEMBER", "LAG", "STATE")
_PINS: Final = "PINS: what is kept in the log for a member that lacks it, and since when"
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


def member_lines(members: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each, under a head, and what is not plain of the head where it matters."""
    pins = [_PINS] if any(member["pins"] for member in members) else []
    return [*_table([_HEAD, *(_row(member) for member in members)]), *pins]


def lag_lines(
    members: Sequence[Mapping[str, Any]], unheard: Sequence[Mapping[str, str]]
) -> list[str]:
    """How late each is, under a head, and where nobody was heard."""
    rows = [(member["name"], _lag(member), _state(member)) for member in members]
    return [*_table([_LAG_HEAD, *rows]), *unheard_lines(unheard)]


def unheard_lines(unheard: Sequence[Mapping[str, str]]) -> list[str]:
    """Where there should be a peer, and nobody was heard."""
    return [f"not heard: {it['address']}: {it['reason']}" for it in unheard]


def is_late(member: Mapping[str, Any], lag_updates_max: int | None) -> bool:
    """Whether it is not heard; if a number is given, also whether it lacks more writes, or is the
    node that was asked, which has not joined yet."""
    lag, limit = member["lag_updates"], lag_updates_max
    if member["self"]:
        return limit is not None and member["origin"] is None
    return not member["alive"] or (limit is not None and (lag is None or lag > limit))


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _row(member: Mapping[str, Any]) -> tuple[str, ...]:
    pins = member["pins"]
    return (
        member["origin"] or member["name"],
        ", ".join(member["addresses"]) or "-",
        _state(member),
        _lag(member),
        f"{size(pins['bytes'])} of log for {duration(pins['for_ms'])}" if pins else "-",
    )


def _lag(member: Mapping[str, Any]) -> str:
    lag = member["lag_updates"]
    return "?" if lag is None else str(lag)


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
