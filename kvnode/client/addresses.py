"""Which nodes a client asks: what it was given, or what the environment says."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Collection, Sequence
from typing import Any, Final

from kvnode.codec.packing import told
from kvnode.errors import InvalidRequest
from kvnode.transport.addresses import host_of
from kvnode.transport.sockets import tcp_address

DEFAULT_PORT: Final = 7411
DEFAULT_ADDRESS: Final = f"tcp://127.0.0.1:{DEFAULT_PORT}"

#: Addresses with commas between them, for a client that is given none.
VARIABLE: Final = "KVNODE_NODE"


def addresses_of(given: Sequence[Any]) -> list[str]:
    """The whole addresses of the nodes that were given, or else of those in the environment. Raises
    InvalidRequest."""
    if given:
        return [_address_of(it) for it in given]
    listed = os.environ.get(VARIABLE, "")
    if not listed.strip():
        return [DEFAULT_ADDRESS]
    try:
        return [_address_of(it.strip()) for it in listed.split(",")]
    except InvalidRequest as error:
        raise InvalidRequest(f"{VARIABLE}: {error}") from None


def _address_of(given: Any) -> str:
    if isinstance(given, str):
        address = tcp_address(given)
        for whole in (address, f"{address}:{DEFAULT_PORT}"):
            host = host_of(whole)
            if host is not None and host != "*" and not host.isdecimal():
                return whole
    raise InvalidRequest(f"{told(given)} is no address of a node: {_advice(given)}")


def _advice(given: Any) -> str:
    if isinstance(given, str):
        if "," in given:
            return "give each address as an argument of its own"
        if given.isdecimal():
            return f"the port belongs to the host, as in 'HOST:{given}'"
        if _is_ipv6(given):
            return f"write '[{given}]:{DEFAULT_PORT}'"
    elif isinstance(given, Collection) and not isinstance(given, bytes):
        return "give each address as an argument of its own, as in Client('a:7411', 'b:7411')"
    elif isinstance(given, int):
        return f"the port belongs to the host, as in Client('HOST:{given}')"
    return f"write 'HOST:PORT', or 'HOST' for port {DEFAULT_PORT}"


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
