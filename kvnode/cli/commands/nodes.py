"""The commands on nodes: `status`, `members`, `lag`, `forget`, `ping`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any, Final

from kvnode.cli.commands.command import Command, number
from kvnode.cli.exits import OK, UNHEALTHY
from kvnode.cli.members import is_late, lag_lines
from kvnode.cli.output import Output
from kvnode.cli.parser import seconds
from kvnode.client.sync import Client
from kvnode.codec.packing import INTEGER_MAX
from kvnode.errors import TimedOut, Unavailable, Unreachable

#: Between two looks: less than a heartbeat.
_LOOK_AGAIN_S: Final = 0.2


def status(client: Client, _: argparse.Namespace, output: Output) -> int:
    """Print what the node knows of itself."""
    node = client.status()
    output.status(node)
    return OK if node["storage"]["writable"] else UNHEALTHY


def members(client: Client, _: argparse.Namespace, output: Output) -> int:
    """Print who is a member, and how each does."""
    output.members(client.members(), _unheard(client.status()))
    return OK


def lag(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Print how many writes of this node's each member lacks; one that is late is a failure, and so
    is an address where nobody was heard."""
    give_up_s = time.monotonic() + given.within
    of = None
    while True:
        if given.within and of is None:
            of = _aim(client)
        found = client.members(of)
        unheard = _unheard(client.status())
        late = [member["name"] for member in found if is_late(member, given.max)]
        if not (late or unheard) or time.monotonic() >= give_up_s:
            break
        time.sleep(_LOOK_AGAIN_S)
    fields = ("name", "origin", "self", "alive", "silent_ms", "lag_updates")
    shown = [{field: member[field] for field in fields} for member in found]
    document = {"members": shown, "late": late, "unheard": unheard}
    output.document(document, lag_lines(found, unheard))
    return UNHEALTHY if late or unheard else OK


def _aim(client: Client) -> Mapping[str, int] | None:
    """What others are to have; None while the node is no member. Who waits, waits for what is there
    now: writes that go on would never be caught up with. But where a node's record as a member is
    its first write ever, that must be among them."""
    is_member = any(member["self"] and member["origin"] for member in client.members())
    vector: Mapping[str, int] | None = client.status()["vector"] if is_member else None
    return vector


def forget(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Make a node that is gone for good no member any more."""
    output.forgotten(given.name, client.forget(given.name))
    return OK


def ping(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Print the node's name, if it is as it is asked to be."""
    give_up_s = time.monotonic() + given.within
    while True:
        try:
            output.name(_pinged(client, given))
        except (Unavailable, Unreachable, TimedOut):
            if time.monotonic() >= give_up_s:
                raise
            time.sleep(_LOOK_AGAIN_S)
        else:
            return OK


def _pinged(client: Client, given: argparse.Namespace) -> str:
    if not given.alive and not given.ready:
        return client.ping()
    node = client.status()
    if given.ready and (reason := _unready(node)):
        raise Unavailable(f"{node['name']} is not ready: {reason}")
    return str(node["name"])


def _unready(node: Mapping[str, Any]) -> str | None:
    """Why clients had better go elsewhere for now, by the node's status; None if they need not."""
    if not node["storage"]["writable"]:
        return f"its disk takes no writes: {node['storage']['last_error']}"
    if node["folding"]:
        return "it is putting a snapshot in place"
    if node["joining"]:
        return "it is joining: its disk was empty, and it has not yet what its peers have"
    if refusals := _refused_by_all(node):
        return f"all its peers refuse it: {'; '.join(refusals)}"
    if not node["caught_up"]:
        return "it has started, and has not yet what its peers had then"
    return None


def _unheard(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Where it has heard nobody, by its status; nodes did not always tell."""
    unheard: list[dict[str, Any]] = node.get("unheard", [])
    return unheard


def _refused_by_all(node: Mapping[str, Any]) -> list[str]:
    """What its peers say, if none of them takes the node for one of theirs."""
    if any(peer["name"] is not None for peer in node["peers"]):
        return []
    refusing = [it for it in _unheard(node) if it["refused"]]
    return [f"{it['address']} {it['reason']}" for it in refusing]


def _add_lateness(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max",
        default=None,
        type=number(0, INTEGER_MAX),
        metavar="N",
        help="a member that lacks more is late, as one is that is silent, or a node that is asked "
        "and is no member yet (exit code 5)",
    )
    parser.add_argument(
        "--within",
        default=0.0,
        type=seconds,
        metavar="S",
        help="wait for so many seconds at most until none is late, counting what the node has now, "
        "and not what is written meanwhile (0)",
    )


def _add_state(parser: argparse.ArgumentParser) -> None:
    state = parser.add_mutually_exclusive_group()
    state.add_argument(
        "--alive",
        default=False,
        action="store_true",
        help="any answer will do: also of a node whose disk takes no writes, or that is joining",
    )
    state.add_argument(
        "--ready",
        default=False,
        action="store_true",
        help="it must take writes, and have what its peers had when it started (else exit code 5)",
    )
    parser.add_argument(
        "--within",
        default=0.0,
        type=seconds,
        metavar="S",
        help="ask again until it is so, for so many seconds at most (0)",
    )


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")


COMMANDS: Final = {
    "status": Command(
        status,
        "what the node has, waits for, and knows of its peers",
        explained="A dot such as X:3 is one write, the third of X; the vector says how many writes "
        "of each node there are. Batches that are held back came before what they build on. "
        "Requests that are parked wait until the node has what their sessions have seen.",
    ),
    "members": Command(
        members,
        "who is a member: where, alive or since when silent, its lag",
        explained="LAG is how many writes of this node's a member lacks; PINS is what is kept in "
        "the log for a member that lacks it, and since when.",
    ),
    "lag": Command(lag, "how many writes each member lacks of what the node has", _add_lateness),
    "forget": Command(
        forget, "make a node that is gone for good no member any more", _add_name, writes=True
    ),
    "ping": Command(ping, "whether the node answers, and its disk does", _add_state),
}
