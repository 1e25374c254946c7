"""What the commands print: for people on a terminal, raw when piped, or JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from kvnode.cli.exits import OK, UNREADABLE
from kvnode.cli.forms import (
    as_json,
    in_line,
    json_or_repr,
    jsonable,
    key_as_json,
    raw,
    time_as_json,
)
from kvnode.cli.incarnations import Incarnations
from kvnode.cli.members import duration, member_lines, size, unheard_lines
from kvnode.cli.streams import OutputFailed, printing
from kvnode.client.scans import Entry
from kvnode.client.session import Version, encoded
from kvnode.client.watches import Change
from kvnode.codec.token import printable
from kvnode.core.vector import Dot
from kvnode.errors import (
    Compacted,
    Conflict,
    Delayed,
    IndefiniteError,
    KvnodeError,
    SessionLost,
    UnreadableValue,
    Unreplicated,
)


class Output:
    """Prints results on standard output and errors on standard error."""

    def __init__(self, *, as_json: bool, program: str = "kv") -> None:
        self._as_json = as_json
        self._program = program
        #: How a command ends that has shown all this.
        self.code = OK

    def value(self, key: str, versions: Sequence[Version]) -> None:
        """The winner; raw where it is text or bytes and nobody but a program looks."""
        winner, *siblings = versions
        if self._as_json:
            document = {
                "key": key_as_json(os.fsencode(key)),
                "value": winner.value,
                "siblings": len(siblings),
            }
            self._print_value(document | {"dot": winner.dot})
            return
        if isinstance(winner.value, UnreadableValue):
            self.unreadable(winner.value)
            return
        terminal = sys.stdout.isatty()
        sys.stdout.flush()
        sys.stdout.buffer.write(raw(winner.value) + (b"\n" if terminal else b""))
        sys.stdout.flush()
        if siblings and _is_watched():
            several = f"{len(siblings)} concurrent sibling{'s' * (len(siblings) > 1)}"
            told = f"{in_line(os.fsencode(key))} has {several}; `kv read` shows all versions"
            print(f"{self._program}: {told}", file=sys.stderr)

    def versions(self, key: str, versions: Sequence[Version]) -> None:
        """All of them, the winner first: a line each, the value as JSON."""
        if self._as_json:
            shown = [self._read({"value": it.value}) | _about(it) for it in versions]
            shown = [it | {"value": jsonable(it["value"])} for it in shown]
            self._print_json({"key": key_as_json(os.fsencode(key)), "versions": shown})
            return
        for it in versions:
            expiry = f"  expires {it.expires_at.isoformat()}" if it.expires_at else ""
            text = "-"
            if isinstance(it.value, UnreadableValue):
                self.unreadable(it.value)
            else:
                text = json_or_repr(it.value)
            print(f"{_whole(it.dot)}  {text}{expiry}")

    def siblings(self, count: int) -> None:
        """So many of the keys that were shown have siblings, which were not."""
        if count and not self._as_json and _is_watched():
            sys.stdout.flush()
            have = "key has" if count == 1 else "keys have"
            told = f"{count:,} {have} concurrent siblings; `kv read` shows all versions"
            print(f"{self._program}: {told}", file=sys.stderr)

    def absent(self, key: str) -> None:
        """There is no such key."""
        if self._as_json:
            with printing("it is not there, but "):
                self._print_json({"key": key_as_json(os.fsencode(key)), "error": "not found"})
        else:
            print(f"{self._program}: {in_line(os.fsencode(key))}: not found", file=sys.stderr)

    def written(self, key: str, dot: Dot) -> None:
        """A write was made."""
        if self._as_json:
            self._print_json({"key": key_as_json(os.fsencode(key)), "dot": dot})
        elif sys.stdout.isatty():
            print("ok")

    def key(self, key: bytes) -> None:
        """One of many keys: raw where nobody but a program looks."""
        if self._as_json:
            self._print_json({"key": key_as_json(key)})
        elif sys.stdout.isatty():
            print(in_line(key))
        else:
            sys.stdout.buffer.write(key + b"\n")

    def described(self, entry: Entry) -> None:
        """One of many keys, with what is known of it beside its value."""
        key, winner, siblings = entry
        if self._as_json:
            document = {"key": key_as_json(key), "siblings": siblings}
            self._print_json(document | _about(winner))
            return
        expiry = winner.expires_at.isoformat() if winner.expires_at else "-"
        print(_whole(winner.dot), siblings, expiry, in_line(key), sep="\t")

    def entry(self, entry: Entry) -> None:
        """One of many keys, and its value."""
        key, winner, siblings = entry
        if self._as_json:
            document = {"key": key_as_json(key), "value": winner.value, "siblings": siblings}
            self._print_value(document | _about(winner))
        elif isinstance(winner.value, UnreadableValue):
            self.unreadable(winner.value)
        else:
            print(in_line(key), in_line(winner.value), sep="\t")

    def count(self, count: int) -> None:
        """How many keys there are."""
        self.document({"count": count}, [str(count)])

    def change(self, change: Change) -> None:
        """One of many changes."""
        if self._as_json:
            document = {
                "key": key_as_json(change.key),
                "value": change.value,
                "delete": change.is_delete,
                "token": printable(change.token),
            }
            self._print_value(document | _about(change))
        elif change.is_delete:
            print("del", in_line(change.key), sep="\t")
        elif isinstance(change.value, UnreadableValue):
            self.unreadable(change.value)
        else:
            print("put", in_line(change.key), in_line(change.value), sep="\t")

    def name(self, name: str) -> None:
        """The node answers."""
        if self._as_json:
            self._print_json({"name": name})
        else:
            print(name)

    def members(
        self, members: Sequence[Mapping[str, Any]], unheard: Sequence[Mapping[str, str]]
    ) -> None:
        """All members, as a node knows them, and where it has heard nobody."""
        document = {"members": members, "unheard": unheard}
        self.document(document, [*member_lines(members), *unheard_lines(unheard)])

    def forgotten(self, name: str, dot: Dot) -> None:
        """A node is no member any more."""
        if self._as_json:
            self._print_json({"name": name, "dot": dot})
        elif sys.stdout.isatty():
            print(f"{name} is no member any more")

    def status(self, node: Mapping[str, Any]) -> None:
        """The node's own account."""
        self.document(node, status_lines(node))

    def document(self, document: Mapping[str, Any], lines: Sequence[str]) -> None:
        """One thing, for programs or for people."""
        if self._as_json:
            self._print_json(document)
            return
        for line in lines:
            print(line)

    def error(self, error: KvnodeError) -> None:
        """What happened, to what, and whether it may have happened all the same."""
        if not self._as_json:
            self._tell(error)
            return
        try:
            self._print_json(_error_document(error))
            sys.stdout.flush()
        except OutputFailed:  # which is told in the end, too
            self._tell(error)

    def _tell(self, error: KvnodeError) -> None:
        for line in error_lines(error):
            print(f"{self._program}: {line}" if line[:1] != " " else line, file=sys.stderr)

    def unreadable(self, value: UnreadableValue) -> None:
        """Name a key whose value is not among what is shown."""
        self.code = UNREADABLE
        sys.stdout.flush()
        told = f"the value of {in_line(value.key)} can't be read: {value.reason}"
        print(f"{self._program}: {told}; `kv read --json` shows its bytes", file=sys.stderr)

    def _read(self, document: dict[str, Any]) -> dict[str, Any]:
        """A value that can't be read as its bytes, and why it can't."""
        value = document["value"]
        if not isinstance(value, UnreadableValue):
            return document
        self.code = UNREADABLE
        return document | {"value": jsonable(value), "unreadable": value.reason}

    def _print_value(self, document: dict[str, Any]) -> None:
        """One that JSON has no form for is msgpack; among others, these are shown all the same."""
        document = self._read(document)
        try:
            self._print_json(document)
        except KvnodeError:
            self._print_json(document | {"value": jsonable(document["value"])})

    def _print_json(self, document: Mapping[str, Any]) -> None:
        print(as_json(document))


