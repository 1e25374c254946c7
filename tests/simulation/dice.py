"""Randomness that is the same on every Python: only `Random.random` is used."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")


class Dice:
    """One stream of decisions; streams with different names do not disturb each other."""

    def __init__(self, seed: int, stream: str) -> None:
        self.random = Random(f"{seed} {stream}").random

    def chance(self, probability: float) -> bool:
        """True this often."""
        return self.random() < probability

    def between(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + int(self.random() * (high - low + 1))

    def pick(self, items: Sequence[Item]) -> Item:
        """One of these."""
        return items[int(self.random() * len(items))]

    def after(self, mean_us: float) -> int:
        """A time around the mean: from a tenth of it to about twice."""
        return int(mean_us * (0.1 + 1.8 * self.random()))
