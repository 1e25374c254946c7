"""The commands on keys by their names: `put`, `get`, `read`, `touch`, `persist`."""

from __future__ import annotations

import argparse
from typing import Any, Final

from kvnode.cli.commands.command import (
    STDIN,
    Command,
    add_condition,
    condition,
    read_all,
    standard_input,
    typed,
    typed_text,
)
from kvnode.cli.exits import NOT_FOUND, OK
from kvnode.cli.forms import parsed
from kvnode.cli.output import Output
from kvnode.cli.parser import lifetime
from kvnode.client.scans import Entry
from kvnode.client.sync import Client
from kvnode.core.limits import VALUE_BYTES_MAX
from kvnode.core.vector import Dot
from kvnode.errors import InvalidRequest

#: What is read of standard input: JSON may spell each byte of a value in six.
_INPUT_BYTES_MAX: Final = 6 * VALUE_BYTES_MAX


def put(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Write a value."""
    dot = client.put(
        typed_text(given.key),
        _value(given),
        ttl_s=given.ttl,
        if_version=condition(given),
        replicas=given.replicas,
        timeout_s=given.replicas_timeout,
    )
    output.written(given.key, dot)
    return OK


def get(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Print the winning value; of several keys, a line each."""
    if len(given.keys) == 1:
        (key,) = given.keys
        found = client.read(typed(key))
        if not found:
            output.absent(key)
            return NOT_FOUND
        output.value(key, found)
        return output.code
    code, with_siblings = OK, 0
    for key, versions in read_all(client, given.keys):
        if versions:
            output.entry(Entry(typed(key), versions[0], len(versions) - 1))
            with_siblings += len(versions) > 1
        else:
            output.absent(key)
            code = NOT_FOUND
    output.siblings(with_siblings)
    return code or output.code


def read(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Print all versions, the winner first, each with its dot and when it expires."""
    versions = client.read(typed(given.key))
    if not versions:
        output.absent(given.key)
        return NOT_FOUND
    output.versions(given.key, versions)
    return output.code


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
        return parsed(value)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"with --json the value must be JSON: {error}") from None


def _add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY")


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
        "--ttl", default=None, type=lifetime, metavar="TIME", help="how long until it expires"
    )
    add_condition(parser)


def _add_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("keys", metavar="KEY", nargs="+")


def _add_touch(parser: argparse.ArgumentParser) -> None:
    _add_key(parser)
    parser.add_argument("ttl", metavar="TIME", type=lifetime, help="how long from now on")


COMMANDS: Final = {
    "put": Command(put, "write a value", _add_put, writes=True),
    "get": Command(get, "print values; of siblings, the winner", _add_keys),
    "read": Command(
        read,
        "print all versions of a key with their dots",
        _add_key,
        explained="The winner stands first. A dot names the write that made a version: the node's "
        "incarnation, and a number.",
    ),
    "touch": Command(touch, "have a key expire so long from now on", _add_touch, writes=True),
    "persist": Command(persist, "have a key never expire", _add_key, writes=True),
}
