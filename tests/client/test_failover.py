"""The policy: what is tried where and when after which error, row by row of its table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest

from kvnode.client.failover import (
    ATTEMPTS_MAX,
    CONNECT_MAX_S,
    PAUSE_MAX_S,
    Course,
    Effect,
    Endpoints,
    Patience,
    Position,
    effect_of,
)
from kvnode.codec import client as ask
from kvnode.core.limits import ONCE_WRITES_MAX
from kvnode.errors import (
    CommitFailed,
    Delayed,
    IndefiniteError,
    InvalidRequest,
    KvnodeError,
    Overloaded,
    Refused,
    SessionLost,
    TimedOut,
    Unavailable,
    Unreachable,
    UnreadableAnswer,
    Unsupported,
    WrongNode,
)

READ, WRITE = ask.get(b"k"), ask.put(b"k", b"v")
ID = b"i" * 16
START_S = 1000.0
ABC = ("tcp://a", "tcp://b", "tcp://c")

DELAYED = Delayed("why", {}, {}, [])
ONCE: list[KvnodeError] = [DELAYED, Unsupported("no")]
PASSING: list[KvnodeError] = [Unreachable("no"), Unavailable("no"), Overloaded("no")]
IN_DOUBT: list[KvnodeError] = [TimedOut("?"), UnreadableAnswer("?"), CommitFailed("?")]
FINAL: list[KvnodeError] = [InvalidRequest("no"), Refused("no"), SessionLost([], b"")]
NAMED = {"ids": lambda it: type(it).__name__ if isinstance(it, Exception) else None}


def course(
    *operations: ask.Operation,
    addresses: Sequence[str] = ABC,
    timeout_s: float = 6.0,
    wait_s: float = 3.0,
    id_: bytes | None = None,
    random: float = 0.0,
) -> Course:
    endpoints = Endpoints(addresses)
    for at in range(len(addresses)):
        endpoints.positions[at] = Position("abc"[at], 10)
    patience = Patience(timeout_s, wait_s)
    return Course(endpoints, operations, patience, START_S, lambda: random, id_=id_)


def visited(it: Course, errors: Iterator[KvnodeError]) -> tuple[list[int], KvnodeError]:
    """Where it is tried, each at once failing so; and what is told in the end."""
    places = [it.attempt.at]
    now_s = START_S
    for error in errors:
        it.request()
        now_s += it.attempt.pause_s
        try:
            it.fail(error, now_s)
        except KvnodeError as told:
            return places, told
        places.append(it.attempt.at)
    raise AssertionError("it never gives up")


def always(error: KvnodeError) -> Iterator[KvnodeError]:
    while True:
        yield error


# --- the table


@pytest.mark.parametrize("error", PASSING, **NAMED)
@pytest.mark.parametrize("operation", [READ, WRITE], ids=["read", "write"])
def test_what_passes_is_tried_at_each_node_three_times(
    operation: ask.Operation, error: KvnodeError
) -> None:
    assert visited(course(operation), always(error)) == (3 * [0, 1, 2], error)
    assert ATTEMPTS_MAX == 3


def test_who_is_alone_and_can_not_be_reached_is_not_asked_again() -> None:
    lost = Unreachable("no")
    assert visited(course(READ, addresses=ABC[:1]), always(lost)) == ([0], lost)
    refused = Overloaded("no")
    assert visited(course(READ, addresses=ABC[:1]), iter([refused, lost])) == ([0, 0], refused)
    gone = iter([refused, TimedOut("?"), lost])
    assert visited(course(READ, addresses=ABC[:1]), gone) == ([0, 0, 0], refused)
    assert visited(course(READ, addresses=ABC[:1]), always(refused)) == ([0, 0, 0], refused)


@pytest.mark.parametrize("error", ONCE, **NAMED)
@pytest.mark.parametrize("operation", [READ, WRITE], ids=["read", "write"])
def test_who_is_behind_or_of_another_version_is_asked_once(
    operation: ask.Operation, error: KvnodeError
) -> None:
    assert visited(course(operation), always(error)) == ([0, 1, 2], error)
    errors = iter([error, *20 * [Unreachable("no")]])
    places, _ = visited(course(operation), errors)
    assert places == [0, *3 * [1, 2]]


@pytest.mark.parametrize("error", IN_DOUBT, **NAMED)
def test_a_read_in_doubt_is_tried_elsewhere(error: KvnodeError) -> None:
    assert visited(course(READ), always(error))[0][:3] == [0, 1, 2]


@pytest.mark.parametrize("error", IN_DOUBT, **NAMED)
@pytest.mark.parametrize("also", [(), (READ,)], ids=["alone", "with a read"])
def test_a_write_in_doubt_is_told(error: KvnodeError, also: tuple[ask.Operation, ...]) -> None:
    assert visited(course(*also, WRITE), always(error)) == ([0], error)


@pytest.mark.parametrize("error", IN_DOUBT, **NAMED)
@pytest.mark.parametrize("then", [*PASSING, *IN_DOUBT, *ONCE], **NAMED)
def test_a_write_with_an_id_in_doubt_is_asked_for_again_at_the_same_node(
    error: KvnodeError, then: KvnodeError
) -> None:
    errors = iter([Unreachable("no"), error, *1000 * [then]])
    places, told = visited(course(WRITE, id_=ID), errors)
    assert places[0] == 0 and set(places[1:]) == {1} and len(places) > 5
    assert told is error, "what left it in doubt is told, not what came later"


@pytest.mark.parametrize("then", [*FINAL, WrongNode("no")], **NAMED)
def test_a_write_in_doubt_that_a_node_refuses_stays_in_doubt(then: KvnodeError) -> None:
    doubt = TimedOut("?")
    assert visited(course(WRITE, id_=ID), iter([doubt, then])) == ([0, 0], doubt)


@pytest.mark.parametrize("error", FINAL, **NAMED)
@pytest.mark.parametrize("operation", [READ, WRITE], ids=["read", "write"])
@pytest.mark.parametrize("id_", [None, ID], ids=["plain", "with an id"])
def test_what_is_the_same_everywhere_is_told(
    operation: ask.Operation, error: KvnodeError, id_: bytes | None
) -> None:
    assert visited(course(operation, id_=id_), always(error)) == ([0], error)


@pytest.mark.parametrize("error", [*PASSING, *IN_DOUBT, *ONCE, *FINAL], **NAMED)
@pytest.mark.parametrize("operation", [ask.PING, ask.STATUS, ask.backup("b")], ids=lambda it: it[0])
def test_what_concerns_the_node_is_asked_once(operation: ask.Operation, error: KvnodeError) -> None:
    assert visited(course(operation), always(error)) == ([0], error)


def test_a_node_that_is_another_is_asked_who_it_is_once() -> None:
    it = course(WRITE, id_=ID)
    assert it.question is None
    it.fail(WrongNode("no"), START_S)
    assert it.attempt.at == 0 and it.question == [ask.POSITION]
    it.learn([["ok", "new", 5]])
    assert it.request() == [ask.once(ID, "new", 5), WRITE]
    with pytest.raises(WrongNode):
        it.fail(WrongNode("no"), START_S)


@pytest.mark.parametrize(
    ("operations", "effect"),
    [
        ([READ], Effect.READS),
        ([READ, ask.read(b"k", 0)], Effect.READS),
        ([WRITE], Effect.WRITES),
        ([READ, ask.write([], [(b"k",)])], Effect.WRITES),
        ([ask.delete(b"k")], Effect.WRITES),
        ([ask.forget("X")], Effect.WRITES),
        ([ask.PING], Effect.OF_THE_NODE),
        ([["an operation of tomorrow"]], Effect.OF_THE_NODE),
    ],
)
def test_what_operations_do_is_told_by_their_names(
    operations: list[ask.Operation], effect: Effect
) -> None:
    assert effect_of(operations) is effect


# --- where a client stays


def test_it_stays_where_it_was_answered_and_comes_round_again() -> None:
    endpoints = Endpoints(ABC)
    for expected in (0, 1, 2, 0):
        it = Course(endpoints, [READ], Patience(6, 3), START_S, lambda: 0.0)
        assert it.attempt.at == endpoints.current == expected
        it.fail(Unreachable("no"), START_S)


@pytest.mark.parametrize("id_", [None, ID], ids=["plain", "with an id"])
def test_the_call_after_a_write_in_doubt_begins_elsewhere(id_: bytes | None) -> None:
    it = course(WRITE, id_=id_)
    visited(it, always(TimedOut("?")))
    assert it._endpoints.current == 1


def test_who_comes_second_to_leave_a_node_goes_where_the_first_went() -> None:
    endpoints = Endpoints(ABC)
    one, other = (Course(endpoints, [READ], Patience(6, 3), START_S, lambda: 0.0) for _ in range(2))
    for it in (one, other):
        it.fail(Unreachable("no"), START_S)
    assert (one.attempt.at, other.attempt.at, endpoints.current) == (1, 1, 1)


# --- time


def test_one_node_gets_all_the_time_of_the_call() -> None:
    it = course(READ, addresses=ABC[:1]).attempt
    assert (it.connect_s, it.wait_s, it.until_s) == (6.0, 3.0, START_S + 6)


@pytest.mark.parametrize(("timeout_s", "longest_s"), [(0.5, 0.4), (5, 4), (10, 9), (600, 599)])
def test_a_node_that_waits_answers_while_there_is_time(timeout_s: float, longest_s: float) -> None:
    """Else nobody would hear what it lacks."""
    it = course(READ, addresses=ABC[:1], timeout_s=timeout_s, wait_s=600)
    assert (it.attempt.wait_s, it.attempt.patience_s) == (pytest.approx(longest_s), timeout_s)
    waiting = [WRITE, ask.replicated(2, 600_000)]
    it = course(*waiting, addresses=ABC[:1], timeout_s=timeout_s)
    assert it.request() == [WRITE, ask.replicated(2, int(longest_s * 1000))]
    it = course(*waiting, addresses=ABC[:1], timeout_s=2 * timeout_s, id_=ID)
    assert list(it.request())[1:] == [WRITE, ask.replicated(2, int(longest_s * 1000))]


def test_several_nodes_share_the_time_of_a_read() -> None:
    it = course(READ)
    assert (it.attempt.connect_s, it.attempt.wait_s) == (CONNECT_MAX_S, pytest.approx(1.6))
    assert it.attempt.until_s == START_S + 2
    it.fail(TimedOut("?"), START_S + 2)
    assert it.attempt.until_s == START_S + 4
    it.fail(TimedOut("?"), START_S + 4)
    assert it.attempt.until_s == pytest.approx(START_S + 6)
    with pytest.raises(TimedOut):
        it.fail(TimedOut("?"), START_S + 6)


def test_a_write_may_take_all_the_time_since_its_outcome_would_stay_in_doubt() -> None:
    it = course(WRITE).attempt
    assert (it.wait_s, it.until_s) == (pytest.approx(1.6), START_S + 6)


def test_one_that_can_be_asked_for_again_takes_half() -> None:
    assert course(WRITE, id_=ID).attempt.until_s == START_S + 3


def test_who_is_asked_anew_when_the_time_is_over_has_none() -> None:
    """ZeroMQ takes a time below zero for one without end."""
    it = course(WRITE, id_=ID)
    it.fail(WrongNode("no"), START_S + 10)
    assert (it.attempt.connect_s, it.attempt.wait_s, it.attempt.patience_s) == (0, 0, 0)


def test_no_call_ends_later_than_its_patience() -> None:
    for operation, id_ in ((READ, None), (WRITE, None), (WRITE, ID)):
        for error in (Unreachable("no"), TimedOut("?")):
            it = course(operation, id_=id_, timeout_s=0.7, wait_s=0.2, random=0.3)
            now_s = START_S
            with suppress(KvnodeError):
                while True:
                    it.request()
                    assert it.attempt.until_s <= START_S + 0.7 + 1e-9
                    assert it.attempt.wait_s <= 0.2
                    now_s = max(now_s, it.attempt.until_s)
                    it.fail(error, now_s)


def test_a_write_that_was_surely_not_made_is_not_left_in_doubt_by_a_last_try() -> None:
    it, refused = course(WRITE, addresses=ABC[:1], timeout_s=1), Unavailable("no")
    it.fail(refused, START_S + 0.7)
    assert it.attempt.pause_s + it.attempt.patience_s == pytest.approx(0.3)
    with pytest.raises(Unavailable):
        it.fail(refused, START_S + 0.8)


def test_pauses_double_and_are_cut_at_random() -> None:
    for random, factor in ((0.0, 1.0), (1.0, 0.5)):
        it = course(WRITE, id_=ID, timeout_s=600, random=random)
        pauses = []
        for _ in range(6):
            it.request()
            it.fail(TimedOut("?"), START_S)
            pauses.append(it.attempt.pause_s)
        assert pauses == pytest.approx(
            [factor * pause for pause in (0.1, 0.2, 0.4, 0.8, PAUSE_MAX_S, PAUSE_MAX_S)]
        )


# --- ids


def test_what_is_asked_again_is_asked_word_for_word() -> None:
    it = course(WRITE, READ, id_=ID)
    first = it.request()
    assert first == [ask.once(ID, "a", 10), WRITE, READ]
    it.fail(TimedOut("?"), START_S)
    it._endpoints.positions[0] = Position("a", 99)  # as another call heard meanwhile
    assert it.request() == first and it.question is None


def test_another_node_is_asked_by_its_own_name() -> None:
    it = course(WRITE, id_=ID)
    it.request()
    it.fail(Unavailable("no"), START_S)
    assert it.request()[0] == ask.once(ID, "b", 10)


def test_results_are_those_that_were_wanted_and_tell_where_the_node_stands() -> None:
    it = course(WRITE, id_=ID)
    it.request()
    assert it.results([["ok", False, 12], ["ok", "x"]]) == [["ok", "x"]]
    assert it._endpoints.positions[0] == Position("a", 12)
    assert course(READ, id_=ID).results([["ok"]]) == [["ok"]], "reads have no ids"


@pytest.mark.parametrize("results", [[["ok"]], [["fine", False, 1]], [["ok", 1, "x"]]])
def test_an_unreadable_answer_to_an_id_is_told(results: list[list[object]]) -> None:
    it = course(WRITE, id_=ID)
    with pytest.raises(UnreadableAnswer):
        it.results(results)
    with pytest.raises(UnreadableAnswer):
        it.learn([["ok", 5]])


def test_more_writes_than_a_node_remembers_are_refused_at_once() -> None:
    course(*ONCE_WRITES_MAX * [WRITE], READ, id_=ID)
    with pytest.raises(InvalidRequest, match="retry_writes"):
        course(*(ONCE_WRITES_MAX + 1) * [WRITE], id_=ID)


def test_every_error_in_doubt_is_an_indefinite_one() -> None:
    assert all(isinstance(error, IndefiniteError) for error in IN_DOUBT)
