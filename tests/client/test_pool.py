"""The pool: channels for the calls of several threads, and places for these."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

from kvnode import Overloaded, Unreachable
from kvnode.cli.cluster import PATIENCE_S, until
from kvnode.client.pool import CALLS_MAX, WATCHES_MAX, Closing, Pool

SOON_S = 0.05


class Thing:
    """A channel that only knows whether it is closed."""

    is_closed = False

    def close(self):
        self.is_closed = True


@pytest.fixture
def pool():
    return Pool(Thing, Closing())


def test_who_is_alone_always_gets_the_same(pool):
    with pool.channel(SOON_S, watches=False) as (first, _):
        pass
    with pool.channel(SOON_S, watches=True) as (second, _):
        assert second is first
        with pool.channel(SOON_S, watches=False) as (other, _):
            assert other is not first


@contextmanager
def held(pool, count, *, watches):
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(pool.channel(SOON_S, watches=watches))
        yield stack


def test_who_finds_no_place_in_its_time_is_told_that_nothing_was_sent(pool):
    with held(pool, CALLS_MAX, watches=False):
        start_s = time.monotonic()
        with (
            pytest.raises(Overloaded, match="nothing was sent"),
            pool.channel(SOON_S, watches=False),
        ):
            pass
        assert time.monotonic() - start_s >= SOON_S
    with pool.channel(SOON_S, watches=False):
        pass


def test_watches_leave_room_for_others(pool):
    with held(pool, WATCHES_MAX, watches=True):
        with pytest.raises(Overloaded), pool.channel(SOON_S, watches=True):
            pass
        with held(pool, CALLS_MAX - WATCHES_MAX, watches=False):
            pass


def test_who_waits_gets_the_place_that_is_given_back(pool):
    got = threading.Event()

    def wait():
        with pool.channel(PATIENCE_S, watches=False) as (_, waited_s):
            assert 0 < waited_s < PATIENCE_S
            got.set()

    with held(pool, CALLS_MAX, watches=False):
        waiting = threading.Thread(target=wait)
        waiting.start()
        until("it waits", lambda: pool._calls._changed._waiters)
        assert not got.is_set()
    assert got.wait(PATIENCE_S)
    waiting.join()


def test_closing_it_closes_what_is_idle_and_leaves_the_rest_to_its_users(pool):
    with held(pool, 2, watches=False):
        pass
    idle = list(pool._idle)
    with pool.channel(SOON_S, watches=False) as (used, _):
        pool.close()
        assert [it.is_closed for it in idle if it is not used] == [True]
        assert not used.is_closed
    assert used.is_closed
    with pytest.raises(Unreachable, match="closed before"), pool.channel(SOON_S, watches=False):
        pass


def test_closing_it_wakes_who_waits_for_a_place(pool):
    told = []

    def wait():
        with (
            pytest.raises(Unreachable, match="closed before") as caught,
            pool.channel(PATIENCE_S, watches=True),
        ):
            pass
        told.append(caught.value)

    with held(pool, CALLS_MAX, watches=False):
        waiting = [threading.Thread(target=wait) for _ in range(3)]
        for thread in waiting:
            thread.start()
        until("they wait", lambda: len(pool._calls._changed._waiters) == 3)
        pool.close()
        for thread in waiting:
            thread.join(PATIENCE_S)
    assert len(told) == 3
