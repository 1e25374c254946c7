"""Random bits that do not come again, though the state of all that makes them does."""

from __future__ import annotations

import itertools
import secrets
import time

import pytest

from kvnode.daemon.entropy import BITS_MAX, fresh_bits, fresh_random


@pytest.mark.parametrize("bits", [1, 45, 62, BITS_MAX])
def test_there_are_so_many(bits: int) -> None:
    drawn = [fresh_bits(bits) for _ in range(200)]
    assert min(drawn) >= 0
    assert max(drawn).bit_length() == bits


def test_a_float_is_from_0_to_1() -> None:
    drawn = [fresh_random() for _ in range(200)]
    assert 0 <= min(drawn) < 0.2 < 0.8 < max(drawn) < 1


def test_a_kernel_that_goes_back_gives_others_at_another_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(secrets, "token_bytes", bytes)
    ticks = itertools.count()
    monkeypatch.setattr(time, "time_ns", lambda: next(ticks))
    assert len({fresh_bits(45) for _ in range(100)}) == 100
