"""Does it catch? Deliberate faults are planted in copies of the sources and hunted there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.mutation import plant

ROOT = Path(__file__).parent.parent.parent

#: Within so many seeds each mutant must be caught.
SEEDS_MAX = 1_200


def hunted(mutant, directory):
    plant(mutant, directory)
    command = [sys.executable, "-m", "tests.simulation", "--seeds", str(SEEDS_MAX), "--json"]
    command += ["--stop-at-first", "--minimise", "0"]
    ran = subprocess.run(command, cwd=directory, capture_output=True, check=False, text=True)
    return json.loads(ran.stdout)["failed"]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.fault)
def test_every_mutant_stands_in_the_sources_as_they_are(mutant, tmp_path):
    plant(mutant, tmp_path)


@pytest.mark.parametrize("fault", ["deliver without checking deps", "ignore the token"])
def test_a_planted_fault_is_caught(fault, tmp_path):
    (mutant,) = (mutant for mutant in MUTANTS if mutant.fault == fault)
    assert hunted(mutant, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.fault)
def test_every_planted_fault_is_caught(mutant, tmp_path):
    assert hunted(mutant, tmp_path), f"not caught in {SEEDS_MAX} seeds"
