"""The trouble of one run: which fault strikes whom and when, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from itertools import permutations
from typing import Final

from kvnode.core.continuity import PATIENCE_HEARTBEATS
from tests.simulation.cluster import Cluster
from tests.simulation.dice import Dice
from tests.simulation.disk import seen_on
from tests.simulation.machine import HEARTBEAT_US, MENDING_MEETS, Machine
from tests.simulation.network import GOSSIP, REQUESTS, Connection
from tests.simulation.plan import SECOND_US

_HOUR_US: Final = 3600 * SECOND_US
_STEPS_IN_A_TURN: Final = 12

#: 100, 20 and 5 kB a second.
_NARROW_US_PER_BYTE: Final = (10, 50, 200)

#: So long a node must hear nobody, or miss time, to see that it was reverted.
_SEEN_US: Final = (PATIENCE_HEARTBEATS + 1) * HEARTBEAT_US

#: A tenth: far beyond any quartz, so that a short run shows what a long one would.
_DRIFT_PPM_MAX: Final = 100_000


class Faults:
    """Strikes until the trouble ends; `heal` mends all that is broken."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._dice = Dice(cluster.plan.seed, "faults")
        #: Whose disk has a copy: one in each run, so that the two come to differ.
        self._copied = self._dice.pick(cluster.names)
        self._strikes: dict[str, tuple[int, Callable[[], None]]] = {
            "slow links": (SECOND_US, self._slow_a_link),
            "partitions": (2 * SECOND_US, self._partition),
            "one-way cuts": (SECOND_US, self._cut_one_way),
            "kills": (SECOND_US, self._kill),
            "power failures": (SECOND_US, self._fail_power),
            "crashes in a turn": (SECOND_US, self._crash_in_a_turn),
            "failing commits": (SECOND_US, self._fail_a_commit),
            "full disks": (2 * SECOND_US, self._fill_a_disk),
            "moved disks": (2 * SECOND_US, self._move_a_disk),
            "wiped disks": (4 * SECOND_US, self._wipe),
            "wiped and cut off": (4 * SECOND_US, self._wipe_and_cut_off),
            "rolled-back disks": (2 * SECOND_US, self._roll_back),
            "copied disks": (SECOND_US // 2, self._swap),
            "copies that run": (3 * SECOND_US, self._start_a_copy),
            "reverted machines": (SECOND_US, self._freeze),
            "long absences": (3 * SECOND_US, self._leave_for_long),
            "forgets": (2 * SECOND_US, self._forget_someone),
            "clock jumps": (SECOND_US, self._jump),
        }

    def begin(self) -> None:
        """Set clocks wrong, and let each chosen fault strike now and then."""
        if "clock skew" in self._cluster.plan.faults:
            for machine in self._cluster.machines.values():
                machine.skew_us = self._dice.between(-5 * SECOND_US, 5 * SECOND_US)
                machine.drift_ppm = self._dice.between(-_DRIFT_PPM_MAX, _DRIFT_PPM_MAX)
        if "closed ports" in self._cluster.plan.faults:
            self._close_ports()
        if "narrow links" in self._cluster.plan.faults:
            self._narrow_links()
        if "late joins" in self._cluster.plan.faults:
            for name in self._cluster.names[2:]:
                machine = self._cluster.machines[name]
                machine.kill()
                self._world.reach("a late join")
                self._later(3 * SECOND_US, machine.start)
        for fault in self._cluster.plan.faults:
            if fault in self._strikes:
                self._strike_later(*self._strikes[fault])

    def heal(self) -> None:
        """Everything works from now on, but for a node that is gone for good."""
        if "a node gone for good" in self._cluster.plan.faults and self._cluster.plan.nodes > 2:
            someone = self._someone()
            is_hub = self._cluster.network.closed and someone.name == self._cluster.names[0]
            self._lose(self._cluster.machines[self._cluster.names[1]] if is_hub else someone)
        self._cluster.is_healed = True
        self._cluster.network.heal()
        for machine in self._cluster.machines.values():
            machine.disk.full = machine.disk.moved = False
            machine.disk.fail_next_commit = None
            machine.steps_left = 0
            machine.mending_meets = None
            if machine.other_disk is not None:
                self._cluster.oracle.excused |= seen_on(machine.other_disk)
            machine.start()

    def _strike_later(self, mean_us: int, strike: Callable[[], None]) -> None:
        def act() -> None:
            if self._world.now_us < self._cluster.trouble_ends_us:
                strike()
                self._strike_later(mean_us, strike)

        self._world.after(self._dice.after(mean_us), act)

    def _someone(self) -> Machine:
        return self._cluster.machines[self._dice.pick(self._cluster.names)]

    def _later(self, mean_us: int, action: Callable[[], None]) -> None:
        self._world.after(self._dice.after(mean_us), action)

    # --- links

    def _close_ports(self) -> None:
        """Firewalls and NAT, for good: gossip comes from some nodes to some others, or to none;
        some can't be asked, and some can only open links. To the first one everybody can."""
        hub = self._cluster.names[0]
        closed = self._cluster.network.closed
        muted = self._dice.pick((0.0, 0.3, 1.0))
        for listener in self._cluster.names:
            ports: tuple[str, ...] = ()
            if listener != hub:
                ports = self._dice.pick(((), (), (), (REQUESTS,), (REQUESTS, GOSSIP)))
            for opener in [it for it in self._cluster.names if it != listener]:
                closed.update(Connection(opener, listener, port) for port in ports)
                if self._dice.chance(muted):
                    closed.add(Connection(opener, listener, GOSSIP))

    def _narrow_links(self) -> None:
        """Some links carry little, for good: a large value takes seconds there."""
        dice = Dice(self._cluster.plan.seed, "narrow links")
        likely = dice.pick((0.3, 1.0))
        for link in permutations(self._cluster.names, 2):
            if dice.chance(likely):
                self._cluster.network.narrow[link] = dice.pick(_NARROW_US_PER_BYTE)

    def _slow_a_link(self) -> None:
        link = (self._dice.pick(self._cluster.names), self._dice.pick(self._cluster.names))
        self._cluster.network.slow.add(link)
        self._later(SECOND_US, lambda: self._cluster.network.slow.discard(link))

    def _cut_one_way(self) -> None:
        self._cut([(self._dice.pick(self._cluster.names), self._dice.pick(self._cluster.names))])

    def _partition(self) -> None:
        one = [name for name in self._cluster.names if self._dice.chance(0.5)]
        other = [name for name in self._cluster.names if name not in one]
        self._cut([(a, b) for a in one for b in other] + [(b, a) for a in one for b in other])

    def _cut(self, links: list[tuple[str, str]], mean_us: int = 2 * SECOND_US) -> None:
        cut = self._cluster.network.cut
        self._world.note(f"cut {links}")
        cut.update(links)
        self._later(mean_us, lambda: cut.difference_update(links))

    # --- machines

    def _kill(self, machine: Machine | None = None) -> None:
        machine = machine or self._someone()
        if self._world.now_us < self._cluster.trouble_ends_us:
            machine.kill()
            self._later(SECOND_US, machine.start)

    def _fail_power(self) -> None:
        machine = self._someone()
        machine.fail()
        self._later(SECOND_US, machine.start)

    def _crash_in_a_turn(self) -> None:
        self._someone().steps_left = self._dice.between(1, _STEPS_IN_A_TURN)

    def _wipe(self) -> None:
        machine = self._someone()
        machine.wipe()
        self._later(SECOND_US, machine.start)

    def _wipe_and_cut_off(self) -> None:
        """One starts on an empty disk, or two do; and before they can hear the others, or just as
        they begin to, they are cut off from these."""
        wiped = {self._dice.pick(self._cluster.names) for _ in range(self._dice.between(1, 2))}
        others = [name for name in self._cluster.names if name not in wiped]
        links = [(a, b) for a in sorted(wiped) for b in others]
        links += [(b, a) for a, b in links]
        self._later(SECOND_US // 2, lambda: self._cut(links, 4 * SECOND_US))
        for name in sorted(wiped):
            machine = self._cluster.machines[name]
            machine.wipe()
            self._later(SECOND_US // 4, machine.start)

    def _roll_back(self) -> None:
        """A copy is made of a disk, and some time later takes its place."""
        machine = self._someone()
        machine.keep_copy()
        self._later(2 * SECOND_US, lambda: self._put_back(machine))

    def _put_back(self, machine: Machine) -> None:
        if self._world.now_us < self._cluster.trouble_ends_us:
            machine.swap_disks()
            machine.other_disk = None
            self._later(SECOND_US, machine.start)

    def _swap(self) -> None:
        """Two disks of one name take turns, each with writes that the other lacks."""
        machine = self._cluster.machines[self._copied]
        if machine.other_disk is None:
            machine.keep_copy()
        else:
            machine.swap_disks()
            self._later(SECOND_US, machine.start)

    def _start_a_copy(self) -> None:
        """A second machine with a node's disk, and its name, which runs beside the first."""
        original = self._cluster.machines[self._copied]
        name = f"{original.name}-copy"
        if name in self._cluster.machines:
            return
        self._world.reach("a copy started beside its original")
        self._cluster.oracle.forgetful.add(original.bears)
        copy = Machine(self._cluster, name, original.bears)
        copy.disk = deepcopy(original.disk)
        copy.disk.sync()
        copy.expiry = original.expiry
        self._cluster.machines[name] = copy
        self._cluster.names.append(name)
        copy.start()

    def _freeze(self) -> None:
        """A machine's disk and memory are copied while its node runs, and some time later put back,
        sometimes twice."""
        machine = self._someone()
        if machine.can_freeze:
            machine.freeze()
            self._later(SECOND_US, lambda: self._revert(machine, again=self._dice.chance(0.3)))

    def _revert(self, machine: Machine, *, again: bool) -> None:
        if self._world.now_us >= self._cluster.trouble_ends_us or machine.gone:
            machine.frozen = None
            return
        strike = self._dice.pick((self._revert_with_clocks, self._revert_with_clocks, self._see))
        strike(machine)
        if again and machine.can_freeze:
            machine.freeze()
            self._world.reach("a machine to be reverted twice")
            self._later(SECOND_US, lambda: self._revert(machine, again=False))

    def _see(self, machine: Machine) -> None:
        """Its clocks are set, so that it sees the time that is missing; or it takes so long until
        connections are there again that it sees that."""
        sets_clock = self._dice.chance(0.5)
        machine.revert(sets_clock=sets_clock)
        if not sets_clock:
            self._cut_off(machine)

    def _revert_with_clocks(self, machine: Machine) -> None:
        """It can't see anything yet when clients write to it; later something else may strike. Its
        peers' connections may take a while longer."""
        machine.revert(sets_clock=False)
        apart = self._cluster.network.apart
        apart[machine.name] += 1
        apart_us = self._dice.pick((0, HEARTBEAT_US // 10, HEARTBEAT_US, _SEEN_US))
        self._world.after(apart_us, lambda: apart.subtract([machine.name]))
        for client in self._cluster.clients:
            if self._dice.chance(0.7):
                after_us = self._dice.after(HEARTBEAT_US // 10)
                self._world.after(after_us, lambda it=client: it.writes_at(machine.name))
        machine.mending_meets = self._dice.pick((None, *MENDING_MEETS))
        if self._dice.chance(0.2):
            self._later(SECOND_US, lambda: self._kill(machine))

    def _cut_off(self, machine: Machine) -> None:
        alone = self._cluster.network.alone
        alone[machine.name] += 1
        self._world.after(_SEEN_US, lambda: alone.subtract([machine.name]))

    def _leave_for_long(self) -> None:
        machine = self._someone()
        machine.kill()
        self._later(10 * SECOND_US, machine.start)

    def _forget_someone(self) -> None:
        self._cluster.forget(self._someone(), self._someone())

    def _lose(self, machine: Machine) -> None:
        """Its writes must reach all if they reached anyone."""
        machine.kill()
        machine.gone = True
        self._cluster.speaks_anew(machine)
        self._cluster.oracle.excused |= machine.seen
        self._world.reach("a node gone for good")
        # Whoever still waits for what only that had is started without its address.
        self._world.after(2 * SECOND_US, self._start_the_joining_anew)
        if "forgets" in self._cluster.plan.faults:
            for at in self._cluster.living:
                self._world.after(5 * SECOND_US, lambda at=at: self._cluster.forget(machine, at))

    def _start_the_joining_anew(self) -> None:
        for machine in self._cluster.living:
            if not machine.has_joined:
                machine.kill()
                machine.start()

    def _jump(self) -> None:
        self._someone().skew_us += self._dice.between(-_HOUR_US, _HOUR_US)
        self._world.states["a clock jumped"] += 1

    # --- disks

    def _fail_a_commit(self) -> None:
        self._someone().disk.fail_next_commit = self._dice.chance(0.5)

    def _move_a_disk(self) -> None:
        """Its files are somewhere else, and its node writes to them as before, unless it looks."""
        disk = self._someone().disk
        disk.moved = True

        def bring_back() -> None:
            disk.moved = False

        self._later(SECOND_US, bring_back)

    def _fill_a_disk(self) -> None:
        disk = self._someone().disk
        disk.full = True
        # What fails for want of room, or in an fsync, may be there all the same.
        disk.fail_next_commit = self._dice.pick((None, True))

        def free() -> None:
            disk.full = False

        self._later(SECOND_US, free)
