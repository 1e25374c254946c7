"""The parts of one run, and how they reach each other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Final

from kvnode.client.values import packed_value
from kvnode.core.requests import AwaitReplicas, Operation
from kvnode.core.results import Replicated, Result, Unreplicated, Written
from kvnode.core.truncation import Logged
from kvnode.core.vector import Missing, name_of
from tests.simulation.dice import Dice
from tests.simulation.disk import seen_on
from tests.simulation.network import GOSSIP, REQUESTS, Connection, Network
from tests.simulation.oracle import Oracle, Seen
from tests.simulation.plan import SECOND_US, Plan
from tests.simulation.world import Violation, World

if TYPE_CHECKING:
    from tests.simulation.machine import Flight, Machine
    from tests.simulation.sessions import SimulatedClient
    from tests.simulation.watchers import SimulatedWatcher

CLUSTER: Final = "simulated"

#: A value that a later change of the same write replaces: it must never be there.
REPLACED: Final = packed_value("replaced in the same write")

#: The session that forgets members.
OPERATOR: Final = "operator"


class Excused(Exception):
    """What only a person can mend has come about; why it may have. The run ends."""


class Cluster:
    """Machines, clients, and the network between them."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world = world
        self.plan = plan
        self.oracle = Oracle()
        self.machines: dict[str, Machine] = {}
        self.clients: list[SimulatedClient] = []
        self.watchers: list[SimulatedWatcher] = []
        self.names = [f"N{number}" for number in range(1, plan.nodes + 1)]
        self.network = Network(world, plan, self.names)
        self.trouble_ends_us = int(plan.trouble_s * SECOND_US)
        #: What pulls ask for; None where that follows the pace of the links.
        self.pull_bytes: int | None = Dice(plan.seed, "pulls").pick((60, 500, 1 << 20))
        if "narrow links" in plan.faults:
            self.pull_bytes = None
        #: What clients put in large values.
        self.large_bytes = 0
        self.is_healed = False
        #: Of what each session has seen, what others stood for once: its token tells of it no more.
        self.mistaken: defaultdict[str, Seen] = defaultdict(int)
        #: The machines that were reverted.
        self.reverted: set[str] = set()
        #: What each snapshot that was begun holds, by its number.
        self.snapshots: dict[int, Seen] = {}
        #: The latest that any expiry clock has said.
        self.expiry_high_us = 0
        #: What each machine ever had synced on a disk.
        self.synced: defaultdict[str, Seen] = defaultdict(int)
        #: Values of writes that a client was told surely did not happen.
        self.undone: set[bytes] = {REPLACED}
        #: What clients observed on put-only keys, for the judge.
        self.history: list[dict[str, Any]] = []

    @property
    def living(self) -> list[Machine]:
        """The machines that are not gone for good."""
        return [machine for machine in self.machines.values() if not machine.gone]

    def joinable(self, machine: Machine) -> list[str]:
        """Whom a node knows of when it starts: all but those that are gone for good, whose
        addresses an operator takes away."""
        if machine.founds:
            return []
        others = [it for it in self.living if it.bears != machine.bears]
        return [it.name for it in others if it.name == it.bears]

    def speaking_beside(self, machine: Machine) -> dict[str, Seen]:
        """What each other machine that speaks has committed, whether its node runs or not; but for
        copies, whose addresses nobody is told. What a failed commit left is not shown."""
        others = (self.machines[name] for name in self.joinable(machine))
        return {it.name: it.seen & seen_on(it.disk) for it in others if it.speaks}

    def speaks_anew(self, machine: Machine) -> None:
        """A node speaks for the first time, or no more, or has more or less than before: its disk
        went back, or is another one."""
        has = machine.seen & seen_on(machine.disk)
        for other in self.machines.values():
            if other.bears == machine.bears:
                continue
            if machine.speaks:
                is_told_of = machine.name == machine.bears
                other.better.speaks(machine.name, has, is_told_of=is_told_of)
            else:
                other.better.is_silent(machine.name)

    def forget(self, gone: Machine, at: Machine) -> None:
        """An operator has a node forget a machine; it refuses if it hears of that."""
        if at.node is not None:
            self.world.note(f"{gone.name} is to be forgotten at {at.name}")
            at.ask_to_forget(gone.bears)

    def check_branches(self, machine: Machine | None = None, seen: Seen = 0) -> None:
        """Whose dot stands for two writes makes one of them anew, if nobody else has it: it ends a
        run that others have both, or that one of them is about to have seen that."""
        for writes in self.oracle.apart():
            name = name_of(writes[0].dot.origin)
            others = [it for it in self.living if it.bears != name or it.name not in self.reverted]
            has = [it.seen | (seen if it is machine else 0) for it in others]
            if sum(any(it & made.bit for it in has) for made in writes) > 1:
                raise Excused("a doubled write was read elsewhere")

    def mistakes(self, session: str, lacking: Seen) -> None:
        """A node takes what a session has seen for what it has itself under the same dots."""
        self.world.reach("a session's past taken for another")
        self.oracle.mistaken |= lacking
        self.mistaken[session] |= lacking
        self.may_miss(session, lacking)

    def may_miss(self, session: str, told: Seen) -> None:
        """A watcher that was told of this may miss what else has these dots."""
        for watcher in self.watchers:
            if watcher.name == session:
                watcher.may_miss |= self.oracle.beside(told)

    def check_lost(self, machine: Machine, missing: Iterable[Missing]) -> None:
        """What a session is told is lost must be at no member.

        A disk that has a copy may bring it back, whether they take turns or run side by side: the
        claims that were heard are then not of all the disks that bear that name. And from such a
        disk others may have it again.
        """
        self.world.reach("dots called lost")
        missing = list(missing)
        machine.check_joined(machine.seen, "calls writes lost")
        members = self.oracle.members(machine.seen)
        disks = Counter(it.bears for it in self.machines.values())
        disks.update(it.bears for it in self.machines.values() if it.other_disk is not None)
        disks.update(it.bears for it in self.machines.values() if it.frozen is not None)
        lost = self.oracle.known(it for it in missing if disks[name_of(it.origin)] == 1)
        for copied in self.machines.values():
            if disks[copied.bears] > 1:
                lost &= ~copied.seen
        for other in self.living:
            if other.name in self.reverted:  # what it wrote just now is moved, or may be
                own = (it for it in missing if name_of(it.origin) == other.bears)
                lost &= ~(self.oracle.known(own) & other.seen)
            if other.bears in members and disks[other.bears] == 1 and other.seen & lost:
                dots = self.oracle.dots(other.seen & lost)
                raise Violation(
                    "lost dots", f"{machine.name} calls {dots} lost, {other.name} has them"
                )

    def check_concern(
        self, machine: Machine, operations: Sequence[Operation], results: Sequence[Result]
    ) -> None:
        """Who is counted as having a write must be a member that had it synced, and has it still
        where no disk forgets; who waits in vain must be told of a write that is there."""
        asked, result = operations[-1], results[-1]
        assert isinstance(asked, AwaitReplicas)
        dots = [it.dot for it in results if isinstance(it, Written)]
        made = [self.oracle.at(dot, machine.seen) for dot in dots]
        write = reduce(or_, (it.bit for it in made if it is not None), 0)
        # Who became one in the turn whose commit failed counts, if it has committed that itself.
        everywhere = reduce(or_, (it.seen for it in self.machines.values()))
        members = self.oracle.members(machine.seen) | self.oracle.members(everywhere)
        names = members | {machine.bears}
        # A copy of a machine counts only as itself, where it is the one that answers.
        names_of = {name: machine.name if name == machine.bears else name for name in names}
        had = {name for name in names if not write & ~self.synced[names_of[name]]}
        told = f"{machine.name} answers {result} for {dots}; {sorted(had)} had it synced"
        if isinstance(result, Replicated):
            if not asked.replicas <= result.replicas <= len(had):
                raise Violation("write concern", told)
            has = {it.name for it in self.machines.values() if not write & ~it.seen}
            if self.plan.keeps_disks and result.replicas > len(has & names):
                raise Violation("write concern", f"{told}; only {sorted(has)} have it")
            self.world.states["a write on several members"] += result.replicas > 1
        else:
            assert isinstance(result, Unreplicated)
            is_here = result.dot in dots and not write & ~machine.seen
            if not is_here or not set(result.names) <= had or len(result.names) >= asked.replicas:
                raise Violation("write concern", told)
            self.world.reach(f"unreplicated: {result.reason.partition(':')[0]}")

    def check_truncation(self, machine: Machine, dropped: Sequence[Logged]) -> None:
        """What leaves a log in time all members must claim to have, as this one heard it; and
        where no disk forgets, they must have it."""
        assert machine.node is not None
        replica = machine.node.replica
        for _, origin, last, _ in dropped:
            write = self.oracle.known([Missing(origin, last, last)])
            for name in self.oracle.members(machine.seen) - {machine.bears}:
                claim = machine.claims.get(name)
                claims = claim and replica.cut.succession.value(claim.delivered, origin) >= last
                if "capped logs" in self.plan.faults:
                    if not claims:
                        self.world.reach("a log dropped what a member lacks, at its greatest size")
                elif not claims:
                    told = f"{machine.name} drops {origin}:{last}, which {name} does not claim"
                    raise Violation("truncation", told)
                elif self.plan.truncates_strictly and not self.machines[name].seen & write:
                    told = f"{machine.name} drops {origin}:{last}, which {name} lacks"
                    raise Violation("truncation", told)

    def send_gossip(self, sender: str, head: bytes, body: bytes) -> None:
        """To all other machines; who does not run, does not hear it."""
        bears = self.machines[sender].bears
        for name, machine in self.machines.items():
            if machine.bears != bears:
                over = Connection(name, sender, GOSSIP)
                self._send(sender, name, len(body), over, lambda m: m.receive_gossip(head, body))

    def send_question(self, sender: str, receiver: str, payload: bytes) -> bool:
        """What one node asks another one; whether it can."""
        over = Connection(sender, receiver, REQUESTS)
        if self.machines[receiver].has_hung_up or not self.network.is_connected(over):
            return False
        size_bytes = len(payload)
        self._send(
            sender, receiver, size_bytes, over, lambda m: m.receive_question(sender, payload)
        )
        return True

    def send_node_answer(self, sender: str, receiver: str, payload: bytes) -> None:
        """The answer to what one node asked another one."""
        over = Connection(receiver, sender, REQUESTS)
        size = len(payload)
        self._send(sender, receiver, size, over, lambda m: m.receive_answer(sender, payload))

    def send_request(
        self,
        client: SimulatedClient | SimulatedWatcher,
        receiver: str,
        flight: Flight,
        payload: bytes,
    ) -> None:
        """From a client to a node."""
        over = Connection(client.name, receiver, REQUESTS)
        size = len(payload)
        self._send(client.name, receiver, size, over, lambda m: m.receive_request(flight, payload))

    def send_answer(self, sender: str, flight: Flight, payload: bytes, seen: Seen) -> None:
        """From a node to the client whose session it is."""
        if flight.session == OPERATOR:
            return
        name = flight.session.partition(".")[0]
        asking = [*self.clients, *self.watchers]
        (client,) = (client for client in asking if client.name == name)

        def arrive() -> None:
            client.receive(flight, payload, seen)

        over = Connection(name, sender, REQUESTS)
        self.network.send(sender, name, len(payload), arrive, over)

    def _send(
        self,
        sender: str,
        receiver: str,
        size_bytes: int,
        over: Connection,
        arrive: Callable[[Machine], None],
    ) -> None:
        machine = self.machines[receiver]

        def arrive_if_running() -> None:
            if machine.node is not None:
                arrive(machine)

        self.network.send(sender, receiver, size_bytes, arrive_if_running, over)
