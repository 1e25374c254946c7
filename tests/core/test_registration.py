"""Registration: when a process writes its member record."""

from __future__ import annotations

from kvnode.core.registration import REGISTER_HEARTBEATS, REGISTER_TRIES_MAX, Registration

HEARTBEAT_US = 100
START_US = 5_000
FIRST_US = START_US + REGISTER_HEARTBEATS * HEARTBEAT_US


def started(*, is_member: bool = True) -> Registration:
    registration = Registration(is_member=is_member, heartbeat_us=HEARTBEAT_US)
    assert not registration.is_due(START_US, is_caught_up=True), "not in its first turn"
    return registration


def test_it_is_due_some_heartbeats_after_the_start() -> None:
    registration = started()
    assert registration.wake_us == FIRST_US
    assert not registration.is_due(FIRST_US - 1, is_caught_up=True)
    assert registration.is_due(FIRST_US, is_caught_up=True)


def test_who_is_no_member_never_registers() -> None:
    registration = started(is_member=False)
    assert not registration.is_open
    assert registration.wake_us is None
    assert not registration.is_due(10 * FIRST_US, is_caught_up=True)


def test_once_done_it_is_not_due_again() -> None:
    registration = started()
    registration.done()
    assert not registration.is_open
    assert registration.wake_us is None
    assert not registration.is_due(10 * FIRST_US, is_caught_up=True)


def test_a_client_may_have_it_done_before_it_is_due() -> None:
    registration = Registration(is_member=True, heartbeat_us=HEARTBEAT_US)
    registration.done()
    assert not registration.is_due(START_US, is_caught_up=True)


def test_who_was_forgotten_registers_again() -> None:
    registration = started()
    registration.done()
    registration.again()
    assert registration.is_open
    assert registration.is_due(FIRST_US, is_caught_up=True)


def test_who_lacks_something_waits_a_heartbeat_and_looks_again() -> None:
    registration = started()
    assert not registration.is_due(FIRST_US, is_caught_up=False)
    assert registration.wake_us == FIRST_US + HEARTBEAT_US
    assert not registration.is_due(FIRST_US + HEARTBEAT_US - 1, is_caught_up=True)
    assert registration.is_due(FIRST_US + HEARTBEAT_US, is_caught_up=True)


def test_who_goes_on_lacking_something_registers_all_the_same() -> None:
    registration = started()
    at_us = FIRST_US
    for _ in range(REGISTER_TRIES_MAX):
        assert not registration.is_due(at_us, is_caught_up=False)
        at_us += HEARTBEAT_US
    assert registration.is_due(at_us, is_caught_up=False)
