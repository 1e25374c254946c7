"""What faults act on, and where they count what they did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from kvnode.cli.cluster import LocalNode
from tests.nemesis.cluster import NamespacedCluster
from tests.nemesis.load import Load
from tests.nemesis.network import Network
from tests.nemesis.relay import Relay


@dataclass
class Field:
    """A cluster under load."""

    network: Network
    cluster: NamespacedCluster
    load: Load
    directory: Path
    relay: Relay | None = None
    #: What each fault did: packets dropped, nodes killed, commits that failed.
    toll: Counter[str] = field(default_factory=Counter)

    def node(self, name: str) -> LocalNode:
        """The daemon of that name."""
        return self.cluster[name]

    def others(self, name: str) -> list[str]:
        """All nodes but this one."""
        return [other for other in self.cluster.nodes if other != name]
