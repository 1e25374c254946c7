"""Signals come as bytes, and nothing of that stays."""

from __future__ import annotations

import os
import select
import signal

import pytest

from kvnode.daemon.signals import wake_up_on_signals

NUMBERS = (signal.SIGTERM, signal.SIGINT)


def settings():
    """The handlers, and the descriptor that signals are written to."""
    wakeup_fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup_fd)
    return wakeup_fd, [signal.getsignal(number) for number in NUMBERS]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_makes_a_byte_readable(number):
    with wake_up_on_signals() as signals:
        os.kill(os.getpid(), number)
        readable, _, _ = select.select([signals], [], [], 5)
        assert readable == [signals]
        assert signals.recv(16) == bytes([number])


def test_without_a_signal_reading_does_not_wait():
    with wake_up_on_signals() as signals, pytest.raises(BlockingIOError):
        signals.recv(1)


def test_handlers_are_restored_and_the_socket_is_closed():
    before = settings()
    with wake_up_on_signals() as signals:
        assert settings() != before
    assert settings() == before
    assert signals.fileno() == -1


def test_handlers_are_restored_after_an_error():
    before = settings()
    with pytest.raises(KeyError), wake_up_on_signals():
        raise KeyError
    assert settings() == before
