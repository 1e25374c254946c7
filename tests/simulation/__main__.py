"""`bin/simulate`: hunt through seeds, replay one, or see which planted faults are caught."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from kvnode.daemon.node import Durability
from tests.simulation.campaign import ProgressBar, Tally, campaign, minimised
from tests.simulation.mutation import hunt_mutants
from tests.simulation.plan import FAULTS, Plan
from tests.simulation.run import Outcome, run


def main() -> int:
    """Run the command; 1 if anything failed."""
    given = _parser().parse_args()
    if given.mutants:
        return _hunt_mutants(given)
    if given.trace:
        return _trace(next(_plans(given)))
    bar = ProgressBar(given.seeds)
    tally = campaign(_plans(given), given.jobs, bar, stop_at_first=given.stop_at_first)
    if given.json:
        print(json.dumps(_document(tally)))
    else:
        _print_summary(tally)
    for outcome in tally.failed[: given.minimise]:
        _print_failure(minimised(outcome))
    return 1 if tally.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bin/simulate", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--seeds", type=int, default=200, metavar="N", help="how many seeds (200)")
    add("--start", type=int, default=0, metavar="SEED", help="the first seed (0)")
    add("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes")
    add("--json", action="store_true", help="print one JSON document")
    add("--stop-at-first", action="store_true", help="end with the first failure")
    add("--minimise", type=int, default=1, metavar="N", help="failures to make small (1)")
    add("--trace", action="store_true", help="play the first seed and print all that happens")
    add("--mutants", action="store_true", help="plant faults, and see which are caught")
    less = parser.add_argument_group("a smaller plan than the seed's own")
    less.add_argument("--nodes", type=int, metavar="N")
    less.add_argument("--sessions", type=int, metavar="N")
    less.add_argument("--keys", type=int, metavar="N")
    less.add_argument("--trouble-s", type=float, metavar="S")
    less.add_argument("--faults", metavar="A,B", help=f"of: {', '.join(FAULTS)}")
    less.add_argument("--durability", choices=list(Durability), type=Durability)
    return parser


def _plans(given: argparse.Namespace) -> Iterator[Plan]:
    changes: dict[str, Any] = {
        name: getattr(given, name)
        for name in ("nodes", "sessions", "keys", "trouble_s", "durability")
        if getattr(given, name) is not None
    }
    if given.faults is not None:
        changes["faults"] = tuple(fault for fault in given.faults.split(",") if fault)
    for seed in range(given.start, given.start + given.seeds):
        yield replace(Plan.of(seed), **changes)


def _trace(plan: Plan) -> int:
    outcome = run(plan, tell=print)
    print(f"trace {outcome.trace}")
    return 0 if outcome.invariant is None else 1


def _document(tally: Tally) -> dict[str, Any]:
    return {
        "seeds": tally.seeds,
        "failed": [
            {"seed": outcome.plan.seed, "invariant": outcome.invariant, "message": outcome.message}
            for outcome in tally.failed
        ],
        "simulated_s": round(tally.simulated_s, 3),
        "states": dict(sorted(tally.states.items())),
    }


def _print_summary(tally: Tally) -> None:
    rate = tally.simulated_s / tally.elapsed_s if tally.elapsed_s else 0
    print(
        f"{tally.seeds} seeds, {len(tally.failed)} failed; {tally.simulated_s:.0f} simulated s "
        f"in {tally.elapsed_s:.0f} s, {rate:.0f} a second"
    )
    for state, count in sorted(tally.states.items()):
        print(f"  {count:>9}  {state}")


def _print_failure(outcome: Outcome) -> None:
    plan = outcome.plan
    command = ["bin/simulate", "--trace", "--start", str(plan.seed), "--nodes", str(plan.nodes)]
    command += ["--sessions", str(plan.sessions), "--keys", str(plan.keys)]
    command += ["--trouble-s", str(plan.trouble_s), "--faults", ",".join(plan.faults)]
    command += ["--durability", plan.durability]
    print(f"\nseed {plan.seed}: {outcome.message}", file=sys.stderr)
    print(f"replay it with: {shlex.join(command)}", file=sys.stderr)


def _hunt_mutants(given: argparse.Namespace) -> int:
    table = hunt_mutants(given.seeds, given.jobs)
    if given.json:
        caught = sum(row.seeds is not None for row in table)
        rows = [row._asdict() for row in table]
        print(json.dumps({"mutants": len(table), "caught": caught, "table": rows}))
    else:
        for row in table:
            seeds = "not caught" if row.seeds is None else f"{row.seeds:>4} seeds"
            print(f"{seeds:>10}  {row.fault:<60}  {row.invariant or ''}")
    return 0 if all(row.seeds is not None for row in table) else 1


if __name__ == "__main__":
    sys.exit(main())
