"""One run: trouble, then healing, then the reckoning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from kvnode.core.messages import OriginState
from kvnode.core.vector import name_of
from kvnode.core.versions import DIGEST_MODULUS, Versions, fingerprint
from kvnode.storage.layout import decode_saved
from kvnode.storage.soundness import examined
from tests.simulation.cluster import Cluster, Excused
from tests.simulation.dice import Dice
from tests.simulation.faults import Faults
from tests.simulation.machine import Machine
from tests.simulation.oracle import ExpiryBounds
from tests.simulation.plan import SECOND_US, Plan
from tests.simulation.sessions import SimulatedClient
from tests.simulation.watchers import SimulatedWatcher
from tests.simulation.world import Violation, World

#: With all faults ended, a cluster that has not converged by then never will.
CONVERGED_WITHIN_US: Final = 60 * SECOND_US


@dataclass(frozen=True)
class Outcome:
    """How a run ended. The trace is the same for every run of a plan."""

    plan: Plan
    trace: str
    simulated_s: float
    states: Counter[str]
    #: The invariant that does not hold, and how it shows; None if all is well.
    invariant: str | None
    message: str | None
    history: list[dict[str, Any]]


def run(plan: Plan, tell: Callable[[str], None] | None = None) -> Outcome:
    """Play a plan. Whatever goes wrong in it is an outcome, not an exception."""
    world = World(tell)
    cluster = Cluster(world, plan)
    invariant: str | None = None
    message: str | None = None
    try:
        _play(world, cluster)
    except Excused as excuse:
        world.reach(str(excuse))
        cluster.history = []  # it ends in the middle of what was asked
    except Violation as violation:
        invariant, message = violation.invariant, str(violation)
    except Exception as error:
        invariant, message = "no crash", f"{type(error).__name__}: {error}"
    if invariant is not None:
        world.note(f"VIOLATION {message}")
    doubled = cluster.oracle.put_again() | cluster.oracle.mistaken_keys()
    history = [line for line in cluster.history if line["key"] not in doubled]
    return Outcome(
        plan, world.trace, world.now_us / SECOND_US, world.states, invariant, message, history
    )


def _play(world: World, cluster: Cluster) -> None:
    for name in cluster.names:
        cluster.machines[name] = Machine(cluster, name)
    cluster.clients = [
        SimulatedClient(cluster, f"c{number}") for number in range(1, cluster.plan.sessions + 1)
    ]
    cluster.watchers = [
        SimulatedWatcher(cluster, f"w{number}", prefix)
        for number, prefix in enumerate(cluster.plan.watched, 1)
    ]
    # One node may be the first; else all are given the same addresses.
    cluster.machines[cluster.names[0]].founds = Dice(cluster.plan.seed, "founding").chance(0.7)
    for machine in cluster.machines.values():
        machine.start()
    for watcher in cluster.watchers:
        watcher.ask()
    for client in cluster.clients:
        client.work()
    faults = Faults(cluster)
    faults.begin()
    world.run_until(cluster.trouble_ends_us)
    world.note("all is healed")
    faults.heal()
    world.run_until(world.now_us + _converged_within_us(cluster), lambda: _is_at_rest(cluster))
    _reckon(cluster)


def _converged_within_us(cluster: Cluster) -> int:
    """Over narrow links as long as the bytes take, twice: both ways may be needed."""
    slowest_us_per_byte = max(cluster.network.narrow.values(), default=0)
    return CONVERGED_WITHIN_US + 2 * cluster.large_bytes * slowest_us_per_byte


def _is_at_rest(cluster: Cluster) -> bool:
    machines = cluster.living
    return (
        all(machine.node is not None and machine.node.health.writable for machine in machines)
        and all(machine.seen == machines[0].seen for machine in machines)
        and all(client.is_done for client in cluster.clients)
        and not any(machine.unanswered for machine in machines)
        and all(_knows_all(machine, cluster) for machine in machines)
        and not list(_in_vain(cluster))  # each that is asked begins to doubt
        and not any(_unended(machine, cluster) for machine in machines)
        and not any(watcher.missed(machines[0].seen) for watcher in cluster.watchers)
        and not any(machine.unswept() for machine in machines)
    )


def _knows_all(machine: Machine, cluster: Cluster) -> bool:
    """Whether it counts all that live as members."""
    assert machine.node is not None
    names = machine.node.replica.members.names()
    return names >= {other.bears for other in cluster.living}


def _unended(machine: Machine, cluster: Cluster) -> list[str]:
    """Incarnations in its vector of names that have several there, though one that lives could end
    them all: those of a name of which just one machine is left, which runs."""
    assert machine.node is not None
    runs = Counter(other.bears for other in cluster.machines.values())
    alone = {other.bears for other in cluster.living if runs[other.bears] == 1}
    heads = machine.node.replica.cut.heads
    names = Counter(name_of(head) for head in heads)
    return [head for head in heads if name_of(head) in alone and names[name_of(head)] > 1]


def _shown(table: dict[bytes, Versions], expiry: ExpiryBounds) -> dict[bytes, Versions]:
    """What surely has not expired."""
    surely = expiry._replace(low_us=expiry.high_us)
    shown = {key: tuple(surely.visible(list(held)) or ()) for key, held in table.items()}
    return {key: held for key, held in shown.items() if held}


def _reckon(cluster: Cluster) -> None:
    """What must hold in the end, on every node."""
    oracle = cluster.oracle
    everything = 0
    for machine in cluster.living:
        everything |= machine.seen
    if lost := oracle.lacking(oracle.acknowledged, everything | oracle.excused):
        raise Violation("nothing acknowledged is lost", f"{oracle.dots(lost)} are nowhere")
    for made in oracle.made:
        if made.bit & everything and any(value in cluster.undone for _, value, _ in made.changes):
            raise Violation("definite errors", f"{made.dot} was called undone, and is there")
    oracle.check_done_once(everything)
    truth = oracle.state(everything)
    for machine in cluster.living:
        _reckon_with(machine, cluster, everything, truth)
    for machine in cluster.living:
        if unended := _unended(machine, cluster):
            raise Violation("small vectors", f"{machine.name} counts {unended} apart")
    for watcher in cluster.watchers:
        if missed := watcher.missed(everything):
            raise Violation("watches", f"{watcher.name} is never told of {oracle.dots(missed)}")
    for machine, client, lost in _in_vain(cluster):
        dots = oracle.dots(lost)
        raise Violation("lost dots", f"{machine.name} lets {client.name} wait for {dots}")
    first, *others = (m.node.replica for m in cluster.living if m.node is not None)
    for other in others:
        for what in ("heads", "entries"):
            if getattr(other.cut, what) != getattr(first.cut, what):
                raise Violation("convergence", f"{what} of {other.identity.name} differ")
        if other.state.digest != first.state.digest:
            raise Violation("convergence", f"the digest of {other.identity.name} differs")
    rows = _rows(cluster.living[0])
    for machine in cluster.living:
        if _rows(machine) != rows:
            raise Violation("convergence", f"the rows of {machine.name} differ")
        for problem in examined(machine.disk).problems:
            raise Violation("soundness", f"{machine.name}: {problem}")


def _rows(machine: Machine) -> dict[str, OriginState]:
    """What its disk has of each origin, and its memory of those that are not ended."""
    assert machine.node is not None
    saved = decode_saved(machine.disk.families["meta"].items())
    return {**saved.origins, **machine.node.replica.state.origins}


def _in_vain(cluster: Cluster) -> Iterator[tuple[Machine, SimulatedClient, int]]:
    """Who would have which session wait for what is nowhere any more, though no member is
    gone that may have it. To ask puts it in doubt, so the answer may come a while later; and later
    than we wait where a copy runs beside its original, since the two end each other's incarnations,
    and begin to doubt anew each time. Two nodes behind NAT never hear each other's claims, and
    never rule out that the other one has it."""
    if not cluster.network.all_hear_each_other():
        return
    everything = 0
    for machine in cluster.living:
        everything |= machine.seen
    gone = {machine.bears for machine in cluster.machines.values() if machine.gone}
    names = {name for machine in cluster.living for name in (machine.name, machine.bears)} - gone
    runs = Counter(machine.bears for machine in cluster.machines.values())
    for machine in cluster.living:
        assert machine.node is not None
        replica = machine.node.replica
        if runs[machine.bears] > 1:
            continue
        for client in cluster.clients:
            lost = client.seen & ~everything
            entries = replica.cut.entries
            missing = [o for o, seq in client.token.items() if entries.get(o, 0) < seq]
            if replica.others() - names or not missing:
                continue
            if not replica.lost_of(client.token):
                yield machine, client, lost


def digest_of(state: dict[bytes, Versions]) -> int:
    """The digest of a state, reckoned anew."""
    prints = (fingerprint(key, version) for key, held in state.items() for version in held)
    return sum(prints) % DIGEST_MODULUS


def _reckon_with(
    machine: Machine, cluster: Cluster, everything: int, truth: dict[bytes, Versions]
) -> None:
    if machine.node is None or not machine.node.health.writable:
        raise Violation("liveness", f"{machine.name} takes no writes though nothing prevents it")
    if not _knows_all(machine, cluster):
        names = sorted(machine.node.replica.members.names())
        raise Violation("membership", f"{machine.name} knows only {names}")
    if machine.seen != everything:
        lacking = cluster.oracle.dots(everything & ~machine.seen)
        raise Violation("liveness", f"{machine.name} still lacks {lacking}")
    holdback = machine.node.replica.holdback
    if holdback.requests or any(client.busy for client in cluster.clients):
        raise Violation("liveness", f"requests still wait at {machine.name}, or for an answer")
    if machine.unanswered:
        told = [flight.session for flight in machine.unanswered.values()]
        raise Violation("liveness", f"{machine.name} never answers {told}")
    if machine.node.replica.state.digest != digest_of(truth):
        raise Violation("convergence", f"the digest of {machine.name} is not its state's")
    table = machine.table()
    shown, true = _shown(table, machine.expiry), _shown(truth, machine.expiry)
    if shown != true or any(set(held) - set(truth.get(key, ())) for key, held in table.items()):
        raise Violation("convergence", f"{machine.name} holds {table}, the truth is {truth}")
    if unswept := machine.unswept():
        raise Violation("expiry", f"{machine.name} never removes {unswept}")
    counted = bin(machine.seen).count("1")
    entries = machine.node.replica.cut.entries
    if sum(entries.values()) != counted:
        raise Violation("vectors", f"{machine.name} counts {entries} for {counted} writes")
