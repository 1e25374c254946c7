"""The commands on ranges of keys, of which all show one moment: `ls` and `scan`."""

from __future__ import annotations

import argparse
from typing import Any, Final

from kvnode.cli.commands.command import Command, number, typed
from kvnode.cli.exits import OK
from kvnode.cli.output import Output
from kvnode.client.sync import Client
from kvnode.codec.packing import INTEGER_MAX
from kvnode.errors import InvalidRequest


def ls(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Print keys, a line each; or how many there are."""
    if given.count:
        if given.limit is not None or given.reverse or given.long:
            raise InvalidRequest("--count counts all of a range: it takes only --start and --end")
        output.count(client.count(**_bounds(given)))
    elif given.long:
        for entry in client.entries(**_range(given)):
            output.described(entry)
    else:
        for key in client.keys(**_range(given)):
            output.key(key)
    return OK


def scan(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Print keys and their values, a line each."""
    with_siblings = 0
    for entry in client.entries(**_range(given)):
        output.entry(entry)
        with_siblings += entry.siblings > 0
    output.siblings(with_siblings)
    return output.code


def _bounds(given: argparse.Namespace) -> dict[str, Any]:
    """As bytes, so that keys come as bytes."""
    start, end = (None if it is None else typed(it) for it in (given.start, given.end))
    return {"prefix": typed(given.prefix), "start": start, "end": end}


def _range(given: argparse.Namespace) -> dict[str, Any]:
    return _bounds(given) | {"limit": given.limit, "reverse": given.reverse}


def _add_range(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("prefix", metavar="PREFIX", nargs="?", default="", help="what the keys start with")
    add("--start", default=None, metavar="KEY", help="from this key on")
    add("--end", default=None, metavar="KEY", help="to before this key")
    add("--limit", default=None, type=number(0, INTEGER_MAX), metavar="N", help="so many at most")
    add("--reverse", default=False, action="store_true", help="from the last one on")


def _add_ls(parser: argparse.ArgumentParser) -> None:
    _add_range(parser)
    add = parser.add_argument
    add(
        "--long",
        default=False,
        action="store_true",
        help="with the winner's dot, the number of its siblings, and when it expires",
    )
    add("--count", default=False, action="store_true", help="only how many there are")


COMMANDS: Final = {
    "ls": Command(ls, "print the keys with a prefix, in order", _add_ls),
    "scan": Command(scan, "print keys and values, in order, tabs between", _add_range),
}
