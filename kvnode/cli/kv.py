"""`kv`: a small client for the command line.

Each command is one function from a client and the arguments to an exit code, in
`COMMANDS` with its arguments and help.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from kvnode import __version__
from kvnode.cli.exits import NOT_FOUND, OK, UNHEALTHY, code_of, guarded
from kvnode.cli.output import Output
from kvnode.cli.parser import Parser, seconds
from kvnode.client.sync import DEFAULT_ADDRESS, Client
from kvnode.codec.token import decode_token, printable, token_of
from kvnode.core.vector import Dot, is_origin
from kvnode.errors import IndefiniteError, InvalidRequest, KvnodeError, MalformedError, SessionLost

#: What --if-version takes for a key that must not be there.
_ABSENT: Final = "none"


class Command(NamedTuple):
    """One command: what it does, and the names of its arguments."""

    run: Callable[[Client, argparse.Namespace, Output], int]
    help: str
    arguments: tuple[str, ...] = ()
    #: Whether it writes on the condition that `--if-version` gives.
    is_conditional: bool = False


def put(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Write a value."""
    dot = client.put(_key(given), _value(given), if_version=_condition(given))
    output.written(given.key, dot)
    return OK


def get(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Print the winning value."""
    versions = client.read(_key(given))
    if not versions:
        output.absent(given.key)
        return NOT_FOUND
    output.value(given.key, versions)
    return OK


def read(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Print all versions, the winner first, each with its dot."""
    versions = client.read(_key(given))
    if not versions:
        output.absent(given.key)
        return NOT_FOUND
    output.versions(given.key, versions)
    return OK


def delete(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Delete what is visible."""
    dot = client.delete(_key(given), if_version=_condition(given))
    output.written(given.key, dot)
    return OK


def status(client: Client, _: argparse.Namespace, output: Output) -> int:
    """Print what the node knows of itself."""
    node = client.status()
    output.status(node)
    return OK if node["storage"]["writable"] else UNHEALTHY


def members(client: Client, _: argparse.Namespace, output: Output) -> int:
    """Print who is a member, and how each does."""
    output.members(client.members())
    return OK


def forget(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Make a node that is gone for good no member any more."""
    output.forgotten(given.name, client.forget(given.name))
    return OK


def ping(client: Client, _: argparse.Namespace, output: Output) -> int:
    """Print the node's name."""
    output.name(client.ping())
    return OK


COMMANDS: Final = {
    "put": Command(put, "write a value", ("key", "value"), is_conditional=True),
    "get": Command(get, "print a value; of siblings, the winner", ("key",)),
    "read": Command(read, "print all versions of a key with their dots", ("key",)),
    "del": Command(delete, "delete a key", ("key",), is_conditional=True),
    "status": Command(status, "what the node has, waits for, and knows of its peers"),
    "members": Command(members, "who is a member: where, alive or since when silent, its lag"),
    "forget": Command(forget, "make a node that is gone for good no member any more", ("name",)),
    "ping": Command(ping, "whether the node answers"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return guarded(_main, arguments)


def _main(arguments: Sequence[str] | None) -> int:
    given = _parser().parse_args(arguments)
    output = Output(as_json=given.json)
    try:
        try:
            return _run(given, output, _read_token(given.token_file))
        except SessionLost as lost:
            if not given.accept_loss:
                raise
            return _run(given, output, lost.token)
    except KvnodeError as error:
        output.error(error)
        return code_of(error)


def _run(given: argparse.Namespace, output: Output, token: bytes | None) -> int:
    with Client(
        given.node,
        timeout_s=given.timeout,
        wait_s=given.timeout if given.wait is None else given.wait,
        token=token,
    ) as client:
        code = COMMANDS[given.command].run(client, given, output)
        _write_token(given.token_file, client.token)
        return code


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="kv",
        description="Talk to a kvnode.",
        epilog="Exit codes: 0 done, 1 not found, 2 wrong usage, 3 unreachable or timed out, "
        "4 rejected by the node, 5 the node's disk does not answer.",
    )
    parser.add_argument("--version", action="version", version=f"kv {__version__}")
    _add_shared_flags(parser, os.environ.get("KVNODE_NODE", DEFAULT_ADDRESS))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        # The flags may stand before or behind the command; behind, they have no defaults
        # of their own, which would undo what stood before.
        sub = commands.add_parser(name, help=command.help, argument_default=argparse.SUPPRESS)
        _add_shared_flags(sub, None)
        for argument in command.arguments:
            sub.add_argument(argument)
        if command.is_conditional:
            sub.add_argument(
                "--if-version",
                default=None,
                metavar="DOTS",
                help="only if the key holds just these versions: dots as `kv read` prints them, "
                f"with commas; or {_ABSENT!r}, if it must not be there",
            )
    return parser


def _add_shared_flags(parser: argparse.ArgumentParser, node: str | None) -> None:
    def add(flag: str, default: object, **options: Any) -> None:
        behind = node is None
        parser.add_argument(flag, default=argparse.SUPPRESS if behind else default, **options)

    add("--node", node, metavar="ADDRESS", help=f"the node (KVNODE_NODE, {DEFAULT_ADDRESS})")
    add("--json", False, action="store_true", help="print JSON; VALUE is JSON too")
    add("--token-file", None, type=Path, metavar="FILE", help="carry a session in this file")
    add("--timeout", 5.0, type=seconds, metavar="S", help="seconds for an answer (5)")
    add(
        "--wait",
        None,
        type=seconds,
        metavar="S",
        help="seconds that a node may wait for what the session has seen (as --timeout)",
    )
    add(
        "--accept-loss",
        False,
        action="store_true",
        help="go on without what the session has seen and no node has any more",
    )


def _key(given: argparse.Namespace) -> bytes:
    """The very bytes that were typed, whatever their encoding."""
    return os.fsencode(given.key)


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
    """What was typed: text, or bytes where it is none; or what it means as JSON."""
    if not given.json:
        typed = os.fsencode(given.value)
        try:
            return typed.decode()
        except UnicodeDecodeError:
            return typed
    try:
        return json.loads(given.value)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"with --json the value must be JSON: {error}") from None


def _read_token(file: Path | None) -> bytes | None:
    if file is None or not file.exists():
        return None
    try:
        token = token_of(file.read_text())
        if token:
            decode_token(token)
    except (OSError, ValueError, MalformedError) as error:
        raise InvalidRequest(f"can't read the token file {file}: {error}") from None
    return token or None


def _write_token(file: Path | None, token: bytes | None) -> None:
    """Replace it whole, so that an interrupted command leaves the token before."""
    if file is None or token is None:
        return
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        partial.write_text(printable(token) + "\n")
        partial.replace(file)
    except OSError as error:
        raise IndefiniteError(
            f"the command was done, but its session can't be kept in {file}: {error}"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
