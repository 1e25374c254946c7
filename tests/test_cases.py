"""Each file in tests/cases is a story of a few nodes; `--rewrite` writes what really happens.

The manner is that of the test data of etcd's raft; the language is told in scenario.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenario import rewritten

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path, request: pytest.FixtureRequest) -> None:
    told = rewritten(case.read_text())
    if request.config.getoption("--rewrite"):
        case.write_text(told)
    assert told == case.read_text()
