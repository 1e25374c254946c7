"""An answer holds no more values than a message should."""

from __future__ import annotations

from typing import Any

import pytest

from kvnode.core.answer import Answer
from kvnode.core.limits import ANSWER_VALUE_BYTES_MAX
from kvnode.core.requests import Condition
from kvnode.core.results import Conflict, Entry, Failed, Page, Written
from kvnode.core.vector import Dot, new_origin
from kvnode.core.versions import Version

X = new_origin("X", 1, 1)


def entry(*sizes: int, more: int = 0) -> Entry:
    """An entry with versions of these sizes."""
    return Entry(tuple(Version(1, X, at, bytes(size)) for at, size in enumerate(sizes)), more)


def test_results_stand_in_their_order() -> None:
    answer = Answer()
    results = [entry(1, 2), Written(Dot(X, 1), 1), Failed("code", "message"), entry()]
    for result in results:
        answer.add(result)
    assert answer.results == results
    assert answer.size_bytes == 3


def test_values_up_to_the_limit_fit() -> None:
    answer = Answer()
    whole = entry(ANSWER_VALUE_BYTES_MAX - 1, 1, 0)
    answer.add(whole)
    assert answer.results == [whole]


def test_versions_that_do_not_fit_are_counted() -> None:
    answer = Answer()
    answer.add(entry(ANSWER_VALUE_BYTES_MAX, 1, 1, more=5))
    assert answer.results == [entry(ANSWER_VALUE_BYTES_MAX, more=7)]


def test_an_entry_of_which_nothing_fits_is_an_error_and_smaller_ones_still_fit() -> None:
    answer = Answer()
    answer.add(entry(ANSWER_VALUE_BYTES_MAX - 1))
    answer.add(entry(2, 2))
    answer.add(entry(1))
    _, failed, small = answer.results
    assert isinstance(failed, Failed)
    assert (failed.code, failed.maybe) == ("too_large", False)
    assert small == entry(1)


def test_a_conflict_weighs_by_its_keys_and_dots_and_may_not_fit() -> None:
    found = (Condition(b"key", frozenset(Dot(X, at) for at in range(1, 11))),)
    answer = Answer()
    answer.add(Conflict(found))
    assert answer.results == [Conflict(found)] and answer.size_bytes > 1_000
    answer.size_bytes = ANSWER_VALUE_BYTES_MAX
    answer.add(Conflict(found))
    assert isinstance(answer.results[1], Failed) and answer.results[1].code == "too_large"


@pytest.mark.parametrize(
    ("records", "size_bytes"),
    [
        (((b"key", (Version(1, X, 1, bytes(100)),), 3), (b"k", (Version(1, X, 1, b""),), 0)), 104),
        ((b"key", b"k"), 4),
        (7, 0),
    ],
)
def test_a_page_weighs_by_its_keys_and_values_and_may_not_fit_beside_others(
    records: Any, size_bytes: int
) -> None:
    page = Page(None, records, None)
    answer = Answer()
    answer.add(page)
    assert (answer.results, answer.size_bytes) == ([page], size_bytes)
    answer.size_bytes = ANSWER_VALUE_BYTES_MAX - size_bytes + 1
    answer.add(page)
    if size_bytes:
        assert isinstance(answer.results[1], Failed) and answer.results[1].code == "too_large"
    answer.size_bytes = ANSWER_VALUE_BYTES_MAX - size_bytes
    answer.add(page)
    assert answer.results[2] == page
