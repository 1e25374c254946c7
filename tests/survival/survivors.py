"""What must hold when all is over, and the tools to bring it about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kvnode.cli.cluster import LocalCluster, LocalNode, until
from kvnode.cli.load import Writers, found_at
from kvnode.client.session import packed_key, raise_error
from kvnode.client.sync import Client
from kvnode.client.values import packed_value
from kvnode.codec import client as ask
from kvnode.storage.check import check
from tests.daemon.raw import Raw

#: Logs that are dropped as soon as all members have them, and at 1 MiB in any case.
TINY_LOG = ("--log-keep-s", "0", "--log-keep-mib", "0", "--log-max-mib", "1")

#: Writes of one request: they share a turn.
_TOGETHER = 200


def write_many(node: LocalNode, changes: Mapping[str, Any]) -> None:
    """Put all of these, quickly; None deletes."""
    operations = [
        ask.delete(packed_key(key))
        if value is None
        else ask.put(packed_key(key), packed_value(value))
        for key, value in changes.items()
    ]
    with Raw(node) as raw:
        for at in range(0, len(operations), _TOGETHER):
            for result in raw.ask(*operations[at : at + _TOGETHER]).results:
                raise_error(result)


def members_at(node: LocalNode) -> dict[str, dict[str, Any]]:
    """What a node tells of the members, by name."""
    with Raw(node) as raw:
        ((_, members),) = raw.ask(ask.members()).results
    return {member["name"]: member for member in members}


def read_many(node: LocalNode, keys: Sequence[str]) -> dict[str, Any]:
    """The values of these keys; None where there is none."""
    with node.client() as client:
        values = [
            value
            for at in range(0, len(keys), _TOGETHER)
            for value in client.get_many(keys[at : at + _TOGETHER])
        ]
    return dict(zip(keys, values, strict=True))


def versions_of(client: Client, keys: Iterable[str]) -> dict[str, list[tuple[Any, Any]]]:
    """The dot and the value of every version."""
    return {key: [(tuple(v.dot), v.value) for v in client.read(key)] for key in keys}


def set_links(cluster: LocalCluster, name: str, action: str) -> None:
    """What nodes that run do with what comes from this one, and it with what comes from them."""
    for node in cluster.nodes.values():
        peers = [n for n in cluster.nodes if n != node.name and name in (n, node.name)]
        if node.process is None:
            continue
        with node.client() as admin:
            for peer in peers:
                for channel in ("gossip", "repair"):
                    admin.fault(peer, channel, action)


@contextmanager
def cut_off(cluster: LocalCluster, name: str):
    """A node and the others do not hear each other."""
    set_links(cluster, name, "drop")
    yield
    set_links(cluster, name, "pass")


def all_agree(cluster: LocalCluster) -> dict[str, dict[str, Any]]:
    """The statuses of all, once they have the same; nobody has cause for alarm."""
    statuses = until("all agree", cluster.agree)
    for name, status in statuses.items():
        assert status["alarms"] == [], f"{name}: {status['alarms']}"
    return statuses


def expect_all_acknowledged(cluster: LocalCluster, writers: Writers) -> None:
    """Every node has every write that was acknowledged."""
    keys = writers.acknowledged()
    for node in cluster.nodes.values():
        lost = set(keys).difference(found_at(node, keys, writers.value_bytes))
        assert not lost, f"{node.name} lacks {len(lost)} of {len(keys)}: {sorted(lost)[:5]}"


def expect_sound_disks(cluster: LocalCluster) -> None:
    """Stop all nodes; nothing is wrong with what they leave."""
    for node in cluster.nodes.values():
        if node.process is not None:
            assert node.stop() == 0
        assert "Traceback" not in node.log.read_text(), node.log.read_text()
        findings = check(node.data).findings
        assert findings.problems == [], f"{node.name}: {findings.problems}"
