"""Questions to the node itself, from clients and peers: each stands alone in its request,
and is answered from what is committed."""

from __future__ import annotations

import time
from typing import Any

from kvnode.codec.calls import Call
from kvnode.codec.client import Greeting, Introduction
from kvnode.codec.packing import told
from kvnode.codec.server import (
    Backup,
    Cancel,
    Fault,
    Hello,
    Members,
    NodeOperation,
    Ping,
    Position,
    Since,
    Snapshot,
    Status,
    Synced,
)
from kvnode.daemon.config import Config
from kvnode.daemon.connections import Connections
from kvnode.daemon.logs import Complaints
from kvnode.daemon.mesh import Mesh
from kvnode.daemon.node import Node
from kvnode.daemon.serving import fetched, pulled
from kvnode.daemon.sink import Sink
from kvnode.daemon.status import members_status, node_status, peers_status, unheard_status
from kvnode.errors import Refused, StorageError


class Questions:
    """Knows what a node can tell of itself."""

    def __init__(
        self,
        config: Config,
        instance: int,
        node: Node,
        mesh: Mesh,
        connections: Connections,
        complaints: Complaints,
        log: Sink,
    ) -> None:
        self._config = config
        self._instance = instance
        self._node = node
        self._mesh = mesh
        self._connections = connections
        self._complaints = complaints
        self._log = log
        self._started = time.monotonic()

    def answer(self, question: NodeOperation, steady_us: int) -> tuple[Any, ...]:
        """The one result of the answer."""
        try:
            return self._result(question, steady_us)
        except StorageError as error:
            return ("error", "unavailable", str(error), False)
        except Refused as error:
            return ("error", "refused", str(error), False)

    def _result(self, question: NodeOperation, steady_us: int) -> tuple[Any, ...]:
        match question:
            case Ping():
                if not self._node.health.writable:
                    raise StorageError(self._node.trouble())
                return ("ok", self._config.name)
            case Position():
                return ("ok", self._config.name, self._node.requests_done)
            case Status():
                return ("ok", self._status(steady_us))
            case Since() as asked:
                return pulled(self._node, asked, steady_us)
            case Snapshot() as asked:
                return fetched(self._node, asked, steady_us)
            case Members(of):
                return ("ok", members_status(self._node, self._mesh, self._config, of, steady_us))
            case Hello(introduction):
                return self._greeting(introduction, steady_us)
            case Synced() | Cancel():
                return ("ok",)  # the turn has taken it in
            case Fault() if self._config.allow_faults:
                return ("ok",)
            case Fault():
                message = "this node was not started with --allow-faults"
                return ("error", "refused", message, False)
            case Call():
                raise AssertionError("a call is answered by the mesh")
            case Backup():
                raise AssertionError("backups take longer; the loop asks `Backups` for them")

    def _greeting(self, hello: Introduction, steady_us: int) -> tuple[Any, ...]:
        if hello.cluster != self._config.cluster:
            message = f"this node is of cluster {self._config.cluster!r}, not {hello.cluster!r}"
            self._complaints.add(
                "refused_peers", f"{hello.name} at {told(hello.listen)}: {message}"
            )
            return ("error", "wrong_cluster", message, False)
        if hello.name == self._config.name and hello.instance != self._instance:
            message = f"this node bears the name {hello.name!r} too; two live nodes must not"
            self._mesh.introduced(hello, steady_us)  # so that this node's status says it, too
            self._complaints.add("refused_peers", f"{told(hello.listen)}: {message}")
            return ("error", "refused", message, False)
        self._mesh.introduced(hello, steady_us)
        replica = self._node.replica
        greeting = Greeting(
            self._config.cluster,
            self._config.name,
            self._instance,
            self._config.advertise_gossip,
            hello.record is not None
            and replica.members.has_forgotten(hello.name, hello.record, replica.cut),
            self._mesh.neighbours.namesake(hello, steady_us),
            self._mesh.contacts.is_wanted(hello.instance, steady_us),
        )
        return ("ok", *greeting)

    def _status(self, steady_us: int) -> dict[str, Any]:
        return node_status(self._node, steady_us) | {
            "cluster": self._config.cluster,
            "listen": self._config.advertise_listen,
            "gossip": self._config.advertise_gossip,
            "durability": str(self._config.durability),
            "caught_up": self._node.catch_up.is_done,
            "uptime_s": int(time.monotonic() - self._started),
            "peers": peers_status(self._mesh, self._node.replica, steady_us),
            "unheard": unheard_status(self._mesh),
            "connections": self._connections.counts,
            "complaints": dict(self._complaints.counts),
            "log_lines_dropped": self._log.dropped,
            "faults": self._mesh.links.shown(),
        }
