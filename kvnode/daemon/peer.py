"""A peer as the mesh knows it: its address, who answers there, and the links to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kvnode.codec.client import Greeting
from kvnode.core.vector import Dot
from kvnode.transport.sockets import Socket

#: A peer that has answered is greeted again after so many heartbeats: it may have moved.
HELLO_AGAIN_HEARTBEATS: Final = 10

#: A link on which nothing has come for so many heartbeats is made anew, lest it is one that
#: ZeroMQ has given up for good, as it does after what it could not read, and where the other side
#: is another kind of socket or wants another security mechanism. Each time twice as many must
#: pass, up to the second number: a large message may be on its way over a slow link, and shows
#: only when it is whole. At 500 ms heartbeats that are ten seconds, and forty.
LINK_AGAIN_HEARTBEATS: Final = 2 * HELLO_AGAIN_HEARTBEATS
LINK_AGAIN_HEARTBEATS_MAX: Final = 4 * LINK_AGAIN_HEARTBEATS

#: An address that has led to the node itself is tried again over a new connection, since a load
#: balancer may lead elsewhere then: after one heartbeat, then two, four and so on, up to these. At
#: 500 ms heartbeats that is half a minute.
DETOUR_HEARTBEATS_MAX: Final = 64


@dataclass(slots=True)
class Link:
    """A connection, as ZeroMQ tells nothing of it but what comes."""

    #: When it was made, or something last came, by the steady clock.
    alive_us: int = 0
    #: How many heartbeats it may be silent.
    patience_heartbeats: int = LINK_AGAIN_HEARTBEATS

    def came(self, steady_us: int) -> None:
        """Something came on it."""
        self.alive_us, self.patience_heartbeats = steady_us, LINK_AGAIN_HEARTBEATS

    def is_silent(self, steady_us: int, heartbeat_us: int) -> bool:
        """Whether to make it anew, which counts as done then."""
        self.alive_us = self.alive_us or steady_us
        if steady_us - self.alive_us < self.patience_heartbeats * heartbeat_us:
            return False
        self.alive_us = steady_us
        self.patience_heartbeats = min(2 * self.patience_heartbeats, LINK_AGAIN_HEARTBEATS_MAX)
        return True


@dataclass(slots=True, eq=False)
class Peer:
    """One address, and who answers there; or a caller: a process that calls, and that this node
    knows at no address."""

    #: As it is known: a host that goes by a name may have several numbers, and a peer at each.
    address: str
    #: A configured one is always tried; others as long as they are recorded or alive.
    is_configured: bool
    #: The address with one number of its host, to which the socket is connected; None as long as
    #: nobody knows any.
    reached: str | None = None
    socket: Socket | None = None
    #: When somebody said hello from there last, by the steady clock; and which process.
    introduced_us: int = 0
    introduced_by: int | None = None
    #: When this node first said hello to it.
    tried_us: int | None = None
    greeting: Greeting | None = None
    hello_due_us: int = 0
    link: Link = field(default_factory=Link)
    gossip_link: Link = field(default_factory=Link)
    #: The dot of our record that the last hello told.
    told_record: Dot | None = None
    #: When something last came from it, and when it last answered, by the steady clock.
    heard_us: int | None = None
    answered_us: int = 0
    #: The process there whose claim came last, by its instance.
    claimed_by: int | None = None
    #: How often in a row it has led to this node itself; and whether its next greeting must go over
    #: a new connection for that.
    detours: int = 0
    is_detour: bool = False
    #: Whether it is where this node itself listens, by another name.
    is_own: bool = False
    #: Why it is not part of the mesh, if it refused or was refused.
    refusal: str | None = None
    #: Whether that is since it bears this node's name.
    is_namesake: bool = False
    #: What is wrong where nobody answers, and when that was looked at.
    trouble: str | None = None
    diagnosed_us: int | None = None
    #: The process there that waits for its name, and since when.
    waiting: tuple[int, int] | None = None

    @property
    def place(self) -> str:
        """Its address, for people; with the number of its host, if it goes by a name."""
        is_known = self.reached is None or self.reached == self.address
        return self.address if is_known else f"{self.address} ({self.reached})"

    def detour(self, steady_us: int, heartbeat_us: int) -> None:
        """It leads to this node itself, for now."""
        heartbeats = min(1 << self.detours, DETOUR_HEARTBEATS_MAX)
        self.detours = min(self.detours + 1, DETOUR_HEARTBEATS_MAX)
        self.is_detour = True
        self.hello_due_us = steady_us + heartbeats * heartbeat_us

    @property
    def is_heard(self) -> bool:
        """Whether the process that answers there has said what it has."""
        return self.greeting is not None and self.greeting.instance == self.claimed_by

    @property
    def latest_us(self) -> int:
        """Its last sign of life."""
        return max(self.heard_us or 0, self.answered_us)
