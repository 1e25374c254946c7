"""The arguments of calls that are numbers: what no node or clock would take is told at once."""

from __future__ import annotations

from typing import Any, Final

from kvnode.codec.packing import told
from kvnode.core.limits import REQUEST_DEADLINE_MS_MAX, TTL_MS_MAX
from kvnode.errors import InvalidRequest

#: No call needs more; and the clocks beneath it take no number of milliseconds above 2**31.
TIMEOUT_S_MAX: Final = 86_400

#: Nodes count in milliseconds.
_MILLISECOND_S: Final = 0.001


def count(value: Any, low: int, high: int, what: str) -> int:
    """An integer between these, both included. Raises InvalidRequest."""
    if type(value) is not int or not low <= value <= high:
        raise InvalidRequest(f"{what} must be an integer from {low} to {high}; not {told(value)}")
    return value


def flag(value: Any, what: str) -> bool:
    """True or False, and nothing that Python takes for one of them. Raises InvalidRequest."""
    if not isinstance(value, bool):
        raise InvalidRequest(f"{what} must be True or False; not {told(value)}")
    return value


def timeout_s(value: Any) -> float:
    """How long a call may take. Raises InvalidRequest."""
    return _seconds(value, _MILLISECOND_S, TIMEOUT_S_MAX, "timeout_s")


def wait_s(value: Any) -> float:
    """How long a node may wait. Raises InvalidRequest."""
    return _seconds(value, 0, REQUEST_DEADLINE_MS_MAX // 1000, "wait_s")


def expect_of_client(client_timeout_s: Any, client_wait_s: Any, retry_writes: Any) -> None:
    """Raises InvalidRequest if one of these can't be a client's."""
    timeout_s(client_timeout_s)
    wait_s(client_wait_s)
    flag(retry_writes, "retry_writes")


def ttl_ms(value: Any) -> int:
    """How long a value lives, in milliseconds as the node takes it. Raises InvalidRequest."""
    return int(_seconds(value, _MILLISECOND_S, TTL_MS_MAX // 1000, "ttl_s") * 1000)


def _seconds(value: Any, low: float, high: float, what: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # nor is that so for NaN
        message = f"{what} must be a number of seconds from {low} to {high}"
        raise InvalidRequest(f"{message}; not {told(value)}")
    return float(value)
