"""The command on what changes: `watch`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Final

from kvnode.cli.accepting import told_of_loss
from kvnode.cli.commands.command import Command, number, typed
from kvnode.cli.output import Output
from kvnode.cli.parser import seconds
from kvnode.cli.tokens import read_token, write_token
from kvnode.client.sync import Client
from kvnode.codec.packing import INTEGER_MAX

#: How long a node is asked to wait for changes; then it is asked again.
_WAIT_S: Final = 20.0


def watch(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Print each change of keys with a prefix as it comes."""
    since = given.since if given.resume is None else read_token(given.resume)
    left = given.count
    end_s = None if given.seconds is None else time.monotonic() + given.seconds

    def keep(token: bytes) -> None:
        # At once: who ends this before anything comes has accepted the loss all the same.
        write_token(given.resume, token)

    with (
        client.watch(typed(given.prefix), since=since) as changes,
        told_of_loss(client, keep),
    ):
        # What comes from now on is meant, also if nothing does before it is stopped.
        write_token(given.resume, changes.token)
        while left != 0 and (end_s is None or time.monotonic() < end_s):
            wait_s = _WAIT_S if end_s is None else min(_WAIT_S, max(0, end_s - time.monotonic()))
            found = changes.poll(wait_s)[:left]
            for change in found:
                output.change(change)
            sys.stdout.flush()
            # After what was printed: who is killed in between sees that twice, and misses nothing.
            write_token(given.resume, found[-1].token if found else changes.token)
            left = None if left is None else left - len(found)
    return output.code


def _add_watch(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("prefix", metavar="PREFIX", nargs="?", default="", help="what the keys start with")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument(
        "--since",
        default=None,
        metavar="TOKEN",
        help="begin there, not now: with a token of --json, or of a token file",
    )
    begin.add_argument(
        "--resume",
        default=None,
        type=Path,
        metavar="FILE",
        help="keep in this file how far it came, and go on from there if it is there",
    )
    add(
        "--count",
        default=None,
        type=number(1, INTEGER_MAX),
        metavar="N",
        help="end after so many changes",
    )
    add(
        "--for",
        dest="seconds",
        default=None,
        type=seconds,
        metavar="S",
        help="end after so many seconds",
    )


COMMANDS: Final = {
    "watch": Command(watch, "print changes as they come, until Ctrl-C", _add_watch),
}