def _is_watched() -> bool:
    """Whether a person sees what is printed, or at least the errors."""
    return sys.stdout.isatty() or sys.stderr.isatty()


def error_lines(error: KvnodeError) -> list[str]:
    """An error for a person: what happened, and indented what belongs to it."""
    if isinstance(error, Delayed):
        lacking = [origin for origin, _, _ in error.missing]
        named = Incarnations(error.incoming, error.local, lacking)
        return [
            f"delayed: {error.reason}",
            f"  incoming  {named.vector(error.incoming)}",
            f"  local     {named.vector(error.local)}",
            f"  missing   {named.dots(error.missing)}",
            *(f"  {note}" for note in named.notes()),
        ]
    if isinstance(error, SessionLost):
        named = Incarnations(origin for origin, _, _ in error.missing)
        lost = f"no node has any more what this session has seen: {named.dots(error.missing)}"
        return [f"{lost}; to go on without it, add --accept-loss"]
    return [_message(error)]


def _message(error: KvnodeError) -> str:
    """What the error says, with keys as the commands show them."""
    if not isinstance(error, Conflict):
        return str(error)
    held = (
        f"{in_line(key):.80} holds {', '.join(f'{o}:{s}' for o, s in sorted(dots)) or 'nothing'}"
        for key, dots in error.found.items()
    )
    return f"conflict: {'; '.join(held)}"


