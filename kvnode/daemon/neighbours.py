"""Who answers where: the processes at the addresses that a node knows, without sockets.

If two processes that live bear one name, from a directory that was copied, the second is reported,
and heard all the same: its disk has writes that others lack. It goes by its name and address here,
so that its claims do not replace those of the first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from kvnode.codec.calls import NOT_YET
from kvnode.codec.client import Greeting, Introduction
from kvnode.codec.packing import told
from kvnode.core.repair import ALIVE_HEARTBEATS
from kvnode.daemon.logs import LOGGER
from kvnode.daemon.peer import Peer
from kvnode.errors import MalformedError
from kvnode.transport.addresses import host_of
from kvnode.transport.diagnosis import NOBODY_LISTENS

#: A process whose name another one bears now has so many heartbeats' time to show that it
#: lives; else the other is the same node, started again.
RIVAL_HEARTBEATS: Final = 2

#: Processes that said hello are remembered, as many as there may be peers: who calls must be one.
INTRODUCTIONS_MAX: Final = 256

#: Processes that call and are known at no address: those of a large cluster behind NAT.
CALLERS_MAX: Final = 128

#: A process that has not called for so many heartbeats is not known any more.
CALLER_HEARTBEATS: Final = 20

#: What is refused for it that leads to the node itself.
_ITSELF: Final = "is this node itself"


class NotYet(MalformedError):
    """Who calls has to wait for a moment, as after each restart: nothing is wrong."""

    code = NOT_YET


class Unheard(NamedTuple):
    """A known address where nobody was heard who may know what this node does not."""

    address: str
    #: In words.
    reason: str
    #: Whether somebody is there who refuses this node, or whom this node refuses.
    is_refused: bool = False
    #: Whether that is since both bear one name.
    is_namesake: bool = False


class Neighbours:
    """All peers of a node, and who each of them is."""

    def __init__(
        self,
        introduction: Introduction,
        *,
        heartbeat_us: int,
        is_own: Callable[[str], bool] = lambda address: False,
    ) -> None:
        self._introduction = introduction
        #: Whether this node is what listens at an address.
        self._is_own = is_own
        self._heartbeat_us = heartbeat_us
        #: By address, then by the number of its host that is reached.
        self._known: dict[str, dict[str | None, Peer]] = {}
        #: All of them, address by address.
        self.peers: list[Peer] = []
        #: Who said hello, the latest last; and of these who calls and is known at no address.
        self._introductions: dict[int, Introduction] = {}
        self._callers: dict[int, Peer] = {}

    @property
    def addresses(self) -> list[str]:
        """All that are known."""
        return list(self._known)

    @property
    def callers(self) -> list[Peer]:
        """Those that call, and are known at no address."""
        return list(self._callers.values())

    @property
    def instances(self) -> set[int]:
        """All processes that were greeted."""
        return {it.greeting.instance for it in self._all() if it.greeting is not None}

    @property
    def gossip_addresses(self) -> list[str]:
        """Where all of them gossip."""
        return [it.greeting.gossip_address for it in self._all() if it.greeting is not None]

    @property
    def has_heard(self) -> bool:
        """Whether any process has said what it has."""
        return any(peer.is_heard for peer in self._all())

    def at(self, address: str) -> list[Peer]:
        """Those at an address: one for each number of its host."""
        return list(self._known.get(address, {}).values())

    def add(self, peer: Peer) -> None:
        """Know one more."""
        self._known.setdefault(peer.address, {})[peer.reached] = peer
        self._list()

    def remove(self, peer: Peer) -> None:
        """Know it no more."""
        numbers = self._known[peer.address]
        del numbers[peer.reached]
        if not numbers:
            del self._known[peer.address]
        self._list()

    def _list(self) -> None:
        """A new list, since somebody may be going through the one before."""
        self.peers = [peer for numbers in self._known.values() for peer in numbers.values()]

    def _all(self) -> list[Peer]:
        return [*self.peers, *self._callers.values()]

    def named(self, name: str) -> list[Peer]:
        """Where the process answers that goes by this name."""
        return [peer for peer in self._all() if peer.greeting and peer.greeting.name == name]

    def bearing(self, name: str) -> list[Peer]:
        """Where any process answers that bears this name."""
        return [peer for peer in self._all() if _bears(peer, name)]

    def of(self, instance: int) -> list[Peer]:
        """Where this process answers, and as what it calls."""
        return [it for it in self._all() if it.greeting and it.greeting.instance == instance]

    def speaking(self, name: str, instance: int) -> list[Peer]:
        """Of the processes of that name the one that speaks, if it greeted."""
        same = [it for it in self.of(instance) if _bears(it, name)]
        return same or self.named(name)

    def lives(self, peer: Peer, steady_us: int) -> bool:
        """Whether there was a sign of life a moment ago."""
        return steady_us - peer.latest_us < ALIVE_HEARTBEATS * self._heartbeat_us

    def namesake(self, introduction: Introduction, steady_us: int) -> str | None:
        """Where another process of that name is heard."""
        for peer in self.named(introduction.name):
            assert peer.greeting is not None
            is_other = peer.greeting.instance != introduction.instance
            if is_other and peer.address != introduction.listen and self.lives(peer, steady_us):
                return peer.address
        return None

    def introduced(self, introduction: Introduction, steady_us: int) -> None:
        """A process said hello."""
        self._introductions.pop(introduction.instance, None)
        self._introductions[introduction.instance] = introduction
        if len(self._introductions) > INTRODUCTIONS_MAX:
            del self._introductions[next(iter(self._introductions))]
        for peer in self.at(introduction.listen):
            peer.introduced_us, peer.introduced_by = steady_us, introduction.instance

    def called(self, name: str, instance: int, steady_us: int) -> list[Peer]:
        """Who calls, as far as it is known; the one who said so in its hello, if it answers at no
        address. Raises MalformedError with the reason, if it is not to be heard; NotYet if that
        may change in a moment."""
        if known := [peer for peer in self.of(instance) if _bears(peer, name)]:
            return known
        introduction = self._introductions.get(instance)
        if introduction is None or introduction.name != name:
            raise NotYet(f"{name!r} has not said hello to this node: say that first")
        caller = self._callers.get(instance)
        if caller is None and len(self._callers) >= CALLERS_MAX:
            raise MalformedError(f"{name!r} is not heard: {CALLERS_MAX} others call already")
        if caller is None:
            listen = introduction.listen
            caller = Peer(listen if host_of(listen) else told(listen), is_configured=False)
            self._callers[instance] = caller
        about = (introduction.cluster, name, instance, introduction.gossip)
        self.greeted(caller, Greeting(*about, False, None, False), steady_us)
        caller.answered_us = steady_us
        if caller.greeting is None:
            is_not = f"{name!r} at {caller.address} is not heard"
            if caller.refusal is None:
                raise NotYet(f"{is_not}: another process bears its name; it may have ended")
            raise MalformedError(f"{is_not}: {caller.refusal}")
        return [caller]

    def leave_the_silent(self, steady_us: int) -> None:
        """Know those no more that have not called for long."""
        long_us = CALLER_HEARTBEATS * self._heartbeat_us
        self._callers = {
            instance: caller
            for instance, caller in self._callers.items()
            if steady_us - caller.latest_us < long_us
        }

    def greeted(self, peer: Peer, greeting: Greeting, steady_us: int) -> None:
        """Somebody answered there."""
        greeting = greeting._replace(has_forgotten=False, namesake=None, wants_calls=False)
        if greeting == peer.greeting:
            return
        cluster, name, instance, *_ = self._introduction
        if greeting.instance == instance:
            self.refuse(peer, _ITSELF)
            peer.is_own = peer.reached is not None and self._is_own(peer.reached)
            peer.detour(steady_us, self._heartbeat_us)
        elif greeting.cluster != cluster:
            self.refuse(peer, f"is of cluster {greeting.cluster!r}, this node of {cluster!r}")
        elif host_of(greeting.gossip_address) in (None, "*"):
            self.refuse(peer, f"gossips at {greeting.gossip_address!r}, which is no address")
        elif greeting.name == name:
            reason = f"bears this node's name {name!r}; two live nodes must not"
            self.refuse(peer, reason, is_namesake=True)
        elif rival := self._rival(peer, greeting):
            self._decide_between(rival, peer, greeting, steady_us)
        else:
            self._accept(peer, greeting, steady_us)
        if peer.greeting is not None and peer is not self._callers.get(greeting.instance):
            self._callers.pop(greeting.instance, None)  # it is known at an address now

    def unheard(
        self, unknown_hosts: Mapping[str, str], *, excuses_idle: bool = True
    ) -> list[Unheard]:
        """The addresses that are not accounted for: at each there should be a process that has
        said, at least once, what it has. Why no number of a host is known stands, by address, in
        `unknown_hosts`. A number that seems idle is excused, or only if surely nobody is there."""
        heard = {peer.greeting.instance for peer in self._all() if peer.greeting and peer.is_heard}
        return [
            _unheard(peer, unknown_hosts)
            for peer in self.peers
            if not peer.is_own
            and not (peer.greeting and peer.greeting.instance in heard)
            and not (peer.greeting is None and peer.introduced_by in heard)
            and not (
                self.is_idle_number(peer)
                and any(other.is_heard for other in self.at(peer.address))
                and (excuses_idle or peer.refusal == _ITSELF or peer.trouble == NOBODY_LISTENS)
            )
        ]

    def is_idle_number(self, peer: Peer) -> bool:
        """Whether nobody is to be expected at this number of a host, since a node answers at
        another one: this leads to this node itself, or is of a family, IPv4 or IPv6, that no node
        there listens to."""
        numbers = self.at(peer.address)
        if peer.refusal == _ITSELF:
            return any(other.greeting for other in numbers)
        answering = {_is_ipv6(other) for other in numbers if other.answered_us}
        return bool(answering) and _is_ipv6(peer) not in answering

    def refuse(self, peer: Peer, reason: str, *, is_namesake: bool = False) -> None:
        """Nobody answers there whom this node can take for a peer."""
        peer.greeting, peer.is_namesake = None, is_namesake
        self._report(peer, reason)

    def _rival(self, peer: Peer, greeting: Greeting) -> Peer | None:
        """Where another process answered to that name."""
        for other in self.named(greeting.name):
            assert other.greeting is not None
            if other is not peer and other.greeting.instance != greeting.instance:
                return other
        return None

    def _decide_between(self, rival: Peer, peer: Peer, greeting: Greeting, steady_us: int) -> None:
        """The same node started again at another address, or two that bear one name? That
        is so if the other process shows itself from now on."""
        if peer.waiting is None or peer.waiting[0] != greeting.instance:
            peer.waiting = (greeting.instance, steady_us)
            rival.hello_due_us = peer.hello_due_us = steady_us
        since_us = peer.waiting[1]
        if rival.latest_us > since_us and self.lives(rival, steady_us):
            self._take_for_second(peer, greeting, rival, steady_us)
        elif steady_us - since_us >= RIVAL_HEARTBEATS * self._heartbeat_us:
            self._accept(peer, greeting, steady_us)
        else:
            peer.greeting = None

    def _take_for_second(self, peer: Peer, greeting: Greeting, rival: Peer, steady_us: int) -> None:
        """Two that live bear one name."""
        second = greeting._replace(name=_second(greeting.name, peer))
        if peer.greeting != second:
            peer.greeting = second
            peer.gossip_link.came(steady_us)
        at = f"{rival.place} too; two live nodes must not"
        self._report(peer, f"bears the name {greeting.name!r}, as does the node at {at}")

    def _accept(self, peer: Peer, greeting: Greeting, steady_us: int) -> None:
        # One that has called, and is reached now, is told already; as is one that calls as well.
        told = {(it.address, it.greeting) for it in self.of(greeting.instance)}
        peer.greeting = greeting
        peer.gossip_link.came(steady_us)
        self._leave_others(self.named(greeting.name), greeting.instance)
        peer.refusal = peer.waiting = None
        peer.detours = 0
        if (peer.address, greeting) not in told:
            gossip = greeting.gossip_address
            LOGGER.info("peer %s at %s, gossip at %s", greeting.name, peer.place, gossip)

    def _leave_others(self, named: Iterable[Peer], instance: int) -> None:
        for other in named:
            if other.greeting is not None and other.greeting.instance != instance:
                other.greeting = None  # that process is gone

    def _report(self, peer: Peer, reason: str) -> None:
        if peer.refusal != reason:
            # To lead home is usual where one name leads to all nodes; where nobody else is found
            # that is told.
            level = logging.DEBUG if reason == _ITSELF else logging.ERROR
            LOGGER.log(level, "peer at %s %s", peer.place, reason)
            peer.refusal = reason


def _unheard(peer: Peer, unknown_hosts: Mapping[str, str]) -> Unheard:
    if peer.refusal == _ITSELF:
        return Unheard(peer.place, "leads to this node itself")
    if peer.refusal is not None:
        told = peer.refusal if "refuses us" in peer.refusal else f"refused: {peer.refusal}"
        return Unheard(peer.place, told, True, peer.is_namesake)
    if peer.greeting is not None:
        return Unheard(peer.place, "answered, but has not said what it has")
    if peer.reached is None:
        return Unheard(peer.place, f"host unknown: {unknown_hosts[peer.address]}")
    return Unheard(
        peer.place, f"never answered: {peer.trouble}" if peer.trouble else "never answered"
    )


def _is_ipv6(peer: Peer) -> bool:
    return "[" in (peer.reached or "")


def _bears(peer: Peer, name: str) -> bool:
    return peer.greeting is not None and peer.greeting.name in (name, _second(name, peer))


def _second(name: str, peer: Peer) -> str:
    """What a process goes by whose name another one bears. No node may be called so."""
    return f"{name} at {peer.place}"
