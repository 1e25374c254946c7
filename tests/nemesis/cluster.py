"""Daemons in namespaces, each other's peers; clients of them live with the people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from kvnode.cli.cluster import LocalCluster, LocalNode
from kvnode.client.sync import Client
from tests.nemesis.network import Network

#: The member of the network where the clients are.
PEOPLE: Final = "people"

_FLAGS: Final = ("--heartbeat-ms", "200")

#: The log lines that tell of a fault of our own, whatever was done to the node.
_OUR_FAULTS: Final = re.compile("Traceback|malformed|bad requests|wrong cluster|refused peers")


class NamespacedNode(LocalNode):
    """A daemon in the namespace of its name."""

    def __init__(
        self, name: str, directory: Path, network: Network, *flags: str, under: Sequence[str] = ()
    ) -> None:
        host = network.address(name)
        addresses = (f"tcp://{host}:7411", f"tcp://{host}:7412")
        prefix = [*network.inside(name), *under]
        super().__init__(name, directory, [*_FLAGS, *flags], prefix=prefix, addresses=addresses)
        self._network = network

    def client(self, token: bytes | None = None) -> Client:
        """A client of the people's."""
        with self._network.entered(PEOPLE):
            return super().client(token)


class NamespacedCluster(LocalCluster):
    """Nodes in namespaces.

    `under` has further command words to run a node under, by name. `relays`, if given, has
    the (request, gossip) addresses at which the others reach a node through a relay.
    """

    def __init__(
        self,
        names: Iterable[str],
        directory: Path,
        network: Network,
        *,
        under: Mapping[str, Sequence[str]] | None = None,
        relays: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self.nodes = {}
        for name in names:
            flags = ("--advertise-gossip", relays[name][1]) if relays else ()
            words = (under or {}).get(name, ())
            self.nodes[name] = NamespacedNode(name, directory, network, *flags, under=words)
        for node in self.nodes.values():
            others = [other for other in self.nodes.values() if other is not node]
            node.peers = [relays[o.name][0] if relays else o.listen for o in others]

    def our_faults(self) -> list[str]:
        """What the logs tell, over all lives of the nodes, that no fault excuses."""
        lines = [line for n in self.nodes.values() for line in n.log.read_text().splitlines()]
        return [line for line in lines if _OUR_FAULTS.search(line)]
