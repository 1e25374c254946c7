"""What the commands print: for people on a terminal, raw when piped, or JSON."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from kvnode.client.session import Version
from kvnode.core.vector import Dot, labels, shown
from kvnode.errors import Delayed, IndefiniteError, KvnodeError


class Output:
    """Prints results on standard output and errors on standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def value(self, key: str, versions: Sequence[Version]) -> None:
        """The winner; raw where it is text or bytes and nobody but a program looks."""
        winner, *siblings = versions
        if self._as_json:
            document = {"key": key, "value": winner.value, "siblings": len(siblings)}
            self._print_json(document | {"dot": winner.dot})
            return
        terminal = sys.stdout.isatty()
        sys.stdout.flush()
        sys.stdout.buffer.write(_raw(winner.value) + (b"\n" if terminal else b""))
        sys.stdout.flush()
        if siblings and terminal:
            print(f"({len(siblings)} concurrent siblings; the winner is shown)", file=sys.stderr)

    def absent(self, key: str) -> None:
        """There is no such key."""
        if self._as_json:
            self._print_json({"key": key, "error": "not found"})
        else:
            print(f"kv: {key}: not found", file=sys.stderr)

    def written(self, key: str, dot: Dot) -> None:
        """A write was made."""
        if self._as_json:
            self._print_json({"key": key, "dot": dot})
        elif sys.stdout.isatty():
            print("ok")

    def name(self, name: str) -> None:
        """The node answers."""
        if self._as_json:
            self._print_json({"name": name})
        else:
            print(name)

    def status(self, node: Mapping[str, Any]) -> None:
        """The node's own account."""
        if self._as_json:
            self._print_json(node)
            return
        for line in status_lines(node):
            print(line)

    def error(self, error: KvnodeError) -> None:
        """What happened, to what, and whether it may have happened all the same."""
        if self._as_json:
            document: dict[str, Any] = {
                "error": type(error).__name__,
                "message": str(error),
                "maybe": isinstance(error, IndefiniteError),
            }
            if isinstance(error, Delayed):
                document |= {
                    "status": "delayed",
                    "reason": error.reason,
                    "incoming": error.incoming,
                    "local": error.local,
                    "missing": error.missing,
                }
            self._print_json(document)
        elif isinstance(error, Delayed):
            print(f"kv: delayed: {error.reason}", file=sys.stderr)
            for name, vector in (("incoming", error.incoming), ("local", error.local)):
                print(f"  {name:9} {_vector(vector)}", file=sys.stderr)
            print(f"  {'missing':9} {_missing(error)}", file=sys.stderr)
        else:
            print(f"kv: {error}", file=sys.stderr)

    def _print_json(self, document: Mapping[str, Any]) -> None:
        print(_json(document))


def status_lines(node: Mapping[str, Any]) -> list[str]:
    """A node's status for a person."""
    storage = node["storage"]
    lines = [
        f"node        {node['name']} at {node['listen']}, gossip at {node['gossip']}",
        f"cluster     {node['cluster']}",
        f"vector      {_vector(node['vector'])}",
        f"digest      {node['digest']}",
        f"durability  {node['durability']}, up {node['uptime_s']} s",
        f"storage     {'ok' if storage['serving'] else 'failing: ' + str(storage['last_error'])}",
        f"held back   {node['held_batches']} batches, {node['held_bytes']} bytes",
    ]
    for batch in node["held"]:
        waits_for = f"waits for {_dot(batch['waits_for'])}" if batch["waits_for"] else "is ready"
        lines.append(f"            {_dot((batch['origin'], batch['first']))} {waits_for}")
    lines.append(f"parked      {node['parked_requests']} requests")
    for request in node["parked"]:
        lines.append(f"            waits for {_dot(request['waits_for'])}")
    for peer in node["peers"]:
        lines.append(f"peer        {_peer(peer)}")
    for link, action in node["faults"].items():
        lines.append(f"fault       {link}: {action}")
    for kind, count in sorted(node["complaints"].items()):
        lines.append(f"complaint   {kind.replace('_', ' ')}: {count}")
    return lines


def _peer(peer: Mapping[str, Any]) -> str:
    if peer["refusal"]:
        return f"{peer['address']} {peer['refusal']}"
    if peer["name"] is None:
        return f"{peer['address']} has not answered yet"
    lag = "has said nothing" if peer["lag_updates"] is None else f"lacks {peer['lag_updates']}"
    return f"{peer['name']} at {peer['address']}, silent for {peer['silent_ms']} ms, {lag}"


def _dot(dot: Sequence[Any]) -> str:
    origin, seq = dot
    return f"{origin.partition('~')[0]}:{seq}"


def _vector(vector: Mapping[str, int]) -> str:
    entries = (f"{label}:{seq}" for label, seq in shown(vector).items())
    return " ".join(entries) or "(nothing)"


def _missing(error: Delayed) -> str:
    named = labels({origin for origin, _, _ in error.missing})
    return " ".join(
        f"{named[origin]}:{first}" + ("" if first == last else f"-{last}")
        for origin, first, last in error.missing
    )


def _raw(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else _json(value)).encode()


def _json(value: Any) -> str:
    try:
        return json.dumps(value, default=_jsonable, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise KvnodeError(f"this can't be shown as JSON: {error}") from None


def _jsonable(value: Any) -> Any:
    """What JSON has no word for."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return str(value)
