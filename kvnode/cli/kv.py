"""`kv`: a client for the command line.

Each command is one function from a client and the arguments to an exit code: see `commands`. The
shell and the completion are none of these, since they need the command line itself.
"""

from __future__ import annotations

from kvnode.cli.start import begin, hold, run

if __name__ == "__main__":
    hold()  # before what takes a moment to load

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from kvnode import __version__
from kvnode.cli.accepting import AcceptingClient
from kvnode.cli.commands import changes, deletion, keys, nodes, ranges, transfer
from kvnode.cli.commands.command import expect_concern, no_arguments
from kvnode.cli.exits import OK, code_of, epilog, guarded
from kvnode.cli.output import Output
from kvnode.cli.parser import Parser, seconds, timeout
from kvnode.cli.streams import expect_output, printing
from kvnode.cli.tokens import read_token, write_token
from kvnode.client.addresses import DEFAULT_ADDRESS, VARIABLE
from kvnode.client.sync import Client
from kvnode.errors import KvnodeError

COMMANDS: Final = {
    **keys.COMMANDS,
    **deletion.COMMANDS,
    **ranges.COMMANDS,
    **changes.COMMANDS,
    **transfer.COMMANDS,
    **nodes.COMMANDS,
}

_SHELLS: Final = ("bash", "zsh", "fish")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return guarded("kv", _main, arguments)


def _main(arguments: Sequence[str] | None) -> int:
    parser = parser_of(in_shell=False)
    given = parser.parse_args(arguments)
    output = Output(as_json=given.json)
    if given.command == "completion":
        from kvnode.cli.completion import script

        made = script(parser, given.shell)
        output.document({"shell": given.shell, "script": made}, made.splitlines())
        return OK
    try:
        with Seat(given) as seat:
            if given.command != "shell":
                return seat.run(given, output)
            from kvnode.cli.shell import Shell

            return Shell(seat, parser_of(in_shell=True), as_json=given.json).run()
    except KvnodeError as error:
        output.error(error)
        return code_of(error)


class Seat:
    """A client for one command or several, and the file that keeps its session."""

    def __init__(self, flags: argparse.Namespace) -> None:
        self._flags = flags
        self._kept = read_token(flags.token_file)
        self.client = self._client(self._kept)

    def run(self, given: argparse.Namespace, output: Output) -> int:
        """Run a command and tell its error; the exit code."""
        begin()
        try:
            code = self._code(given, output)
        finally:  # what it has seen counts, also if it was interrupted
            kept = self._keep(output)
        return code or kept

    def _code(self, given: argparse.Namespace, output: Output) -> int:
        command = COMMANDS[given.command]
        do = _written if command.writes else command.run
        try:
            expect_concern(given)
            return do(self.client, given, output)
        except KvnodeError as error:
            output.error(error)
            return code_of(error)

    def _keep(self, output: Output) -> int:
        if self.client.token == self._kept:
            return OK
        try:
            write_token(self._flags.token_file, self.client.token)
        except KvnodeError as error:
            output.error(error)
            return code_of(error)
        self._kept = self.client.token
        return OK

    def _client(self, token: bytes | None) -> Client:
        flags = self._flags
        make = AcceptingClient if flags.accept_loss else Client
        return make(
            *(address for nodes in flags.node or () for address in nodes.split(",")),
            timeout_s=flags.timeout,
            wait_s=flags.timeout if flags.wait is None else flags.wait,
            token=token,
            retry_writes=flags.retry_writes,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()


def _written(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Run a command that writes, and leave no doubt about whether it did."""
    if given.json:
        expect_output()
    try:
        with printing("it was done, but "):
            return COMMANDS[given.command].run(client, given, output)
    except KeyboardInterrupt:
        print("kv: interrupted: the write may have been made, or may still be", file=sys.stderr)
        raise


def parser_of(*, in_shell: bool) -> Parser:
    """The command line; in a shell, a line of it, whose client and session are the shell's."""
    parser = Parser(
        prog="kv",
        description="Talk to a kvnode.",
        epilog=f"times are in seconds, or have a unit, as in 90s, 15m, 1.5h, 7d\n\n{epilog()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(in_shell=in_shell)
    _add_json(parser, False)
    if not in_shell:
        parser.add_argument("--version", action="version", version=f"kv {__version__}")
        _add_connection(parser, has_defaults=True)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, help_: str, explained: str = "") -> argparse.ArgumentParser:
        # The flags may stand before or after the command; after it, they have no defaults
        # of their own, which would undo what stood before.
        description = f"{help_[0].upper()}{help_[1:]}. {explained}".strip()
        sub = commands.add_parser(
            name, help=help_, description=description, argument_default=argparse.SUPPRESS
        )
        _add_json(sub, argparse.SUPPRESS)
        if not in_shell:
            _add_connection(sub, has_defaults=False)
        return sub

    for name, command in COMMANDS.items():
        command.add_arguments(add(name, command.help, command.explained))
    if not in_shell:
        no_arguments(add("shell", "run commands in one session, from a prompt or a pipe"))
        completion = add("completion", "print a script that completes kv's words in a shell")
        completion.add_argument("shell", choices=_SHELLS)
    return parser


def _add_json(parser: argparse.ArgumentParser, default: Any) -> None:
    parser.add_argument(
        "--json", default=default, action="store_true", help="print JSON; VALUE is JSON too"
    )


def _add_connection(parser: argparse.ArgumentParser, *, has_defaults: bool) -> None:
    def add(flag: str, default: object, **options: Any) -> None:
        parser.add_argument(flag, default=default if has_defaults else argparse.SUPPRESS, **options)

    add(
        "--node",
        None,
        action="append",
        metavar="ADDRESS",
        help="the node; more of them, by commas or by more --node, are asked when one does not "
        f"answer ({VARIABLE}, {DEFAULT_ADDRESS})",
    )
    add("--token-file", None, type=Path, metavar="FILE", help="carry a session in this file")
    add("--timeout", 5.0, type=timeout, metavar="S", help="seconds for an answer (5)")
    add(
        "--wait",
        None,
        type=seconds,
        metavar="S",
        help="seconds that a node may wait for what the session has seen (as --timeout)",
    )
    add(
        "--retry-writes",
        False,
        action="store_true",
        help="ask again for a write that got no answer; the node makes it once",
    )
    add(
        "--accept-loss",
        False,
        action="store_true",
        help="go on without what the session has seen and no node has any more",
    )


if __name__ == "__main__":
    run(main)
