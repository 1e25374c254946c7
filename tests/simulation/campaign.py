"""Many seeds on all cores, and what came of them."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice

from tests.judge import as_text, judge, parse
from tests.simulation.plan import Plan
from tests.simulation.run import Outcome, run

#: Smaller plans that are tried to minimise one failure.
_TRIALS_MAX = 60


def play(plan: Plan) -> Outcome:
    """One run, judged by its clients' history as well."""
    outcome = run(plan)
    if outcome.invariant is not None:
        return outcome
    judgement = judge(parse(json.dumps(line) for line in outcome.history), cm_work_max=0)
    if judgement.ok:
        return outcome
    return replace(outcome, invariant="the judge", message=as_text(judgement))


def minimised(outcome: Outcome) -> Outcome:
    """The smallest failure that is found by leaving things out, one kind after the other."""
    needed: set[str] = set()
    for _ in range(_TRIALS_MAX):
        smaller = outcome.plan.smaller()
        thing = next((thing for thing in smaller if thing not in needed), None)
        if thing is None:
            break
        candidate = play(smaller[thing])
        if candidate.invariant == outcome.invariant:
            outcome = candidate
        else:
            needed.add(thing)
    return outcome


@dataclass
class Tally:
    """The sum of many outcomes."""

    seeds: int = 0
    simulated_s: float = 0.0
    elapsed_s: float = 0.0
    states: Counter[str] = field(default_factory=Counter)
    failed: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        self.seeds += 1
        self.simulated_s += outcome.simulated_s
        self.states += outcome.states
        if outcome.invariant is not None:
            self.failed.append(outcome)


def campaign(
    plans: Iterable[Plan], jobs: int, progress: Callable[[Tally], None], *, stop_at_first: bool
) -> Tally:
    """Play all plans."""
    tally = Tally()
    begun = time.monotonic()
    for outcome in _outcomes(plans, jobs):
        tally.add(outcome)
        tally.elapsed_s = time.monotonic() - begun
        progress(tally)
        if tally.failed and stop_at_first:
            break
    return tally


def _outcomes(plans: Iterable[Plan], jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from map(play, plans)
        return
    with ProcessPoolExecutor(jobs) as pool:
        plans = iter(plans)
        # In shares, so that stopping at the first does not wait for all.
        while share := list(islice(plans, 16 * jobs)):
            yield from pool.map(play, share)


class ProgressBar:
    """A line on a terminal that tells how far it is; nothing where nobody looks."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def __call__(self, tally: Tally) -> None:
        """Show this tally."""
        if not self._shown:
            return
        filled = 30 * tally.seeds // self._total
        rate = tally.simulated_s / tally.elapsed_s if tally.elapsed_s else 0
        line = f"\r[{'#' * filled:30}] {tally.seeds}/{self._total} seeds, "
        line += f"{len(tally.failed)} failed, {rate:.0f} simulated s/s "
        sys.stderr.write(line if tally.seeds < self._total else f"\r{'':79}\r")
        sys.stderr.flush()
