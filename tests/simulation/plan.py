"""What one run is made of: the seed turns a random subset of faults on (swarm testing:
Groce et al., ISSTA 2012), so that no fault hides behind another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from kvnode.core.limits import Limits
from kvnode.daemon.node import Durability
from tests.simulation.dice import Dice
from tests.simulation.oracle import CLOCK_HELD_US

SECOND_US: Final = 1_000_000

#: Every fault by name; what each does is in `faults.py` and `network.py`.
FAULTS: Final = (
    "loss",
    "duplication",
    "delay",
    "slow links",
    "partitions",
    "one-way cuts",
    "kills",
    "power failures",
    "crashes in a turn",
    "failing commits",
    "full disks",
    "moved disks",
    "wiped disks",
    "wiped and cut off",
    "a node gone for good",
    "rolled-back disks",
    "copied disks",
    "copies that run",
    "reverted machines",
    "late joins",
    "long absences",
    "forgets",
    "short logs",
    "capped logs",
    "damaged snapshots",
    "clock skew",
    "clock jumps",
    "tiny limits",
    "closed ports",
    "narrow links",
)

#: After these a node may lack what it once had, or not know who is a member.
_FORGETFUL: Final = (
    "wiped disks",
    "wiped and cut off",
    "rolled-back disks",
    "copied disks",
    "copies that run",
    "reverted machines",
    "forgets",
    "capped logs",
)

#: After these a disk may lack what was synced there.
_DISKS_CHANGE: Final = (
    "wiped disks",
    "wiped and cut off",
    "rolled-back disks",
    "copied disks",
    "copies that run",
    "reverted machines",
)

#: Runs with narrow links take longer than others. Many nodes would need them for their heartbeats;
#: and many other faults would leave little to be written that is large.
_NARROW_CHANCE: Final = 0.15
_NARROW_NODES_MAX: Final = 4

TINY_LIMITS: Final = Limits(
    held_batches_max=3,
    held_bytes_max=400,
    parked_requests_max=2,
    parked_bytes_max=400,
    concerns_max=2,
    concern_bytes_max=700,
    awaited_origins_max=1,
    remembered_requests_max=3,
    delivered_writes_per_turn=2,
    answered_bytes_per_turn=64,
    scan_work_per_page=2,
    scan_work_per_turn=2,
    cuts_max=2,
    cut_bytes_max=200,
    snapshot_part_bytes=100,
    folded_keys_per_turn=1,
    dropped_batches_per_turn=2,
    watches_max=1,
    watch_answer_events=2,
    told_events_per_turn=2,
    watch_answer_bytes=20,
    watch_read_bytes=200,
    watched_bytes_per_turn=200,
)


@dataclass(frozen=True)
class Plan:
    """One run. `faults` and the sizes are what minimising makes smaller."""

    seed: int
    nodes: int
    sessions: int
    #: How long clients work and faults happen; afterwards all is healed.
    trouble_s: float
    faults: tuple[str, ...]
    durability: Durability
    keys: int
    #: Mean time that a session thinks between two requests.
    think_us: int
    #: Mean time that a node takes to come round to its next turn.
    turn_us: int
    #: For each watcher what the keys start with that it follows.
    watched: tuple[bytes, ...]

    @property
    def limits(self) -> Limits:
        """Usual ones, or such that overflow is the rule."""
        limits = TINY_LIMITS if "tiny limits" in self.faults else Limits()
        if self.seed % 2:  # small pages of turns that bring much
            limits = limits._replace(watch_answer_events=1, told_events_per_turn=3)
        limits = limits._replace(scrub_interval_us=SECOND_US, scrubbed_bytes_per_heartbeat=300)
        limits = limits._replace(clock_held_us=CLOCK_HELD_US)
        if "short logs" in self.faults:
            limits = limits._replace(log_kept_us=SECOND_US, log_kept_bytes=300)
        if "capped logs" in self.faults:
            limits = limits._replace(log_bytes_max=500)
        return limits

    @property
    def keeps_disks(self) -> bool:
        """Whether what was synced on a disk stays there."""
        return not set(_DISKS_CHANGE) & set(self.faults)

    @property
    def truncates_strictly(self) -> bool:
        """Whether what a log drops must still be at all members."""
        keeps = self.durability is Durability.ALWAYS or "power failures" not in self.faults
        crashes = "crashes in a turn" in self.faults and self.durability is not Durability.ALWAYS
        return keeps and not crashes and not set(_FORGETFUL) & set(self.faults)

    @staticmethod
    def of(seed: int) -> Plan:
        """What this seed decides."""
        dice = Dice(seed, "plan")
        likely = dice.pick((0.0, 0.2, 0.4, 0.7))
        faults = tuple(it for it in FAULTS if it != "narrow links" and dice.chance(likely))
        nodes = dice.pick((2, 3, 3, 3, 4, 4, 5, 6, 9))
        apart = Dice(seed, "narrow links")
        if apart.chance(_NARROW_CHANCE):
            faults = (*(it for it in faults if apart.chance(0.3)), "narrow links")
            nodes = min(nodes, _NARROW_NODES_MAX)
        return Plan(
            seed=seed,
            nodes=nodes,
            sessions=dice.between(2, 8),
            trouble_s=dice.pick((2.0, 5.0, 10.0)),
            faults=faults,
            durability=dice.pick((*[Durability.ALWAYS] * 3, Durability.INTERVAL, Durability.NEVER)),
            keys=dice.between(1, 6),
            think_us=dice.pick((20_000, 60_000, 200_000)),
            turn_us=dice.pick((200, 2_000, 20_000)),
            watched=dice.pick(((), (b"",), (b"k",), (b"p", b"k1"), (b"", b"k2", b"p1"))),
        )

    def smaller(self) -> dict[str, Plan]:
        """Plans with one thing less each, by that thing; the greatest cuts first."""
        less = {}
        if self.trouble_s > 0.2:
            less["trouble"] = replace(self, trouble_s=round(self.trouble_s / 2, 3))
        if self.nodes > 2:
            less["nodes"] = replace(self, nodes=self.nodes - 1)
        if self.watched:
            less["watched"] = replace(self, watched=self.watched[1:])
        if self.sessions > 1:
            less["sessions"] = replace(self, sessions=self.sessions - 1)
        for fault in self.faults:
            less[fault] = replace(self, faults=tuple(f for f in self.faults if f != fault))
        if self.keys > 1:
            less["keys"] = replace(self, keys=1)
        return less
