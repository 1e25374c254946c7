"""The judge and the naive implementation agree, and every proof holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from tests.judge import Conviction, Operation, Pattern, judge
from tests.judge.naive import NaiveHistory
from tests.judge.proof import check_proof
from tests.judge.random_histories import KINDS

#: The first that a history has is the one that it is convicted of.
OF_CAUSAL_ORDER = (
    Pattern.CYCLIC_CO,
    Pattern.WRITE_CO_INIT_READ,
    Pattern.THIN_AIR_READ,
    Pattern.WRITE_CO_READ,
)
OF_MEMORY: set[Pattern | None] = {Pattern.WRITE_HB_INIT_READ, Pattern.CYCLIC_HB}
OF_CONVERGENCE: set[Pattern | None] = {Pattern.CYCLIC_CF}
NOTHING: set[Pattern | None] = {None}


def name(conviction: Conviction | None) -> Pattern | None:
    return conviction.pattern if conviction else None


def check(operations: Sequence[Operation]) -> set[Pattern | None]:
    """Judge both ways; return what the history is convicted of, None for each model held."""
    patterns = NaiveHistory(operations).patterns()
    judgement = judge(operations)
    first = next((pattern for pattern in OF_CAUSAL_ORDER if pattern in patterns), None)
    assert name(judgement.cc) is first
    if first:
        assert judgement.cm is judgement.ccv is judgement.cc
    else:
        # Either of the two memory patterns will do where a history has both.
        assert name(judgement.cm) in (patterns & OF_MEMORY or NOTHING)
        assert name(judgement.ccv) in (patterns & OF_CONVERGENCE or NOTHING)
    convictions = (judgement.cc, judgement.cm, judgement.ccv)
    for conviction in filter(None, convictions):
        check_proof(operations, conviction)
    return set(map(name, convictions))


@pytest.mark.parametrize(
    ("length_max", "histories"), [(12, 2_500), (30, 400)], ids=["short", "longer"]
)
def test_the_judge_agrees_with_the_definitions_on_thousands_of_random_histories(
    length_max: int, histories: int
) -> None:
    met: Counter[Pattern | None] = Counter()
    for seed in range(histories):
        for make in KINDS:
            operations = make(Random(seed), length_max)
            try:
                met.update(check(operations))
            except AssertionError:
                print(f"{make.__name__}, seed {seed}:", *operations, sep="\n")
                raise
    print(dict(met))
    # Not a figure of the judge's: that each pattern was put to the test.
    assert min(met[pattern] for pattern in (*Pattern, None)) >= 20
