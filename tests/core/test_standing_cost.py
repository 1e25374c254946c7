"""A restored disk, or one rolled back, that lacks much of what its own incarnation wrote."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import pytest

from kvnode.core.batch import Batch
from tests import cluster
from tests.cluster import Machine
from tests.scenario import Scenario

MISSING = 40


class Counted(Scenario):
    """Counts what comes of pulls."""

    sent_bytes = 0

    def on_answer(self, machine: Machine, batches: Sequence[Batch]) -> None:
        """See `Cluster`."""
        self.sent_bytes += sum(len(batch.encoded) for batch in batches)
        super().on_answer(machine, batches)


def test_a_restored_disk_compares_its_last_writes_once_and_not_with_each_heartbeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "PULL_BYTES", 3000)
    nodes = Counted()
    nodes.run("nodes X Y members\nadvance 200ms\nheal\nput X unconfirmed 1\ndeliver all")
    x, y = nodes.machines["X"], nodes.machines["Y"]
    backup = deepcopy(x.disk)
    for at in range(MISSING):
        nodes.run(f"put X key{at} {'v' * 900}\ndeliver all")
    published_bytes = sum(len(encoded) for encoded in nodes.published)
    x.disk = backup
    x.start()
    for _ in range(MISSING):
        nodes.do_heartbeat("Y", "->", "X")
        nodes.answer_pull(x)  # each takes about a heartbeat
    assert x.replica.cut.covers(y.replica.cut.heads)
    assert nodes.sent_bytes < 2 * published_bytes
