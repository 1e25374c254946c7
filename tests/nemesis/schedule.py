"""Which fault comes when, to whom, for how long: all drawn from a seed before the start."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.nemesis import clocks, disks, links, processes
from tests.nemesis.field import Field

Fault = Callable[..., AbstractContextManager[None]]


@dataclass(frozen=True)
class Kind:
    """A kind of fault: what does it, and to how many nodes (0: all of them)."""

    fault: Fault
    victims: int = 1
    #: Faults of one layer would trip over each other, so they come one at a time.
    layer: str = "links"
    #: Needs its surroundings whole.
    alone: bool = False


KINDS: Final = {
    "cut_off": Kind(links.cut_off),
    "one_way": Kind(links.one_way, 2),
    "one_way_data": Kind(links.one_way_data, 2),
    "deaf": Kind(links.deaf),
    "mute": Kind(links.mute),
    "unanswered": Kind(links.unanswered),
    "ring": Kind(links.ring, 0),
    "loss": Kind(links.loss, 0),
    "link_down": Kind(links.link_down),
    "slow_link": Kind(links.slow_link),
    "paused": Kind(processes.paused, layer="processes"),
    "killed": Kind(processes.killed, layer="processes"),
    "wiped": Kind(processes.wiped, layer="processes", alone=True),
    "full_disk": Kind(disks.full_disk, layer="processes"),
    "clocks_apart": Kind(clocks.clocks_apart, 2, layer="clocks"),
}


@dataclass(frozen=True)
class Step:
    """One fault of a round."""

    kind: str
    victims: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(self.victims)})"


@dataclass(frozen=True)
class Round:
    """Faults at the same time, and quiet afterwards, too short for everything to heal."""

    steps: tuple[Step, ...]
    lasts_s: float
    quiet_s: float

    def __str__(self) -> str:
        steps = " with ".join(map(str, self.steps))
        return f"{steps} for {self.lasts_s:.1f} s, then {self.quiet_s:.1f} s of quiet"


def plan(seed: int, kinds: Sequence[str], nodes: Sequence[str], rounds: int) -> list[Round]:
    """Rounds of one or two faults, where each kind has its turn before any has its next."""
    random = Random(seed)
    kinds_due = _again_and_again(random, kinds)
    planned = []
    for _ in range(rounds):
        chosen = [next(kinds_due)]
        second = random.choice(kinds)
        layers = {KINDS[kind].layer for kind in (chosen[0], second)}
        if len(layers) == 2 and not any(KINDS[kind].alone for kind in (chosen[0], second)):
            chosen.append(second)
        steps = tuple(Step(kind, _victims(random, kind, nodes)) for kind in chosen)
        planned.append(Round(steps, random.uniform(1.5, 4.0), random.uniform(0.2, 1.5)))
    return planned


def carry_out(field: Field, planned: Sequence[Round]) -> None:
    """Round after round, while the clients work. All faults have stopped afterwards."""
    start = time.monotonic()
    for one in planned:
        print(f"{time.monotonic() - start:5.1f} s: {one}")
        with ExitStack() as stack:
            for step in one.steps:
                stack.enter_context(KINDS[step.kind].fault(field, *step.victims))
            field.load.last(one.lasts_s)
        field.load.last(one.quiet_s)


def _again_and_again(random: Random, kinds: Sequence[str]) -> Iterator[str]:
    while True:
        yield from random.sample(kinds, len(kinds))


def _victims(random: Random, kind: str, nodes: Sequence[str]) -> tuple[str, ...]:
    return tuple(random.sample(nodes, KINDS[kind].victims or len(nodes)))