def _error_document(error: KvnodeError) -> dict[str, Any]:
    document: dict[str, Any] = {
        "error": type(error).__name__,
        "message": _message(error),
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
    elif isinstance(error, SessionLost):
        document |= {"status": "lost", "missing": error.missing}
    elif isinstance(error, Conflict):
        found = error.found.items()
        held = {encoded(key).decode(errors="replace"): sorted(dots) for key, dots in found}
        document |= {"status": "conflict", "found": held}
    elif isinstance(error, Compacted):
        document |= {"status": "compacted", "floor": error.floor}
    elif isinstance(error, Unreplicated):
        document |= {
            "status": "unreplicated",
            "dot": error.dot,
            "wanted": error.wanted,
            "replicas": error.replicas,
            "names": error.names,
        }
    return document


def status_lines(node: Mapping[str, Any]) -> list[str]:
    """A node's status for a person."""
    storage = node["storage"]
    waiting = [*node["held"], *node["parked"]]
    named = Incarnations(
        node["vector"],
        (batch["origin"] for batch in node["held"]),
        (it["waits_for"][0] for it in waiting if it["waits_for"]),
    )
    lines = [
        f"node        {node['name']} at {node['listen']}, gossip at {node['gossip']}",
        f"cluster     {node['cluster']}",
        f"vector      {named.vector(node['vector'])}",
        f"digest      {node['digest']}",
        f"durability  {node['durability']}, up {node['uptime_s']} s",
        f"storage     {_storage(storage)}",
        f"held back   {node['held_batches']} batches, {node['held_bytes']} bytes"
        + (": they came before what they build on" if node["held_batches"] else ""),
    ]
    for batch in node["held"]:
        waits_for = (
            f"waits for {named.dot(batch['waits_for'])}" if batch["waits_for"] else "is ready"
        )
        lines.append(f"            {named.dot((batch['origin'], batch['first']))} {waits_for}")
    parked = ": they wait for what their sessions have seen" if node["parked_requests"] else ""
    lines.append(f"parked      {node['parked_requests']} requests{parked}")
    for request in node["parked"]:
        lines.append(f"            waits for {named.dot(request['waits_for'])}")
    for alarm in node["alarms"]:
        lines.append(f"ALARM       {alarm}")
    if node["joining"]:
        lines.append("joining     its disk was empty, and it has not yet what its peers have")
    if node["fetching_from"] or node["folding"]:
        lines.append(f"snapshot    {_snapshot(node)}")
    lines.append(f"log         {_log(node['log'])}")
    for peer in node["peers"]:
        lines.append(f"peer        {_peer(peer)}")
    lines += [f"not heard   {it['address']}: {it['reason']}" for it in node.get("unheard", ())]
    for name, ahead_ms in node["clocks_ahead_ms"].items():
        lines.append(f"clock       of {name} is ahead by {ahead_ms // 1000} s, or ours is behind")
    for link, action in node["faults"].items():
        lines.append(f"fault       {link}: {action}")
    for kind, count in sorted(node["complaints"].items()):
        lines.append(f"complaint   {kind.replace('_', ' ')}: {count}")
    return lines


def backup_lines(backup: Mapping[str, Any]) -> list[str]:
    """A backup that was made, for a person."""
    return [
        f"backup      {backup['path']}",
        f"node        {backup['name']}",
        f"vector      {Incarnations(backup['vector']).vector(backup['vector'])}",
        f"digest      {backup['digest']}",
        f"size        {backup['bytes']} bytes",
    ]


def checked_lines(checked: Mapping[str, Any]) -> list[str]:
    """What was found in a directory, for a person."""
    lines = [
        f"directory   {checked['directory']}",
        f"node        {checked['name']}",
        f"cluster     {checked['cluster']}",
        f"vector      {Incarnations(checked['vector']).vector(checked['vector'])}",
        f"digest      {checked['digest']}",
        f"log         {checked['batches']} batches, {checked['writes']} writes, "
        f"{checked['log_bytes']} bytes",
        f"table       {checked['keys']} keys, {checked['versions']} versions",
    ]
    if checked["staged"]:
        lines.append(f"staged      {checked['staged']} keys, which the next start forgets")
    lines += [f"problem     {problem}" for problem in checked["problems"]]
    untold = checked["problems_count"] - len(checked["problems"])
    if untold:
        lines.append(f"problem     and {untold} more")
    lines.append(f"problems    {checked['problems_count'] or 'none'}")
    return lines


def setting_lines(settings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Each setting, its value and where that comes from, for a person."""
    values = {name: _setting(it["value"]) for name, it in settings.items()}
    width = max(len(value) for value in values.values())
    return [f"{name:17} {values[name]:{width}}  {settings[name]['from']}" for name in settings]


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(value) or "none" if isinstance(value, list | tuple) else str(value)


def _snapshot(node: Mapping[str, Any]) -> str:
    if node["folding"]:
        return "is being put in place; requests must go elsewhere"
    return f"is being fetched from {node['fetching_from']}"


def _log(log: Mapping[str, Any]) -> str:
    pinned = log["pinned"]
    by = f", kept for {pinned['by']} for {duration(pinned['for_ms'])}" if pinned else ""
    return f"{size(log['bytes'])}{by}"


def _storage(storage: Mapping[str, Any]) -> str:
    if storage["writable"]:
        return "ok"
    state = "takes no writes, reads go on" if storage["serving"] else "failing"
    return f"{state}: {storage['last_error']}"


def _peer(peer: Mapping[str, Any]) -> str:
    if peer["refusal"]:
        return f"{peer['address']} {peer['refusal']}"
    if peer["name"] is None:
        trouble = f": {peer['trouble']}" if peer.get("trouble") else ""
        return f"{peer['address']} has not answered yet{trouble}"
    if not peer["member"]:
        lag = "is no member"
    elif peer["lag_updates"] is None:
        lag = "has said nothing"
    else:
        lag = f"lacks {peer['lag_updates']}"
    calls = (
        ", which calls this node" if "calls" in (peer.get("heard_by"), peer.get("asked_by")) else ""
    )
    return f"{peer['name']} at {peer['address']}{calls}, silent for {peer['silent_ms']} ms, {lag}"


def _about(version: Version | Change) -> dict[str, Any]:
    expires_at = time_as_json(version.expires_at)
    return {"dot": version.dot, "stamp_us": version.stamp_us, "expires_at": expires_at}


def _whole(dot: Dot) -> str:
    """As --if-version takes it."""
    return f"{dot.origin}:{dot.seq}"
