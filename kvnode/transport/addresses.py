"""Addresses where sockets listen or connect to, and the hosts in them."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

_NUMBER_6: Final = r"\[[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(?:%[A-Za-z0-9._-]+)?\]"
_ADDRESS: Final = re.compile(rf"tcp://({_NUMBER_6}|\*|[A-Za-z0-9._-]+):([0-9]{{1,5}})")

_PORT_MAX: Final = 65_535


def host_of(address: str) -> str | None:
    """The host of an address, or `*`; None if it is no address: to ZeroMQ any number is a port."""
    found = _ADDRESS.fullmatch(address)
    if found is None or not 1 <= int(found[2]) <= _PORT_MAX:
        return None
    host = found[1]
    return None if host.startswith("[") and not _is_number(host) else host


def named_host(address: str) -> str | None:
    """The host of an address if it goes by a name, which has to be looked up."""
    host = host_of(address)
    return None if host is None or host == "*" or _is_number(host) else host


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
