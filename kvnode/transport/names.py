"""Where hosts are that addresses name, as the machine's resolver says.

ZeroMQ would ask it in the one thread that sends and receives all, which would stand still until a
name server has answered: for ten seconds and more on a machine that is cut off from it, just when
one has to go on with those that can be reached. So the resolver is asked in threads of their own,
and ZeroMQ gets addresses with numbers only.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from threading import Thread
from typing import Final

_NUMBER_6: Final = r"\[[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(?:%[A-Za-z0-9._-]+)?\]"
_ADDRESS: Final = re.compile(rf"tcp://({_NUMBER_6}|[A-Za-z0-9._*-]+):([0-9]{{1,5}})")

_PORT_MAX: Final = 65_535


def host_of(address: str) -> str | None:
    """The host of an address where a socket listens or connects to; None if it is no such
    address."""
    found = _ADDRESS.fullmatch(address)
    if found is None or not 1 <= int(found[2]) <= _PORT_MAX:
        return None
    host = found[1]
    return None if host.startswith("[") and not _is_number(host) else host


def named_host(address: str) -> str | None:
    """The host of an address if it goes by a name, which has to be looked up."""
    host = host_of(address)
    return None if host is None or "*" in host or _is_number(host) else host


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def at(number: str, address: str) -> str:
    """The address with this number in place of its host's name."""
    return f"tcp://{number}:{address.rpartition(':')[2]}"


def look_up(host: str, tell: Callable[[str | OSError], None]) -> None:
    """Ask where a host is; one answer is told, sooner or later, by another thread: its number, as
    it stands in an address, or why nobody knows. By IPv4 if it can be."""
    try:
        Thread(target=_look_up, args=(host, tell), daemon=True).start()
    except RuntimeError as error:  # the machine has no room for one more
        tell(OSError(None, str(error)))


def _look_up(host: str, tell: Callable[[str | OSError], None]) -> None:
    try:
        answer: str | OSError = _number_of(host)
    except OSError as error:
        answer = error
    except UnicodeError as error:  # what can't be a name in any DNS
        answer = OSError(None, str(error))
    tell(answer)


def _number_of(host: str) -> str:
    import socket  # here: for `kv`, which most often is given a number, it would be a slower start

    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    family, _, _, _, place = min(found, key=lambda it: it[0] != socket.AF_INET)
    return f"[{place[0]}]" if family == socket.AF_INET6 else str(place[0])
