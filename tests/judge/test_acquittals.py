"""Histories that satisfy a model are acquitted of violating it, and only of that."""

from __future__ import annotations

from random import Random

import pytest

from tests.judge import Judgement, judge
from tests.judge.store import Rule, run
from tests.judge.transcript import transcript


def held(judgement: Judgement) -> set[str]:
    convictions = {"CC": judgement.cc, "CM": judgement.cm, "CCv": judgement.ccv}
    return {model for model, conviction in convictions.items() if conviction is None}


def test_nothing_at_all_satisfies_every_model() -> None:
    assert held(judge([])) == {"CC", "CM", "CCv"}


def test_a_sequential_history_satisfies_every_model() -> None:
    history = transcript("""
        s1 get x -
        s1 put x 1
        s2 get x 1
        s2 put y 1
        s2 put x 2
        s3 get x 2
        s3 get y 1
        s1 get x 2
    """)
    assert held(judge(history)) == {"CC", "CM", "CCv"}


def test_sessions_may_lag_behind_for_ever() -> None:
    history = transcript("""
        s1 put x 1
        s1 put y 1
        s2 get x -
        s2 get x 1
        s2 get y -
        s3 get y -
    """)
    assert held(judge(history)) == {"CC", "CM", "CCv"}


def test_the_lines_of_different_sessions_may_come_in_any_order() -> None:
    history = transcript("""
        s2 get x 1
        s2 get y 1
        s1 put x 1
        s1 put y 1
    """)
    assert held(judge(history)) == {"CC", "CM", "CCv"}


def test_a_session_that_reads_back_and_forth_is_causally_consistent_but_no_more() -> None:
    history = transcript("""
        s1 put x 1
        s2 put x 2
        s2 get x 1
        s2 get x 2
    """)
    assert held(judge(history)) == {"CC"}


def test_sessions_that_resolve_a_conflict_differently_are_a_causal_memory_only() -> None:
    history = transcript("""
        s1 put x 1
        s2 put x 2
        s1 get x 2
        s2 get x 1
    """)
    assert held(judge(history)) == {"CC", "CM"}


def test_a_late_write_that_loses_converges_but_is_no_causal_memory() -> None:
    history = transcript("""
        s1 put z 1
        s1 put x 1
        s1 put y 1
        s2 put x 2
        s2 get z -
        s2 get y 1
        s2 get x 2
    """)
    assert held(judge(history)) == {"CC", "CCv"}


@pytest.mark.parametrize("seed", range(100))
def test_a_store_is_acquitted_of_violating_the_model_that_it_has(seed: int) -> None:
    random = Random(seed)
    for rule, model in ((Rule.LAST_STAMP_WINS, "CCv"), (Rule.LAST_ARRIVAL_WINS, "CM")):
        operations = run(
            random,
            rule,
            operations=200,
            sessions=random.randint(1, 6),
            keys=random.randint(1, 20),
            pulls=random.randint(1, 10),
            unknown=random.choice([0, 0.1]),
        )
        assert held(judge(operations)) >= {"CC", model}
