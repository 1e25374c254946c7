"""The parts of one run, and how they reach each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.simulation.dice import Dice
from tests.simulation.network import Network
from tests.simulation.oracle import Oracle, Seen
from tests.simulation.plan import SECOND_US, Plan
from tests.simulation.world import World

if TYPE_CHECKING:
    from tests.simulation.machine import Flight, Machine
    from tests.simulation.sessions import SimulatedClient

CLUSTER: Final = "simulated"


class Cluster:
    """Machines, clients, and the network between them."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world = world
        self.plan = plan
        self.oracle = Oracle()
        self.machines: dict[str, Machine] = {}
        self.clients: list[SimulatedClient] = []
        self.names = [f"N{number}" for number in range(1, plan.nodes + 1)]
        self.network = Network(world, plan, self.names)
        self.trouble_ends_us = int(plan.trouble_s * SECOND_US)
        self.pull_bytes = Dice(plan.seed, "pulls").pick((1, 500, 1 << 20))
        #: Values of writes that a client was told surely did not happen.
        self.undone: set[bytes] = set()
        #: What clients observed on put-only keys, for the judge.
        self.history: list[dict[str, Any]] = []

    @property
    def living(self) -> list[Machine]:
        """The machines that are not gone for good."""
        return [machine for machine in self.machines.values() if not machine.gone]

    def send_gossip(self, sender: str, head: bytes, body: bytes) -> None:
        """To all other machines; who does not run, does not hear it."""
        for machine in self.machines.values():
            if machine.name != sender:
                self._send(sender, machine, len(body), lambda m: m.receive_gossip(head, body))

    def send_question(self, sender: str, receiver: str, payload: bytes) -> None:
        """A pull."""
        machine = self.machines[receiver]
        self._send(sender, machine, len(payload), lambda m: m.receive_question(sender, payload))

    def send_pulled(self, sender: str, receiver: str, payload: bytes) -> None:
        """The answer to a pull."""
        machine = self.machines[receiver]
        self._send(sender, machine, len(payload), lambda m: m.receive_pulled(sender, payload))

    def send_request(
        self, client: SimulatedClient, receiver: str, flight: Flight, payload: bytes
    ) -> None:
        """From a client to a node."""
        machine = self.machines[receiver]
        self._send(client.name, machine, len(payload), lambda m: m.receive_request(flight, payload))

    def send_answer(self, sender: str, flight: Flight, payload: bytes, seen: Seen) -> None:
        """From a node to the client whose session it is."""
        name = flight.session.partition(".")[0]
        (client,) = (client for client in self.clients if client.name == name)

        def arrive() -> None:
            client.receive(flight, payload, seen)

        self.network.send(sender, name, len(payload), arrive)

    def _send(self, sender: str, machine: Machine, size_bytes: int, arrive: Any) -> None:
        def arrive_if_running() -> None:
            if machine.node is not None:
                arrive(machine)

        self.network.send(sender, machine.name, size_bytes, arrive_if_running)
