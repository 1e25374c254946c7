"""Histories of 100,000 operations: judged in seconds, to any depth, and no fault is lost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from tests.judge import Operation, Pattern, get, judge, put
from tests.judge.proof import check_proof
from tests.judge.store import Rule, run

OPERATIONS = 100_000


@pytest.fixture(scope="module")
def operations() -> list[Operation]:
    """A store with ten sessions, a thousand keys and replicas that lag by some writes."""
    return list(
        run(
            Random(1),
            Rule.LAST_STAMP_WINS,
            operations=OPERATIONS,
            sessions=10,
            keys=1000,
            pulls=12,
        )
    )


def overwritten_read(operations: Sequence[Operation]) -> tuple[int, Operation]:
    """The place of a late read, and it with a value that its session had itself overwritten."""
    for place in range(len(operations) - 1, 0, -1):
        read = operations[place]
        if not read.is_put:
            own = [
                o
                for o in operations[:place]
                if o.is_put and (o.session, o.key) == (read.session, read.key)
            ]
            if len(own) > 1:
                return place, replace(read, value=own[0].value)
    raise AssertionError("no read to flip")


def test_a_long_history_is_acquitted(operations: list[Operation]) -> None:
    start_s = time.perf_counter()
    judgement = judge(operations)
    print(f"{OPERATIONS} operations: {time.perf_counter() - start_s:.1f} s")
    assert judgement.cc is None and judgement.ccv is None
    assert not judgement.cm_undecided


def test_one_flipped_read_in_it_is_convicted(operations: list[Operation]) -> None:
    place, flipped = overwritten_read(operations)
    guilty = [*operations[:place], flipped, *operations[place + 1 :]]
    conviction = judge(guilty).cc
    assert conviction is not None and conviction.pattern is Pattern.WRITE_CO_READ
    assert place + 1 in conviction.operations
    assert len(conviction.operations) == 3
    check_proof(guilty, conviction)


def test_a_cycle_through_every_operation_is_found_and_told() -> None:
    # Each session reads from the next one, and the last one from the first.
    sessions = 2_000
    guilty = []
    for number in range(sessions):
        guilty.append(get(f"s{number}", f"k{number}", 1))
        guilty.append(put(f"s{number}", f"k{(number + 1) % sessions}", 1))
    conviction = judge(guilty).cc
    assert conviction is not None and conviction.pattern is Pattern.CYCLIC_CO
    assert len(conviction.chain) == 2 * sessions
    check_proof(guilty, conviction)
