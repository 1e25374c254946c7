"""The network: streams between places that delay, lose, double, slow down and break.

As with TCP beneath ZeroMQ, what arrives over one connection arrives in its order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from kvnode.transport.sockets import GOSSIP_HIGH_WATER
from tests.simulation.dice import Dice
from tests.simulation.plan import Plan
from tests.simulation.world import World

#: What a node listens at.
GOSSIP: Final = "gossip"
REQUESTS: Final = "requests"

_USUAL_DELAY_US: Final = 500
_LONG_DELAY_US: Final = 300_000
_SLOW_US_PER_BYTE: Final = 500


class Connection(NamedTuple):
    """What a message goes over: who opened it, to whom, and for what."""

    opener: str
    listener: str
    port: str


class Network:
    """What is sent from place to place."""

    def __init__(self, world: World, plan: Plan, nodes: Collection[str]) -> None:
        self._nodes = nodes
        self._world = world
        self._plan = plan
        self._dice = Dice(plan.seed, "network")
        self._breaks = Dice(plan.seed, "broken connections")
        #: Directed links through which nothing comes.
        self.cut: set[tuple[str, str]] = set()
        #: Who is cut off from all others, clients included, and how often: it ends by itself.
        self.alone: Counter[str] = Counter()
        #: The same, but clients reach it.
        self.apart: Counter[str] = Counter()
        #: Directed links that take their time for each byte.
        self.slow: set[tuple[str, str]] = set()
        #: Connections that nobody can open, by a firewall or NAT; also when all else is healed.
        self.closed: set[Connection] = set()
        #: Directed links that carry one message after another, and how long each takes for a byte;
        #: also when all else is healed.
        self.narrow: dict[tuple[str, str], int] = {}
        self._narrow_free_at_us: dict[tuple[str, str], int] = {}
        #: Gossip that waits before each narrow link.
        self._queued: Counter[tuple[str, str]] = Counter()
        self._free_at_us: dict[tuple[str, Connection], int] = {}
        #: How often each connection was made anew: what was on its way over it is gone then.
        self._made_anew: Counter[Connection] = Counter()
        #: How often a process began at each place.
        self._begun: Counter[str] = Counter()
        self._faulty = True

    def heal(self) -> None:
        """From now on everything arrives, soon."""
        self.cut.clear()
        self.slow.clear()
        self.apart.clear()
        self._free_at_us.clear()
        self._faulty = False

    def make_anew(self, connection: Connection) -> None:
        """What is on its way over this connection does not arrive any more, nor does it hold up
        what comes after it."""
        self._made_anew[connection] += 1
        opener, listener, _ = connection
        self._narrow_free_at_us.pop((listener, opener), None)
        self._free_at_us.pop((listener, connection), None)

    def begins(self, name: str) -> None:
        """A process begins there, with connections of its own: what was sent there before does not
        arrive any more, nor does it hold up what comes after it."""
        self._begun[name] += 1
        narrow, streams = self._narrow_free_at_us, self._free_at_us
        self._narrow_free_at_us = {link: at for link, at in narrow.items() if link[1] != name}
        self._free_at_us = {
            (sender, over): at
            for (sender, over), at in streams.items()
            if name == sender or name not in over
        }

    def all_hear_each_other(self) -> bool:
        """Whether claims come from each node to each other one, by gossip or by calls."""
        return not any(
            Connection(listener, speaker, GOSSIP) in self.closed
            and Connection(listener, speaker, REQUESTS) in self.closed
            and Connection(speaker, listener, REQUESTS) in self.closed
            for listener, speaker, _ in self.closed
        )

    def is_connected(self, over: Connection) -> bool:
        """Whether its opener can send over it. A link that is cut may have shown it, or not yet."""
        links = {(over.opener, over.listener), (over.listener, over.opener)}
        has_broken = any(map(self._is_cut, links)) and self._breaks.chance(0.5)
        return over not in self.closed and not has_broken

    def send(
        self,
        sender: str,
        receiver: str,
        size_bytes: int,
        arrive: Callable[[], None],
        over: Connection,
    ) -> None:
        """Have this arrive, later, perhaps; twice, perhaps."""
        link = (sender, receiver)
        if over in self.closed:
            return
        if self._is_cut(link) or (self._on("loss") and self._dice.chance(0.1)):
            self._world.states["a message lost"] += 1
            return
        # Clients have one connection to a node, so nothing of theirs comes twice; peers
        # have two, for gossip and for pulls.
        between_nodes = sender in self._nodes and receiver in self._nodes
        doubled = between_nodes and self._on("duplication") and self._dice.chance(0.1)
        copies = 2 if doubled else 1
        for _ in range(copies):
            self._arrive_later(link, size_bytes, arrive, over)

    def _arrive_later(
        self, link: tuple[str, str], size_bytes: int, arrive: Callable[[], None], over: Connection
    ) -> None:
        delay_us = self._dice.after(_USUAL_DELAY_US)
        if link in self.narrow:
            if over.port == GOSSIP and self._queued[link] >= GOSSIP_HIGH_WATER:
                self._world.states["gossip dropped before a narrow link"] += 1
                return
            delay_us += self._through(link, size_bytes, over)
        if self._on("delay") and self._dice.chance(0.2):
            delay_us += self._dice.after(_LONG_DELAY_US)
        if link in self.slow:
            delay_us += size_bytes * _SLOW_US_PER_BYTE
        stream = (link[0], over)
        at_us = max(self._world.now_us + delay_us, self._free_at_us.get(stream, 0))
        self._free_at_us[stream] = at_us

        epoch = self._epoch(link, over)

        def arrive_unless_cut() -> None:
            if not self._is_cut(link) and epoch == self._epoch(link, over):
                arrive()

        self._world.at(at_us, arrive_unless_cut)

    def _epoch(self, link: tuple[str, str], over: Connection) -> tuple[int, int]:
        """Changes when what is on its way is lost."""
        return self._made_anew[over], self._begun[link[1]]

    def _is_cut(self, link: tuple[str, str]) -> bool:
        if link in self.cut or any(self.alone[name] > 0 for name in link):
            return True
        are_nodes = all(name in self._nodes for name in link)
        return are_nodes and any(self.apart[name] > 0 for name in link)

    def _through(self, link: tuple[str, str], size_bytes: int, over: Connection) -> int:
        """How long a message takes through a narrow link, behind those before it."""
        now_us = self._world.now_us
        free_at_us = max(now_us, self._narrow_free_at_us.get(link, 0))
        free_at_us += size_bytes * self.narrow[link]
        self._narrow_free_at_us[link] = free_at_us
        if over.port == GOSSIP:
            self._queued[link] += 1

            def leave() -> None:
                self._queued[link] -= 1

            self._world.at(free_at_us, leave)
        return free_at_us - now_us

    def _on(self, fault: str) -> bool:
        return self._faulty and fault in self._plan.faults
