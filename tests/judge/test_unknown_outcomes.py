"""A put of unknown outcome took effect, or did not, or will; a failed get says nothing."""

from __future__ import annotations

from tests.judge import Pattern, judge
from tests.judge.transcript import transcript


def pattern(text: str) -> Pattern | None:
    conviction = judge(transcript(text)).cc
    return conviction.pattern if conviction else None


def test_a_put_of_unknown_outcome_may_never_be_seen() -> None:
    assert (
        pattern("""
        s1 put x 1
        s1 put x 2 ?
        s1 get x 1
        s2 get x 1
    """)
        is None
    )


def test_it_may_be_seen() -> None:
    assert (
        pattern("""
        s1 put x 1 ?
        s1 get x 1
        s2 get x 1
    """)
        is None
    )


def test_once_seen_it_stays_seen() -> None:
    assert (
        pattern("""
        s1 put x 1 ?
        s2 get x 1
        s2 get x -
    """)
        is Pattern.WRITE_CO_INIT_READ
    )


def test_its_own_session_may_see_it_late() -> None:
    assert (
        pattern("""
        s1 put x 1 ?
        s1 get x -
        s1 get x 1
    """)
        is None
    )


def test_it_may_take_effect_after_the_writes_that_follow_it() -> None:
    late = """
        s1 put x 1 ?
        s1 put x 2
        s2 get x 2
        s2 get x 1
    """
    assert pattern(late) is None
    assert pattern(late.replace("?", "")) is Pattern.WRITE_CO_READ


def test_two_of_one_session_may_take_effect_in_either_order() -> None:
    for order in (
        "s2 get x 1\n s2 get x 2",
        "s2 get x 2\n s2 get x 1",
    ):
        assert pattern("s1 put x 1 ?\n s1 put x 2 ?\n" + order) is None


def test_it_comes_after_all_that_its_session_had_seen() -> None:
    assert (
        pattern("""
        s1 put y 1
        s1 put x 1 ?
        s2 get x 1
        s2 get y -
    """)
        is Pattern.WRITE_CO_INIT_READ
    )


def test_it_comes_after_its_own_predecessors_only_even_when_it_is_read_late() -> None:
    # In the judge's order of work the read of x comes last, after y; not so for s2.
    assert (
        pattern("""
        s1 put x 1 ?
        s1 put y 1
        s3 get y 1
        s2 get x 1
        s2 get y -
    """)
        is None
    )


def test_a_failed_get_says_nothing() -> None:
    assert (
        pattern("""
        s1 put x 1
        s1 get x - ?
        s1 get x 7 ?
    """)
        is None
    )


def test_what_says_nothing_is_counted_as_left_out() -> None:
    judgement = judge(
        transcript("""
            s1 put x 1
            s1 put x 2 ?
            s1 put x 3 ?
            s1 get x - ?
            s2 get x 3
        """)
    )
    assert (judgement.operations, judgement.left_out, judgement.sessions) == (3, 2, 2)
