"""Each bad pattern is convicted by its name, with exactly its operations."""

from __future__ import annotations

import pytest

from tests.judge import Conviction, Pattern, judge
from tests.judge.guilty import GUILTY
from tests.judge.proof import check_proof
from tests.judge.transcript import transcript

#: Operations of no guilt, before and after: they must not turn up in the proof.
BYSTANDERS = """
    s1 put a 1
    s2 get a 1
    s9 get a 1
    s9 put b 1
"""


def only(convictions: list[Conviction | None], pattern: Pattern) -> Conviction:
    (conviction,) = {id(c): c for c in convictions if c and c.pattern is pattern}.values()
    return conviction


@pytest.mark.parametrize("pattern", Pattern)
@pytest.mark.parametrize("bystanders", ["", BYSTANDERS], ids=["alone", "in a crowd"])
def test_a_pattern_is_convicted_by_its_name_with_exactly_its_operations(
    pattern: Pattern, bystanders: str
) -> None:
    aside, guilty = transcript(bystanders), transcript(GUILTY[pattern])
    operations = aside + guilty + transcript("s1 get a 1\ns2 get b -") * bool(aside)
    judgement = judge(operations)
    conviction = only([judgement.cc, judgement.cm, judgement.ccv], pattern)
    first = len(aside) + 1
    assert conviction.operations == dict(enumerate(guilty, first))
    check_proof(operations, conviction)


@pytest.mark.parametrize(
    "pattern",
    [
        Pattern.CYCLIC_CO,
        Pattern.WRITE_CO_INIT_READ,
        Pattern.THIN_AIR_READ,
        Pattern.WRITE_CO_READ,
    ],
)
def test_a_pattern_of_the_causal_order_violates_all_three_models(pattern: Pattern) -> None:
    judgement = judge(transcript(GUILTY[pattern]))
    assert judgement.cc is judgement.cm is judgement.ccv is not None
    assert not judgement.ok


def test_the_shortest_of_several_cycles_is_shown() -> None:
    judgement = judge(
        transcript("""
            s1 get x 1   | s1, s2, s3 and back to s1
            s1 put y 1
            s2 get y 1
            s2 get v 1   | s2, s3 and back to s2
            s2 put z 1
            s3 get z 1
            s3 put v 1
            s3 put x 1
        """)
    )
    assert judgement.cc and list(judgement.cc.operations) == [4, 5, 6, 7]


def test_the_newest_of_a_session_s_writes_does_not_lengthen_a_conflict() -> None:
    judgement = judge(
        transcript("""
            s1 put x 1
            s1 put x 2
            s1 get x 3
            s2 put x 3
            s2 get x 1   | 3 before 1, which is before 3 by itself: 2 is not needed
        """)
    )
    assert judgement.ccv and list(judgement.ccv.operations) == [1, 3, 4, 5]


def test_a_long_way_along_one_session_counts_as_one_step() -> None:
    judgement = judge(
        transcript("""
            s1 put x 1
            s1 put a 1
            s1 put b 1
            s1 put c 1
            s1 put y 1
            s2 get x 1   | a way with fewer operations, but more edges
            s2 put z 1
            s3 get y 1
            s3 get z 1
            s3 get x -
        """)
    )
    assert judgement.cc and list(judgement.cc.operations) == [1, 5, 8, 10]


def test_a_write_may_be_in_conflict_with_one_that_causes_it() -> None:
    operations = transcript("""
        s1 put x 1
        s1 put x 2
        s1 put y 1
        s1 put b 1
        s2 put y 2
        s2 get x 1
        s2 get b 1
        s2 get y 2   | y = 1 was there before y = 2, and x = 2 with it: why read x = 1?
    """)
    conviction = judge(operations).cm
    assert conviction is not None and conviction.pattern is Pattern.CYCLIC_HB
    assert [(edge.source, edge.target) for edge in conviction.chain] == [(2, 1), (1, 2)]
    check_proof(operations, conviction)


def test_a_conflict_that_rests_on_another_is_explained_in_turn() -> None:
    operations = transcript("""
        s1 put z 1
        s1 put x 1
        s1 put y 1
        s1 put b 1
        s2 put x 2
        s2 get z -
        s2 put y 2
        s2 get x 2
        s2 get b 1   | all of s1 is there by now,
        s2 get y 2   | so y = 1 was there before y = 2; then so was x = 1 before x = 2
    """)
    conviction = judge(operations).cm
    assert conviction is not None and conviction.pattern is Pattern.WRITE_HB_INIT_READ
    assert [(edge.source, edge.target) for edge in conviction.chain] == [(1, 2), (2, 5), (5, 6)]
    assert [
        (reason.conflict.source, reason.conflict.read, len(reason.chain))
        for reason in conviction.reasons
    ] == [(2, 8, 3), (3, 10, 3)]
    check_proof(operations, conviction)


def test_what_a_conflict_puts_before_a_write_is_before_all_that_follows_by_older_conflicts() -> (
    None
):
    operations = transcript("""
        s1 put x 2
        s1 get z -
        s2 put z 1
        s2 put y 1
        s2 put b 1
        s3 put y 2
        s3 put x 1
        s3 put c 1
        s1 get c 1
        s1 get x 2   | x = 1 was there before x = 2,
        s1 get b 1
        s1 get y 2   | and y = 1, with z = 1, before y = 2, before x = 1
    """)
    conviction = judge(operations).cm
    assert conviction is not None and conviction.pattern is Pattern.WRITE_HB_INIT_READ
    chain = [(edge.source, edge.target) for edge in conviction.chain]
    assert chain == [(3, 4), (4, 6), (6, 7), (7, 1), (1, 2)]
    check_proof(operations, conviction)
