"""The command that deletes: `del`, of keys by their names or of all with a prefix."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from kvnode.cli.commands.command import (
    Command,
    add_condition,
    add_progress,
    condition,
    read_all,
    typed,
)
from kvnode.cli.exits import NOT_FOUND, OK
from kvnode.cli.output import Output
from kvnode.cli.progress import Progress
from kvnode.cli.streams import expect_output
from kvnode.client.sync import Client
from kvnode.core.vector import Dot
from kvnode.errors import Conflict, InvalidRequest, KvnodeError

#: Keys of one write: the node folds them in in one turn, some milliseconds of work. With what each
#: must hold they are less than half of what a write may name.
_KEYS_MAX: Final = 1000

#: How often others may write a key between the look at it and its deletion: then they never rest.
_TRIES_MAX: Final = 20


def delete(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Delete what is visible. What is not there is told, and nothing is written for it."""
    if sum((bool(given.keys), given.prefix is not None, given.all)) != 1:
        raise InvalidRequest("del takes keys, or --prefix, or --all")
    if not given.keys:
        return _delete_range(client, given, output)
    keys = list(dict.fromkeys(given.keys))
    if given.if_version is not None and len(keys) > 1:
        raise InvalidRequest("--if-version is for one key")
    dots: dict[str, Dot] = {}
    for at in range(0, len(keys), _KEYS_MAX):
        dots |= _deleted(client, given, keys[at : at + _KEYS_MAX])
    for key in keys:
        if key in dots:
            output.written(key, dots[key])
        else:
            output.absent(key)
    return OK if len(dots) == len(keys) else NOT_FOUND


def _deleted(client: Client, given: argparse.Namespace, keys: Sequence[str]) -> dict[str, Dot]:
    """Delete those that are there, as one write; its dot for each of them."""
    concern = {"replicas": given.replicas, "timeout_s": given.replicas_timeout}
    wanted = condition(given)
    if wanted is not None:
        (key,) = keys
        if not wanted and not client.read(typed(key)):
            return {}
        return {key: client.delete(typed(key), if_version=wanted, **concern)}
    for left in reversed(range(_TRIES_MAX)):
        held = {key: versions for key, versions in read_all(client, keys) if versions}
        if not held:
            return {}
        seen = {typed(key): versions for key, versions in held.items()}
        try:
            dot = client.delete_many(seen, if_version=seen, **concern)
            assert dot is not None, "there are keys"
            return dict.fromkeys(held, dot)
        except Conflict:  # somebody writes them meanwhile
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def _delete_range(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Delete all keys with a prefix, part by part, and say how many."""
    if given.prefix == "":
        raise InvalidRequest("an empty --prefix is that of every key: if you mean that, say --all")
    if given.if_version is not None:
        raise InvalidRequest("--if-version is for one key")
    expect_output()
    progress = Progress(wanted=given.progress)
    deleted = 0
    part: Iterable[bytes] = ()
    keys = client.keys(typed(given.prefix or ""), page=_KEYS_MAX)
    try:
        while part := list(islice(keys, _KEYS_MAX)):
            client.delete_many(part, replicas=given.replicas, timeout_s=given.replicas_timeout)
            deleted += len(part)
            progress.at("{} keys deleted", deleted)
    except (KvnodeError, KeyboardInterrupt):
        progress.tell(f"{deleted:,} keys are deleted so far")
        raise
    output.document({"deleted": deleted}, [f"deleted     {deleted} keys"])
    return OK if deleted else NOT_FOUND


def _add_delete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("keys", metavar="KEY", nargs="*", default=[])
    parser.add_argument(
        "--prefix",
        default=None,
        metavar="PREFIX",
        help="instead, all keys that start so, and say how many; a thousand in one write",
    )
    parser.add_argument("--all", default=False, action="store_true", help="instead, every key")
    add_condition(parser)
    add_progress(parser)


COMMANDS: Final = {"del": Command(delete, "delete keys", _add_delete, writes=True)}
