"""When nobody has a write of whose incarnation no end is known."""

from __future__ import annotations

import pytest

from kvnode.core.doubts import DOUBT_HEARTBEATS, DOUBTS_MAX, MARKER_PAUSE_US, Doubts
from kvnode.core.messages import Claim
from kvnode.core.succession import Cut
from kvnode.core.vector import Dot, Vector, new_origin

HEARTBEAT_US = 100
WAIT_US = DOUBT_HEARTBEATS * HEARTBEAT_US
X, GONE = new_origin("X", 1, 1), new_origin("Y", 1, 9)
Y, Z = (new_origin(name, 1, 1) for name in "YZ")
MARKER = Dot(X, 7)
MISSING = Dot(GONE, 3)
HERE = Cut.restored({X: 7, Y: 2, Z: 1}, {})


def claim(delivered: Vector, *, lacks: bool = False) -> Claim:
    return Claim("Y", 1, delivered, delivered, 0, {}, 0, is_not_all=lacks)


def doubting(marker: Dot | None = MARKER) -> Doubts:
    """It has missed a write for long, and made one of its own since."""
    doubts = Doubts(heartbeat_us=HEARTBEAT_US)
    doubts.missed(MISSING, 0)
    if marker is not None:
        doubts.marked(marker, WAIT_US)
    return doubts


def test_what_is_missing_for_long_calls_for_a_marker_and_what_has_one_does_not() -> None:
    doubts = doubting(marker=None)
    assert not doubts.calls_for_marker(WAIT_US - 1)
    assert doubts.calls_for_marker(WAIT_US)
    doubts.marked(MARKER, WAIT_US)
    assert not doubts.calls_for_marker(WAIT_US + MARKER_PAUSE_US)


def test_markers_are_made_now_and_then_however_much_is_in_doubt() -> None:
    doubts = doubting()
    doubts.missed(Dot(Z, 9), 0)
    assert not doubts.calls_for_marker(WAIT_US + MARKER_PAUSE_US - 1)
    assert doubts.calls_for_marker(WAIT_US + MARKER_PAUSE_US)


def test_what_has_come_is_in_doubt_no_more() -> None:
    doubts = doubting(marker=None)
    doubts.came(Cut.restored({GONE: 3}, {}))
    assert not doubts.calls_for_marker(10 * WAIT_US)


def test_so_many_are_in_doubt_and_no_more() -> None:
    doubts = Doubts(heartbeat_us=HEARTBEAT_US)
    for at in range(DOUBTS_MAX + 1):
        doubts.missed(Dot(new_origin("Q", 1, at), 1), 0)
    doubts.marked(MARKER, WAIT_US)
    found = [doubts.is_nowhere(Dot(new_origin("Q", 1, at), 1), HERE, []) for at in (0, DOUBTS_MAX)]
    assert found == [True, False]


ALL = claim({X: 7, Y: 2, Z: 1})


@pytest.mark.parametrize(
    ("why", "dot", "claims", "is_nowhere"),
    [
        ("all have seen the marker, and none has it", MISSING, [ALL, ALL], True),
        ("nor has anyone what comes after it", Dot(GONE, 9), [ALL], True),
        ("there is no other member", MISSING, [], True),
        ("what comes before it was not in doubt", Dot(GONE, 2), [ALL], False),
        ("another was not in doubt", Dot(Z, 9), [ALL], False),
        ("a member was not heard", MISSING, [ALL, None], False),
        ("a member spoke before the marker", MISSING, [claim({X: 6, Y: 2})], False),
        ("a member has it", MISSING, [ALL, claim({X: 7, GONE: 3})], False),
        ("a member lacks a stranger's", MISSING, [ALL, claim({X: 7, Y: 2}, lacks=True)], False),
        ("a member has what is not here yet", MISSING, [claim({X: 7, Y: 3})], False),
    ],
)
def test_it_is_nowhere_if_all_spoke_since_and_this_node_has_all_that_they_claim(
    why: str, dot: Dot, claims: list[Claim | None], is_nowhere: bool
) -> None:
    assert doubting().is_nowhere(dot, HERE, claims) == is_nowhere, why


def test_without_a_marker_nothing_is_known() -> None:
    assert not doubting(marker=None).is_nowhere(MISSING, HERE, [ALL])


def test_what_is_here_is_somewhere() -> None:
    here = Cut.restored({X: 7, Y: 2, Z: 1, GONE: 3}, {})
    assert not doubting().is_nowhere(MISSING, here, [claim({X: 7})])


def test_an_earlier_write_of_the_same_origin_needs_a_marker_of_its_own() -> None:
    doubts = doubting()
    doubts.missed(Dot(GONE, 1), WAIT_US)
    assert not doubts.is_nowhere(MISSING, HERE, [ALL])
    doubts.marked(Dot(X, 7), 2 * WAIT_US)
    assert doubts.is_nowhere(Dot(GONE, 1), HERE, [ALL])
