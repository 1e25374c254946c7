"""Plants each deliberate fault in a copy of the sources, and hunts it there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from tests.simulation.mutants import MUTANTS
from tests.simulation.mutants.mutant import Mutant

ROOT: Final = Path(__file__).parent.parent.parent


class Row(NamedTuple):
    """What became of one mutant."""

    fault: str
    #: Seeds until it was caught; None if it was not.
    seeds: int | None
    #: The invariant that caught it.
    invariant: str | None


def hunt_mutants(seeds: int, jobs: int) -> list[Row]:
    """Hunt each mutant through so many seeds at the most."""
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda mutant: _hunt(mutant, seeds), MUTANTS))


def _hunt(mutant: Mutant, seeds: int) -> Row:
    with tempfile.TemporaryDirectory(prefix="kvnode-mutant-") as name:
        directory = Path(name)
        plant(mutant, directory)
        command = [sys.executable, "-m", "tests.simulation", "--seeds", str(seeds), "--jobs", "1"]
        hunted = subprocess.run(
            [*command, "--stop-at-first", "--minimise", "0", "--json"],
            cwd=directory,
            env=os.environ | {"PYTHONPATH": str(directory)},
            capture_output=True,
            text=True,
            check=False,
        )
    if hunted.returncode not in (0, 1) or not hunted.stdout:
        raise RuntimeError(f"{mutant.fault}: the simulator did not run:\n{hunted.stderr}")
    document = json.loads(hunted.stdout)
    if not document["failed"]:
        return Row(mutant.fault, None, None)
    return Row(mutant.fault, document["seeds"], document["failed"][0]["invariant"])


def plant(mutant: Mutant, directory: Path) -> None:
    """Lay a copy of the sources and tests into a directory, with this fault in it."""
    ignored = shutil.ignore_patterns("__pycache__")
    for tree in ("kvnode", "tests"):
        shutil.copytree(ROOT / tree, directory / tree, ignore=ignored)
    for edit in mutant.edits:
        file = directory / edit.file
        text = file.read_text()
        found = text.count(edit.old)
        if found != 1:
            raise RuntimeError(f"{mutant.fault}: {edit.file} has its text {found} times")
        file.write_text(text.replace(edit.old, edit.new))
