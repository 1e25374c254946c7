"""Questions to the node itself, from clients and peers: each stands alone in its request,
and is answered from what is committed."""

from __future__ import annotations

import time
from typing import Any

from kvnode.codec.client import Greeting
from kvnode.codec.server import Fault, Hello, NodeOperation, Ping, Since, Status
from kvnode.daemon.config import Config
from kvnode.daemon.logs import Complaints
from kvnode.daemon.mesh import Mesh
from kvnode.daemon.node import Node
from kvnode.daemon.status import node_status, peers_status
from kvnode.errors import StorageError


class Questions:
    """Knows what a node can tell of itself."""

    def __init__(
        self, config: Config, instance: int, node: Node, mesh: Mesh, complaints: Complaints
    ) -> None:
        self._config = config
        self._instance = instance
        self._node = node
        self._mesh = mesh
        self._complaints = complaints
        self._started = time.monotonic()

    def answer(self, question: NodeOperation, steady_us: int) -> tuple[Any, ...]:
        """The one result of the answer."""
        try:
            return self._result(question, steady_us)
        except StorageError as error:
            return ("error", "unavailable", str(error), False)

    def _result(self, question: NodeOperation, steady_us: int) -> tuple[Any, ...]:
        match question:
            case Ping():
                if not self._node.health.serving:
                    raise StorageError(f"the disk does not answer: {self._node.health.last_error}")
                return ("ok", self._config.name)
            case Status():
                return ("ok", self._status(steady_us))
            case Since(vector, bytes_max):
                return ("ok", self._node.since(vector, bytes_max))
            case Hello():
                return self._greeting(question)
            case Fault() if self._config.allow_faults:
                return ("ok",)
            case Fault():
                message = "this node was not started with --allow-faults"
                return ("error", "refused", message, False)

    def _greeting(self, hello: Hello) -> tuple[Any, ...]:
        if hello.cluster != self._config.cluster:
            message = f"this node is of cluster {self._config.cluster!r}, not {hello.cluster!r}"
            self._complaints.add("refused_peers", f"{hello.name}: {message}")
            return ("error", "wrong_cluster", message, False)
        greeting = Greeting(
            self._config.cluster,
            self._config.name,
            self._instance,
            self._config.advertise_gossip,
        )
        return ("ok", *greeting)

    def _status(self, steady_us: int) -> dict[str, Any]:
        return node_status(self._node) | {
            "cluster": self._config.cluster,
            "listen": self._config.advertise_listen,
            "gossip": self._config.advertise_gossip,
            "durability": str(self._config.durability),
            "uptime_s": int(time.monotonic() - self._started),
            "peers": peers_status(self._mesh, self._node.replica, steady_us),
            "complaints": dict(self._complaints.counts),
            "faults": self._mesh.links.shown(),
        }
