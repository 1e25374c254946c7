"""A node that lacks everything, for tests of whom it asks for it."""

from __future__ import annotations

from collections.abc import Callable

from kvnode.core.batch import Batch, Change
from kvnode.core.holdback import Holdback
from kvnode.core.limits import Limits
from kvnode.core.messages import Claim
from kvnode.core.repair import TIMEOUT_HEARTBEATS, Repair
from kvnode.core.succession import Cut, Succession
from kvnode.core.vector import Vector, new_origin

HEARTBEAT_US = 100
TIMEOUT_US = TIMEOUT_HEARTBEATS * HEARTBEAT_US
X1, Y1, Z1 = (new_origin(name, 1, 1) for name in "XYZ")
X2 = new_origin("X", 2, 2)


def batch(origin: str, first: int, deps: Vector | None = None) -> Batch:
    return Batch(origin, first, deps or {}, 1, ((Change(b"key", None),),), b"x")


class Node:
    """A node that hears of what it lacks."""

    def __init__(self, random: Callable[[], float] = lambda: 0.5) -> None:
        self.repair = Repair(random, heartbeat_us=HEARTBEAT_US)
        self.cut = Cut(Succession())
        self.holdback = Holdback(Limits())
        self.now_us = 1000

    def hear(
        self, name: str, delivered: Vector, instance: int = 1, floor: Vector | None = None
    ) -> None:
        claim = Claim(name, instance, delivered, delivered, 0, floor or {}, 0)
        self.repair.claimed(claim, self.now_us)

    def asks(self) -> str | None:
        """Whom it asks now."""
        pull = self.repair.next_pull(self.cut, self.holdback, self.now_us)
        return None if pull is None else pull.name

    def answer(self, name: str, *, advanced: bool) -> None:
        self.repair.answered(name, self.now_us, advanced=advanced)

    def progress(self, name: str, *, is_news: bool = True, is_late: bool = False) -> None:
        """A piece comes."""
        self.repair.progressed(name, self.now_us, is_news=is_news, is_late=is_late)

    def asks_until(self, until_us: int) -> list[tuple[int, str]]:
        """Whom it asks when, if nothing comes in and it is called only when it wants to be."""
        asked = []
        while (wake_us := self.repair.wake_us()) is not None and wake_us <= until_us:
            self.now_us = max(self.now_us, wake_us)
            name = self.asks()
            if name is not None:
                asked.append((self.now_us, name))
            assert self.repair.wake_us() is None or self.repair.wake_us() > self.now_us
        return asked
