"""What a command of `kv` is, and the arguments that several of them take."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import IO, Final, NamedTuple

from kvnode.cli.output import Output
from kvnode.cli.parser import seconds
from kvnode.client.sync import Client
from kvnode.core.limits import CONCERN_TIMEOUT_MS_MAX, REPLICAS_MAX
from kvnode.errors import InvalidRequest

#: What stands for standard input.
STDIN: Final = "-"


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """For commands that take none."""


class Command(NamedTuple):
    """What it does, its help, and what adds its arguments to a parser. These need defaults of
    their own: see `kv.parser_of`."""

    run: Callable[[Client, argparse.Namespace, Output], int]
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None] = no_arguments
    #: Whether it changes anything at the node.
    writes: bool = False


def typed(text: str) -> bytes:
    """The very bytes that were typed, whatever their encoding."""
    return os.fsencode(text)


def number(low: int, high: int) -> Callable[[str], int]:
    """The type of arguments that count."""

    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text[:20]) <= high:
            raise argparse.ArgumentTypeError(f"{text[:80]!r} is no number from {low} to {high}")
        return int(text)

    return number


def add_replicas(parser: argparse.ArgumentParser) -> None:
    """For writes that may wait until others have them."""
    parser.add_argument(
        "--replicas",
        default=None,
        type=number(1, REPLICAS_MAX),
        metavar="N",
        help="wait until so many members have it synced to disk, the node among them",
    )
    parser.add_argument(
        "--replicas-timeout",
        default=None,
        type=seconds,
        metavar="S",
        help=f"seconds that --replicas may take (5; at most {CONCERN_TIMEOUT_MS_MAX // 1000})",
    )


def add_progress(parser: argparse.ArgumentParser) -> None:
    """For commands that may take long."""
    parser.add_argument(
        "--progress",
        default=False,
        action="store_true",
        help="tell how far it is on standard error, even if that is no terminal",
    )


def standard_input(given: argparse.Namespace) -> IO[bytes]:
    """What is piped or typed into the command. Raises InvalidRequest where that is where the
    commands come from."""
    if given.in_shell:
        raise InvalidRequest("in a shell, standard input is for its commands: name a file or value")
    return sys.stdin.buffer
