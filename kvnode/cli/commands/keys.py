"""The commands on one key: `put`, `get`, `read`, `del`, `touch`, `persist`."""

from __future__ import annotations

import argparse
import json
from typing import Any, Final

from kvnode.cli.commands.command import STDIN, Command, add_replicas, standard_input, typed
from kvnode.cli.exits import NOT_FOUND, OK
from kvnode.cli.output import Output
from kvnode.client.sync import Client
from kvnode.core.limits import VALUE_BYTES_MAX
from kvnode.core.vector import Dot, is_origin
from kvnode.errors import InvalidRequest

#: What --if-version takes for a key that must not be there.
_ABSENT: Final = "none"

#: What is read of standard input: JSON may spell each byte of a value in six.
_INPUT_BYTES_MAX: Final = 6 * VALUE_BYTES_MAX


def put(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Write a value."""
    dot = client.put(
        typed(given.key),
        _value(given),
        ttl_s=given.ttl,
        if_version=_condition(given),
        replicas=given.replicas,
        timeout_s=given.replicas_timeout,
    )
    output.written(given.key, dot)
    return OK


def get(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Print the winning value."""
    versions = client.read(typed(given.key))
    if not versions:
        output.absent(given.key)
        return NOT_FOUND
    output.value(given.key, versions)
    return OK


def read(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Print all versions, the winner first, each with its dot and when it expires."""
    versions = client.read(typed(given.key))
    if not versions:
        output.absent(given.key)
        return NOT_FOUND
    output.versions(given.key, versions)
    return OK


def delete(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Delete what is visible."""
    dot = client.delete(
        typed(given.key),
        if_version=_condition(given),
        replicas=given.replicas,
        timeout_s=given.replicas_timeout,
    )
    output.written(given.key, dot)
    return OK


def touch(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Have a key expire so many seconds from now on."""
    return _touched(given, output, client.touch(typed(given.key), given.ttl))


def persist(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Have a key never expire."""
    return _touched(given, output, client.persist(typed(given.key)))


def _touched(given: argparse.Namespace, output: Output, dot: Dot | None) -> int:
    if dot is None:
        output.absent(given.key)
        return NOT_FOUND
    output.written(given.key, dot)
    return OK


def _condition(given: argparse.Namespace) -> list[Dot] | None:
    """What the key must hold, if that was told."""
    if given.if_version in (None, _ABSENT):
        return None if given.if_version is None else []
    dots = []
    for text in given.if_version.split(","):
        origin, _, seq = text.rpartition(":")
        if not is_origin(origin) or not seq.isdecimal():
            raise InvalidRequest(f"{text!r} is no dot; `kv read` prints such, or say {_ABSENT!r}")
        dots.append(Dot(origin, int(seq)))
    return dots


def _value(given: argparse.Namespace) -> Any:
    """What was typed or piped: text, or bytes where it is none; or what it means as JSON."""
    if given.value in (None, STDIN):
        value = standard_input(given).read(_INPUT_BYTES_MAX + 1)
        if len(value) > _INPUT_BYTES_MAX:
            raise InvalidRequest(f"a value has at most {VALUE_BYTES_MAX} bytes; this has more")
    else:
        value = typed(given.value)
    if not given.json:
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"with --json the value must be JSON: {error}") from None


def _ttl(text: str) -> float:
    """The type of arguments that say how long a value lives; the client knows the bounds."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None


def _add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY")


def _add_condition(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--if-version",
        default=None,
        metavar="DOTS",
        help="only if the key holds just these versions: dots as `kv read` prints them, "
        f"with commas; or {_ABSENT!r}, if it must not be there",
    )
    add_replicas(parser)


def _add_put(parser: argparse.ArgumentParser) -> None:
    _add_key(parser)
    parser.add_argument(
        "value",
        metavar="VALUE",
        nargs="?",
        default=None,
        help=f"text, or with --json JSON; from standard input if it is left out, or {STDIN}",
    )
    parser.add_argument(
        "--ttl", default=None, type=_ttl, metavar="S", help="seconds until the value expires"
    )
    _add_condition(parser)


def _add_delete(parser: argparse.ArgumentParser) -> None:
    _add_key(parser)
    _add_condition(parser)


def _add_touch(parser: argparse.ArgumentParser) -> None:
    _add_key(parser)
    parser.add_argument("ttl", metavar="S", type=_ttl, help="seconds from now on")


COMMANDS: Final = {
    "put": Command(put, "write a value", _add_put, writes=True),
    "get": Command(get, "print a value; of siblings, the winner", _add_key),
    "read": Command(read, "print all versions of a key with their dots", _add_key),
    "del": Command(delete, "delete a key", _add_delete, writes=True),
    "touch": Command(touch, "have a key expire so long from now on", _add_touch, writes=True),
    "persist": Command(persist, "have a key never expire", _add_key, writes=True),
}
