"""What operations mean: table by table, on a state that a turn shows."""

from __future__ import annotations

import pytest

from kvnode.core.batch import Change, Write
from kvnode.core.clock import Now
from kvnode.core.expiry import ExpiryClock
from kvnode.core.operations import run
from kvnode.core.requests import (
    Condition,
    Delete,
    Forget,
    Get,
    Operation,
    Put,
    Read,
    Scan,
    Shows,
    Touch,
    WriteAll,
)
from kvnode.core.results import Absent, Conflict, Entry, Failed, Page, Result, Written
from kvnode.core.vector import Dot, new_origin
from kvnode.core.versions import Version, Versions

X, Y = (new_origin(name, 1, 1) for name in "XY")
ONE, OTHER = Version(7, Y, 3, b"one"), Version(5, X, 1, b"other")
NOW_US = 1_000_000
OVER = Version(9, Y, 4, b"over", NOW_US)
ONES, OTHERS = Dot(Y, 3), Dot(X, 1)


class State:
    """What a turn shows, and the writes that are made of it."""

    def __init__(self) -> None:
        self.held = {
            b"one": (ONE,),
            b"both": (ONE, OTHER),
            b"over": (OVER,),
            b"half over": (OVER, OTHER),
        }
        self.written: list[Write] = []
        self.touches = True
        self.expiry = ExpiryClock()
        self.expiry.advance(NOW_US)

    def versions(self, key: bytes) -> Versions:
        return self.held.get(key, ())

    def may_touch(self, size_bytes: int) -> bool:
        return self.touches

    def write(self, write: Write, now: Now) -> Result:
        self.written.append(write)
        return Written(Dot(X, 9), now.wall_us)

    def scan(self, scan: Scan) -> Result:
        return Page(scan.cut, scan.page, scan.end)

    def forget(self, name: str, now: Now) -> Result:
        return Failed("refused", name)


def ran(operation: Operation) -> tuple[Result, list[Write]]:
    state = State()
    return run(operation, state, Now(8, 0)), state.written


WRITTEN = Written(Dot(X, 9), 8)


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        (Get(b"none"), Entry((), 0)),
        (Get(b"one"), Entry((ONE,), 0)),
        (Get(b"both"), Entry((ONE,), 1)),
        (Read(b"both"), Entry((ONE, OTHER), 0)),
        (Read(b"both", 1), Entry((OTHER,), 0)),
        (Read(b"both", 9), Entry((), 0)),
        (Get(b"over"), Entry((), 0)),
        (Get(b"half over"), Entry((OTHER,), 0)),
        (Read(b"half over"), Entry((OTHER,), 0)),
        (Touch(b"none", 5), Absent()),
        (Touch(b"over", 5), Absent()),
        (Scan(7, None, b"e", None, 3, False, Shows.COUNT), Page(7, 3, b"e")),
        (Forget("Z"), Failed("refused", "Z")),
    ],
)
def test_what_is_read_is_what_the_turn_shows(operation: Operation, result: Result) -> None:
    assert ran(operation) == (result, [])


@pytest.mark.parametrize(
    ("operation", "write"),
    [
        (Put(b"a", b"1"), (Change(b"a", b"1"),)),
        (Delete(b"a"), (Change(b"a", None),)),
        (
            WriteAll((), (Change(b"a", b"1"), Change(b"b", None))),
            (Change(b"a", b"1"), Change(b"b", None)),
        ),
        (
            WriteAll((), (Change(b"a", b"1"), Change(b"b", b"2"), Change(b"a", None))),
            (Change(b"a", None), Change(b"b", b"2")),
        ),
    ],
)
def test_what_is_written_is_one_write_with_one_change_for_each_key(
    operation: Operation, write: Write
) -> None:
    assert ran(operation) == (WRITTEN, [write])


FIVE_MS_ON = NOW_US + 5_000


@pytest.mark.parametrize(
    ("operation", "write", "expires_us"),
    [
        (Put(b"a", b"1", 5), (Change(b"a", b"1", FIVE_MS_ON),), FIVE_MS_ON),
        (
            WriteAll((), (Change(b"a", b"1"), Change(b"b", None)), 5),
            (Change(b"a", b"1", FIVE_MS_ON), Change(b"b", None)),
            FIVE_MS_ON,
        ),
        (Touch(b"one", 5), (Change(b"one", b"one", FIVE_MS_ON),), FIVE_MS_ON),
        (Touch(b"one", None), (Change(b"one", b"one"),), None),
        (Touch(b"both", None), (Change(b"both", b"one"),), None),
        (Touch(b"half over", None), (Change(b"half over", b"other"),), None),
    ],
)
def test_what_is_put_with_a_time_to_live_expires_and_deletes_do_not(
    operation: Operation, write: Write, expires_us: int | None
) -> None:
    assert ran(operation) == (WRITTEN._replace(expires_us=expires_us), [write])


def test_what_is_too_much_to_be_put_again_stays_as_it_is() -> None:
    state = State()
    state.touches = False
    result = run(Touch(b"one", 5), state, Now(8, 0))
    assert isinstance(result, Failed) and (result.code, result.maybe) == ("too_large", False)
    assert state.written == []


def condition(key: bytes, *dots: Dot) -> Condition:
    return Condition(key, frozenset(dots))


@pytest.mark.parametrize(
    "conditions",
    [
        [condition(b"none")],
        [condition(b"one", ONES)],
        [condition(b"both", ONES, OTHERS)],
        [condition(b"both", OTHERS, ONES), condition(b"none"), condition(b"one", ONES)],
        [condition(b"over"), condition(b"half over", OTHERS)],
    ],
)
def test_a_write_is_made_if_each_key_holds_just_these_versions(
    conditions: list[Condition],
) -> None:
    changes = (Change(b"a", b"1"),)
    assert ran(WriteAll(tuple(conditions), changes)) == (WRITTEN, [changes])


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ([condition(b"none", ONES)], [condition(b"none")]),
        ([condition(b"one")], [condition(b"one", ONES)]),
        ([condition(b"one", OTHERS)], [condition(b"one", ONES)]),
        ([condition(b"both", ONES)], [condition(b"both", ONES, OTHERS)]),
        ([condition(b"one", ONES, OTHERS)], [condition(b"one", ONES)]),
        ([condition(b"one", ONES), condition(b"both")], [condition(b"both", ONES, OTHERS)]),
        (
            [condition(b"one"), condition(b"none"), condition(b"both")],
            [condition(b"one", ONES), condition(b"both", ONES, OTHERS)],
        ),
    ],
)
def test_else_nothing_is_done_and_what_they_hold_is_told(
    conditions: list[Condition], found: list[Condition]
) -> None:
    operation = WriteAll(tuple(conditions), (Change(b"a", b"1"),))
    assert ran(operation) == (Conflict(tuple(found)), [])
