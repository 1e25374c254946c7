"""Vectors and dots side by side: two incarnations of one node are never called the same."""

from __future__ import annotations

from kvnode.cli.incarnations import Incarnations
from kvnode.cli.output import error_lines
from kvnode.core.vector import new_origin
from kvnode.errors import Delayed, SessionLost

DAY_S = 1_796_000_000
OLD, NEW = new_origin("W", DAY_S, 7), new_origin("W", DAY_S + 60, 5)
X = new_origin("X", DAY_S, 1)


def test_a_node_with_one_incarnation_goes_by_its_name():
    named = Incarnations({OLD: 2, X: 1})
    assert named.vector({X: 1, OLD: 2}) == "W:2 X:1"
    assert named.dots([(OLD, 1, 2), (X, 3, 3)]) == "W:1-2 X:3"
    assert named.dot((X, 4)) == "X:4"
    assert (named.vector({}), named.notes()) == ("(nothing)", [])


def test_a_session_of_a_disk_that_is_lost_is_told_from_the_node_that_bears_the_name_now():
    error = Delayed("why", {OLD: 2, X: 1}, {NEW: 2}, [(OLD, 1, 2), (X, 1, 1)])
    assert error_lines(error) == [
        "delayed: why",
        f"  incoming  {OLD}:2 X:1",
        f"  local     {NEW}:2",
        f"  missing   {OLD}:1-2 X:1",
        f"  W is here as {OLD}, begun 2026-11-30 00:53:20 UTC, and as {NEW}, begun "
        "2026-11-30 00:54:20 UTC: a node that is started anew, or on a new disk, numbers its "
        "writes anew",
    ]


def test_what_is_lost_of_two_incarnations_is_told_apart():
    (line,) = error_lines(SessionLost([(OLD, 1, 1), (NEW, 3, 4)], b""))
    assert f"{OLD}:1 {NEW}:3-4" in line


def test_what_a_node_makes_up_is_shown_as_it_is():
    (note,) = Incarnations(["W~1", "W~2"]).notes()
    assert note.startswith("W is here as W~1, and as W~2: ")
