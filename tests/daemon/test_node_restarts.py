"""Incarnations come and go with every restart; vectors, tokens and claims do not grow."""

from __future__ import annotations

from random import Random

import pytest

from kvnode.codec.client import put
from kvnode.codec.token import encode_token
from kvnode.core.messages import Inputs
from kvnode.core.versions import DIGEST_MODULUS, fingerprint
from kvnode.daemon.node import Durability
from kvnode.storage.layout import decode_table_record
from kvnode.storage.soundness import examined
from tests.cluster import CLUSTER, HEARTBEAT_US, Cluster, Machine, request

RESTARTS = 300
#: One for each name, and what a restart has not ended yet.
ENTRIES_MAX = 6
TOKEN_BYTES_MAX = 200


class Restarts(Cluster):
    """Three members, and the greatest vectors that came up."""

    def __init__(self, durability: Durability, seed: int) -> None:
        super().__init__()
        self.durability = durability
        self.dice = Random(seed)
        self.random = self.dice.random
        self.has_members = True
        self.writes = 0
        self.entries_max = self.token_bytes_max = 0
        for name in "XYZ":
            self.add(name)

    def turn(self, machine: Machine, inputs: Inputs) -> None:
        super().turn(machine, inputs)
        heads = machine.node.vector
        self.entries_max = max(self.entries_max, len(heads))
        self.token_bytes_max = max(self.token_bytes_max, len(encode_token(CLUSTER, heads)))

    def write(self, machine: Machine) -> None:
        """One of a few keys gets a new value."""
        self.writes += 1
        operation = put(b"key %d" % self.dice.randrange(20), b"%d" % self.writes)
        self.turn(machine, Inputs(requests=[request(None, None, 0, [operation], self.now_us)]))

    def exchange(self) -> None:
        """Gossip, of which some is lost, a heartbeat, and the pulls that come of it."""
        running = self.running()
        for machine in running:
            inbox, machine.inbox = machine.inbox, []
            self.deliver(machine, [it for it in inbox if self.dice.random() < 0.8])
        self.advance(HEARTBEAT_US)
        for machine in running:
            for sender in running:
                if sender is not machine:
                    self.hear(machine, sender)
            self.greet(machine, running[0])
        for machine in running * 20:
            self.answer_pull(machine)

    def lives(self, machine: Machine) -> None:
        """The process is killed, or its power fails; then a life of some writes, maybe none."""
        if self.dice.random() < 0.3:
            machine.crash()
        machine.start()
        for _ in range(self.dice.randrange(4)):
            self.exchange()
            for each in self.running():
                if self.dice.random() < 0.5:
                    self.write(each)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("durability", [Durability.ALWAYS, Durability.NEVER])
def test_after_many_restarts_with_a_member_down_vectors_are_small(
    durability: Durability, seed: int
) -> None:
    cluster = Restarts(durability, seed)
    x, y, z = cluster.machines.values()
    for machine in (x, y, z):
        cluster.write(machine)
        cluster.lives(machine)
    z.stop()
    for _ in range(RESTARTS):
        cluster.lives(cluster.dice.choice((x, y)))
    incarnations = len(x.replica.cut.entries)
    assert incarnations > RESTARTS / 2, "most lives wrote something"
    assert cluster.entries_max <= ENTRIES_MAX
    assert cluster.token_bytes_max < TOKEN_BYTES_MAX

    z.start()
    cluster.write(z)
    for _ in range(100):
        cluster.exchange()
    assert x.node.vector == y.node.vector == z.node.vector
    assert len(z.node.vector) == len("XYZ")
    assert len(z.replica.cut.entries) >= incarnations
    assert x.disk.table == y.disk.table == z.disk.table
    records = ((key, decode_table_record(record)) for key, record in z.disk.table.items())
    prints = sum(fingerprint(key, version) for key, held in records for version in held)
    assert z.replica.state.digest == prints % DIGEST_MODULUS
    assert all(examined(machine.disk).problems == [] for machine in (x, y, z))
    assert cluster.entries_max <= ENTRIES_MAX
    assert cluster.token_bytes_max < TOKEN_BYTES_MAX
