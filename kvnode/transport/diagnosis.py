"""What listens at an address where no node answers: for people, who gave the wrong one perhaps.

ZeroMQ tries again and again, and tells nobody why it is in vain. So this opens a connection of its
own, and reads how the other side begins to speak ZeroMQ's protocol, ZMTP 3 (RFC 23).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Final

#: What is wrong where the machine refuses connections.
NOBODY_LISTENS: Final = "no program listens there"

#: Signature and version 3.0; then mechanism NULL, a client, and what fills 64 bytes.
_VERSION: Final = bytes.fromhex("ff 0000000000000001 7f 03 00")
_MECHANISM: Final = b"NULL".ljust(52, b"\0")
_GREETING_BYTES: Final = 64
_NULL: Final = b"NULL".ljust(20, b"\0")

#: Read of what the other side says: its greeting, and the command that names its socket.
_READ_BYTES_MAX: Final = 512

#: A property of that command: its name, and the length of its value in the last of four bytes.
_SOCKET_TYPE: Final = re.compile(rb"\x0bSocket-Type\x00\x00\x00.([A-Z]+)", re.DOTALL)


def diagnosed(address: str, timeout_s: float) -> str:
    """What is wrong at an address with a number, in words. Takes three times as long at most."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(_VERSION)
            heard = _read(connection, lambda heard: len(heard) >= _GREETING_BYTES)
            if heard[12:32] == _NULL:  # a socket that wants another one hangs up on this
                connection.sendall(_MECHANISM)
                heard += _read(connection, lambda heard: _SOCKET_TYPE.search(heard) is not None)
            return _judged(heard)
    except TimeoutError:
        return "nothing comes back: a firewall may drop what is sent there, or its machine is down"
    except ConnectionRefusedError:
        return NOBODY_LISTENS
    except OSError as error:
        return error.strerror or str(error)


def _read(connection: socket.socket, is_enough: Callable[[bytes], bool]) -> bytes:
    """What the other side says, until that is enough, or it says no more."""
    heard = b""
    try:
        while len(heard) < _READ_BYTES_MAX and not is_enough(heard):
            said = connection.recv(_READ_BYTES_MAX)
            if not said:
                break
            heard += said
    except (TimeoutError, ConnectionResetError):
        pass  # what it has said by then may do
    return heard


def _judged(heard: bytes) -> str:
    if not heard:
        return "what listens there says nothing"
    if heard[0] != 0xFF or len(heard) < 10 or not heard[9] & 1:
        return "what listens there does not speak ZeroMQ's protocol"
    mechanism = heard[12:32]
    if len(mechanism) == 20 and mechanism != _NULL:
        name = mechanism.rstrip(b"\0").decode("ascii", "replace")
        return f"what listens there wants the security mechanism {name!r}"
    found = _SOCKET_TYPE.search(heard)
    kind = found[1].decode() if found else None
    if kind == "PUB":
        return "a gossip port listens there; give the port of that node's --listen instead"
    if kind == "ROUTER":
        return "something listens there as a node does, and does not answer"
    return "what listens there speaks ZeroMQ's protocol, but is no node"
