"""Reports: what this node was asked to report, and when it does."""

from __future__ import annotations

import pytest

from kvnode.core.limits import Limits
from kvnode.core.reports import Reports
from kvnode.core.vector import Dot, new_origin

X, Y, Z = (new_origin(name, 1, 1) for name in "XYZ")


def due(reports: Reports, **synced: int) -> list[Dot]:
    by_origin = {X: synced.get("x", 0), Y: synced.get("y", 0), Z: synced.get("z", 0)}
    return reports.due(lambda origin: by_origin[origin])


@pytest.mark.parametrize(
    ("asked", "steps"),
    [
        ([], [(9, None)]),
        ([3], [(2, None), (3, 3), (4, None)]),
        ([3], [(5, 5), (6, None)]),
        ([3, 5], [(2, None), (3, 3), (4, 4), (5, 5), (6, None)]),
        ([3, 5], [(5, 5), (6, None)]),
        ([5, 3], [(3, 3), (5, 5), (6, None)]),
        ([3, 3], [(3, 3), (4, None)]),
    ],
)
def test_it_reports_what_was_asked_for_once_it_is_synced(
    asked: list[int], steps: list[tuple[int, int | None]]
) -> None:
    reports = Reports(Limits())
    for seq in asked:
        reports.asked(Dot(X, seq))
    for synced, reported in steps:
        assert due(reports, x=synced) == ([] if reported is None else [Dot(X, reported)])


def test_who_is_asked_faster_than_writes_come_reports_all_the_same() -> None:
    reports = Reports(Limits())
    for seq in range(1, 10):
        reports.asked(Dot(X, seq + 1))
        assert bool(due(reports, x=seq)) == (seq > 1)


def test_each_origin_is_told_for_itself() -> None:
    reports = Reports(Limits())
    for origin in (X, Y):
        reports.asked(Dot(origin, 2))
    assert due(reports, x=1, y=2) == [Dot(Y, 2)]
    assert due(reports, x=2, y=3) == [Dot(X, 2)]


def test_the_oldest_is_forgotten_beyond_the_limit() -> None:
    reports = Reports(Limits(awaited_origins_max=2))
    for origin in (X, Y, Z):
        reports.asked(Dot(origin, 1))
    assert due(reports, x=1, y=1, z=1) == [Dot(Y, 1), Dot(Z, 1)]
