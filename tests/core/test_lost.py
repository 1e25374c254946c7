"""When a write is lost for good: table by table what claims must say."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kvnode.core.lost import is_lost, lost_of
from kvnode.core.messages import Claim
from kvnode.core.results import Lost
from kvnode.core.succession import Cut
from kvnode.core.vector import Dot, Missing, Vector, new_origin

X, X2, X3 = (new_origin("X", at, at) for at in (1, 2, 3))
Y, Z = (new_origin(name, 1, 1) for name in "YZ")


def cut(entries: Vector, ends: Mapping[str, Mapping[str, int]]) -> Cut:
    return Cut.restored(entries, ends)


def claim(delivered: Vector, *, lacks: bool = False) -> Claim:
    return Claim("Y", 1, delivered, delivered, 0, {}, 0, is_not_all=lacks)


#: X wrote two writes that came here, and then it ended them there.
HERE = cut({X: 2, X2: 1, Y: 1}, {X2: {X: 2}})
#: A member that has the successor, and nothing of X beyond.
SURE = claim({X2: 1, Y: 1})


@pytest.mark.parametrize(
    ("why", "dot", "claims", "lost"),
    [
        ("all members have its end, and none has it", Dot(X, 3), [SURE], True),
        ("so for any later one", Dot(X, 9), [SURE, SURE], True),
        ("there is no other member", Dot(X, 3), [], True),
        ("it is here", Dot(X, 2), [SURE], False),
        ("its origin goes on", Dot(X2, 2), [SURE], False),
        ("its origin is unknown", Dot(Z, 1), [SURE], False),
        ("a member was not heard", Dot(X, 3), [SURE, None], False),
        ("a member may have it still, and not know the end", Dot(X, 3), [claim({X: 2})], False),
        ("a member has it", Dot(X, 3), [SURE, claim({X2: 1, X: 3})], False),
        ("a member has some of it, not this", Dot(X, 4), [claim({X2: 1, X: 3})], False),
        ("a member has more of its name", Dot(X, 3), [claim({X2: 5})], False),
        ("a member has an incarnation unknown here", Dot(X, 3), [claim({X3: 1})], False),
        ("a member lacks a stranger's", Dot(X, 3), [claim({X2: 1}, lacks=True)], False),
        ("a member has others' writes unknown here", Dot(X, 3), [claim({X2: 1, Y: 9})], False),
    ],
)
def test_a_dot_is_lost_when_no_member_can_have_it(
    why: str, dot: Dot, claims: list[Claim | None], lost: bool
) -> None:
    assert is_lost(dot, HERE, claims) == lost, why


def test_the_end_may_be_implied_by_a_later_one() -> None:
    here = cut({X: 2, X2: 1, X3: 1}, {X2: {X: 2}, X3: {X2: 1}})
    assert is_lost(Dot(X, 3), here, [claim({X3: 1})])
    assert is_lost(Dot(X2, 2), here, [claim({X3: 1})])


def test_one_end_below_the_dot_is_enough() -> None:
    """From a copied disk: one of X2 and X3 had seen X:5, the other not. Who has X:5 claims it."""
    here = cut({X: 5, X2: 1, X3: 1}, {X2: {X: 2}, X3: {X: 5}})
    assert not is_lost(Dot(X, 5), here, [claim({X2: 1, X3: 1})])
    assert is_lost(Dot(X, 6), here, [claim({X2: 1, X3: 1})])


# --- of a session


def judged(token: Vector, cut: Cut, claims: list[Claim | None]) -> Lost | None:
    return lost_of(token, cut, lambda dot: is_lost(dot, cut, claims))


def test_a_session_with_nothing_lost_is_told_so() -> None:
    assert judged({X: 2, Y: 9}, HERE, [SURE]) is None
    assert judged({}, HERE, [SURE]) is None


def test_a_session_is_told_what_is_lost_and_what_is_left() -> None:
    lost = judged({X: 5, Y: 9}, HERE, [SURE])
    assert lost == Lost((Missing(X, 3, 5),), {X: 2, Y: 9})


def test_an_origin_of_which_nobody_has_anything_is_not_known_to_have_ended() -> None:
    """No later incarnation could name it; its session is delayed, not lost."""
    assert judged({X: 1}, cut({X2: 1}, {X2: {}}), [claim({X2: 1})]) is None


def test_several_are_told_in_order() -> None:
    y2 = new_origin("Y", 2, 2)
    here = cut({X: 2, X2: 1, Y: 1, y2: 1}, {X2: {X: 2}, y2: {Y: 1}})
    lost = judged({Y: 3, X: 3}, here, [claim({X2: 1, y2: 1})])
    assert lost == Lost((Missing(X, 3, 3), Missing(Y, 2, 3)), {X: 2, Y: 1})
