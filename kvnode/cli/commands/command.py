"""What a command of `kv` is, and the arguments that several of them take."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Final, NamedTuple

from kvnode.cli.output import Output
from kvnode.cli.parser import timeout
from kvnode.client.session import Version
from kvnode.client.sync import Client
from kvnode.core.limits import REPLICAS_MAX, REQUEST_OPERATIONS_MAX
from kvnode.core.vector import Dot, is_origin
from kvnode.errors import InvalidRequest

#: What stands for standard input.
STDIN: Final = "-"

#: What --if-version takes for a key that must not be there.
_ABSENT: Final = "none"


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
    #: What the help of the command says beside that: what its output means.
    explained: str = ""


def typed(text: str) -> bytes:
    """The very bytes that were typed, whatever their encoding."""
    return os.fsencode(text)


def typed_text(text: str) -> str:
    """The same as the client's text, for a key that its errors are to name as it was typed."""
    return typed(text).decode("utf-8", "surrogateescape")


def number(low: int, high: int) -> Callable[[str], int]:
    """The type of arguments that count."""

    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text[:20]) <= high:
            raise argparse.ArgumentTypeError(f"{text[:80]!r} is no number from {low} to {high}")
        return int(text)

    return number


def read_all(client: Client, keys: Sequence[str]) -> Iterator[tuple[str, Sequence[Version]]]:
    """All versions of each key, the winner first. What one answer holds is of one moment."""
    for at in range(0, len(keys), REQUEST_OPERATIONS_MAX):
        with client.pipeline() as pipeline:
            asked = [pipeline.read(typed(key)) for key in keys[at : at + REQUEST_OPERATIONS_MAX]]
        for key, pending in zip(keys[at:], asked, strict=False):
            try:
                yield key, pending.result()
            except InvalidRequest:  # it does not fit an answer with the others
                yield key, client.read(typed(key))


def condition(given: argparse.Namespace) -> list[Dot] | None:
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


def add_condition(parser: argparse.ArgumentParser) -> None:
    """For writes of a key that may ask what it holds."""
    parser.add_argument(
        "--if-version",
        default=None,
        metavar="DOTS",
        help="only if the key holds just these versions: dots (the names of writes) as `kv read` "
        f"prints them, with commas; or {_ABSENT!r}, if it must not be there",
    )
    add_replicas(parser)


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
        type=timeout,
        metavar="S",
        help="seconds that a command with --replicas may take (as --timeout)",
    )


def expect_concern(given: argparse.Namespace) -> None:
    """Raises InvalidRequest for a time to wait for replicas where none are asked for."""
    concern = vars(given)
    if concern.get("replicas_timeout") is not None and concern["replicas"] is None:
        raise InvalidRequest("--replicas-timeout is for --replicas: say how many")


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
