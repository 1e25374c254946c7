"""Watchers: who follows the writes from node to node, and must miss none."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final

from kvnode.client.session import Request, Session
from kvnode.codec import client as ask
from kvnode.codec.client import decode_answer
from kvnode.codec.server import decode_request
from kvnode.codec.token import decode_token
from kvnode.core.batch import Change
from kvnode.core.vector import Dot, Missing
from kvnode.errors import Compacted, Delayed, KvnodeError, SessionLost
from tests.simulation.cluster import Cluster
from tests.simulation.dice import Dice
from tests.simulation.machine import Flight
from tests.simulation.oracle import Made, Seen, is_watched
from tests.simulation.world import Violation

#: How long it waits for an answer beside the time that it gives the node.
_PATIENCE_US: Final = 1_000_000

#: A watcher whose past is nowhere any more begins anew.
_DELAYS_MAX: Final = 3


class SimulatedWatcher:
    """One watcher; each time that it begins anew, it takes what is there then as given."""

    def __init__(self, cluster: Cluster, name: str, prefix: bytes) -> None:
        self.name = name
        self._cluster = cluster
        self._world = cluster.world
        self._dice = Dice(cluster.plan.seed, f"watcher {name}")
        self._prefix = prefix
        self._home = self._dice.pick(cluster.names)
        cluster.oracle.watched[prefix] = 0
        self._begin()

    def missed(self, everything: Seen) -> Seen:
        """Of these writes those that it should have been told of, and was not."""
        if self._is_new:
            return everything
        told = self._cluster.oracle.moves.with_others(self._told) | self.may_miss
        return everything & ~told & self._cluster.oracle.watched[self._prefix]

    def ask(self) -> None:
        """Ask what comes after its position, and ask again after the answer."""
        if self._dice.chance(0.2):
            self._move()
            self._world.states["a watcher moved"] += 1
        # At the end nobody waits any more, so that it can be seen that all were answered.
        wait_s = 0.0 if self._cluster.is_healed else self._dice.pick((0.0, 0.1, 1.0, 3.0))
        operation = ask.watch(self._prefix, is_now=self._is_new)
        request = self._request = self._session.request([operation], wait_s)
        decoded = decode_request(request.payload).operations
        assert isinstance(decoded, tuple)
        flight = Flight(self.name, self._seen, decoded)
        self._world.note(f"{self.name} asks {self._home}: {operation}")
        home = self._home
        self._cluster.send_request(self, home, flight, request.payload)
        if wait_s and self._dice.chance(0.1):
            after_us = self._dice.after(int(wait_s * 1_000_000))
            self._world.after(after_us, lambda: self._cancel(home, flight, request))
        self._world.after(_PATIENCE_US + int(wait_s * 1_000_000), lambda: self._give_up(request))

    def receive(self, flight: Flight, payload: bytes, seen: Seen) -> None:
        """An answer arrives, perhaps one that nobody waits for any more."""
        if decode_answer(payload).id != self._request.id:
            return
        brought = 0
        try:
            results = self._session.results(self._request, payload)
            assert results is not None
            self._delays = 0
            self._take(results[0], seen)
            brought = len(results[0][1])
        except Delayed:
            self._delays += 1
            if self._delays == _DELAYS_MAX:
                self._world.reach("a watcher given up")
                self._begin()
        except Compacted:
            self._world.reach("a watcher told: Compacted")
            self._begin()
        except SessionLost as lost:
            self._world.reach("a watcher told: SessionLost")
            self._session.token = lost.token
            _, left = decode_token(lost.token)
            had = self._cluster.oracle.known(Missing(o, 1, n) for o, n in left.items())
            self._seen &= had
            # What is lost may have implied more, and a disk that has a copy may bring it back.
            self._may_come_again |= self._told & ~had
            self._told &= ~self._cluster.oracle.known(Missing(*dots) for dots in lost.missing)
        except KvnodeError as error:
            self._world.reach(f"a watcher told: {type(error).__name__}")
        self._rest(brought)

    def _begin(self) -> None:
        self._session = Session(None)
        self._is_new = True
        self._delays = 0
        #: What its position has, and what it was told of or took as given.
        self._seen: Seen = 0
        self._told: Seen = 0
        #: What a node took for what it had been told of under the same dots.
        self.may_miss: Seen = 0
        #: Of what it was told of, what its position may have lost since.
        self._may_come_again: Seen = 0

    def _take(self, result: list[Any], seen: Seen) -> None:
        assert result[0] == "ok"
        if self._is_new:
            self._is_new, self._seen, self._told = False, seen, seen
            return
        for (origin, seq, stamp_us), events in groupby(result[1], lambda event: tuple(event[:3])):
            changes = [Change(event[3], *(event[4:] or (None,))) for event in events]
            self._take_write(Dot(origin, seq), stamp_us, changes)
        self._seen |= seen
        if seen and (missed := self.missed(seen)):
            dots = self._cluster.oracle.dots(missed)
            raise Violation("watches", f"{self.name} has seen all, but was not told of {dots}")

    def _take_write(self, dot: Dot, stamp_us: int, changes: list[Change]) -> None:
        made = self._cluster.oracle.told_as(dot, stamp_us, changes)
        keys = [change.key for change in changes]
        self._world.states["a watcher told of a write"] += 1
        watched = [key for key, *_ in made.changes if is_watched(key, self._prefix)]
        if keys != watched:
            raise Violation("watches", f"{self.name} is told of {keys} by {dot}: {watched}")
        doubled = self._cluster.oracle.doubled_or_moved
        if made.bit & self._told & ~self._may_come_again & ~doubled:
            raise Violation("watches", f"{self.name} is told of {dot} twice")
        self._may_come_again &= ~made.bit
        if causes := self._causes(made):
            raise Violation("watches", f"{self.name} is told of {dot} before {causes}")
        self._told |= made.bit
        self._seen |= made.bit

    def _causes(self, made: Made) -> list[str]:
        return self._cluster.oracle.dots(self.missed(made.past))

    def _cancel(self, home: str, flight: Flight, request: Request) -> None:
        """Wait no longer, and tell the node so."""
        if self._request is request:
            self._world.reach("a watch cancelled")
            cancelling = self._session.request([ask.cancel(request.id)], 0)
            self._cluster.send_request(self, home, flight, cancelling.payload)
            self._rest()

    def _give_up(self, request: Request) -> None:
        if self._request is request:
            self._world.reach("a watcher gave up waiting")
            self._move()
            self._rest()

    def _move(self) -> None:
        """Go to another node; in the end to none that is gone. It may need hundreds of answers,
        and each that never comes costs it a second."""
        healed = self._cluster.is_healed
        living = [machine.name for machine in self._cluster.living]
        self._home = self._dice.pick(living if healed else self._cluster.names)

    def _rest(self, brought: int = 0) -> None:
        """Until it asks again; in the end at once while that brings it on. An answer may bring a
        single write, and it may be a thousand behind."""
        self._request = self._request._replace(id=0)  # nothing more is taken for its answer
        hurries = self._cluster.is_healed and brought
        self._world.after(0 if hurries else self._dice.after(self._cluster.plan.think_us), self.ask)
