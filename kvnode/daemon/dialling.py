"""The links that a node opens to the addresses that it knows: one to each number of each host."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

import zmq

from kvnode.daemon.logs import Complaints
from kvnode.daemon.names import LOOK_AGAIN_US, Names
from kvnode.daemon.neighbours import Neighbours
from kvnode.daemon.peer import HELLO_AGAIN_HEARTBEATS, Peer
from kvnode.transport.addresses import host_of
from kvnode.transport.sockets import Context, dealer

#: Numbers of hosts that are tried at once: those of a hundred members, and of their past.
PEERS_MAX: Final = 256

#: What was said of a peer that has not answered for so many heartbeats holds no more.
GONE_HEARTBEATS: Final = 2 * HELLO_AGAIN_HEARTBEATS


class Dialling:
    """Opens, renews and closes links."""

    def __init__(
        self,
        context: Context,
        poller: zmq.Poller,
        own_address: str,
        neighbours: Neighbours,
        complaints: Complaints,
        *,
        heartbeat_us: int,
    ) -> None:
        self.names = Names(complaints)
        poller.register(self.names.answered, zmq.POLLIN)
        self._context = context
        self._poller = poller
        self._own_address = own_address
        self._neighbours = neighbours
        self._complaints = complaints
        self._heartbeat_us = heartbeat_us

    def add(self, address: str, *, is_configured: bool) -> None:
        """Try an address from now on."""
        if address == self._own_address or address in self._neighbours.addresses:
            return  # all nodes may be given one list of addresses
        if not is_configured and host_of(address) is None:
            self._complaints.add("bad_addresses", repr(address))
            return
        for number in self.names.numbers(address) or (None,):
            self._begin(Peer(address, is_configured, number))

    def look_for_the_moved(self) -> bool:
        """Connect to hosts that have other numbers by now, or are known at last; whether there are
        any."""
        if not self.names.receive():
            return False
        for address in self._neighbours.addresses:
            self._spread(address)
        return True

    def seek(self, peer: Peer, steady_us: int) -> None:
        """Ask where its host is: it may have moved, or if all is well, others may be there too."""
        if not self._neighbours.lives(peer, steady_us):
            self.ask_again(peer, steady_us)
        elif peer.is_configured:
            self.names.ask_again(peer.address, steady_us, LOOK_AGAIN_US)

    def ask_again(self, peer: Peer, steady_us: int) -> None:
        """Ask where its host is: it may have moved."""
        self.names.ask_again(peer.address, steady_us)
        if peer.greeting is not None:
            self.names.ask_again(peer.greeting.gossip_address, steady_us)

    def renew(self, peer: Peer, steady_us: int) -> bool:
        """Make its link anew if nothing comes on it, or if it leads to this node itself; whether
        that was so."""
        is_due = peer.link.is_silent(steady_us, self._heartbeat_us) or peer.is_detour
        if is_due:
            peer.is_detour = False
            self._connect(peer)
        return is_due

    def leave_the_gone(self, recorded: Container[str], steady_us: int) -> bool:
        """Try no longer what is neither configured, nor recorded, nor alive; nor at a number that
        is its host's no more. Whether there was any such."""
        gone_us = GONE_HEARTBEATS * self._heartbeat_us
        gone = []
        for peer in self._neighbours.peers:
            latest_us = max(peer.introduced_us, peer.answered_us, peer.tried_us or steady_us)
            is_silent = steady_us - latest_us > gone_us
            if is_silent:
                peer.refusal = None
            is_wanted = peer.is_configured or peer.address in recorded
            if (is_silent and not is_wanted) or self._has_moved(peer, steady_us):
                gone.append(peer)
        for peer in gone:
            self._leave(peer)
        return bool(gone)

    def close(self) -> None:
        """Close all links."""
        for peer in self._neighbours.peers:
            self._disconnect(peer)
        self.names.close()

    def _has_moved(self, peer: Peer, steady_us: int) -> bool:
        numbers = self.names.numbers(peer.address)
        is_there = not numbers or peer.reached in numbers
        return not is_there and not self._neighbours.lives(peer, steady_us)

    def _spread(self, address: str) -> None:
        """Have a peer at each number of the address's host, or one without, as long as nobody
        knows any. Who is heard at a number that the host has no more is left when it falls silent.
        """
        numbers = self.names.numbers(address)
        (first, *_) = known = self._neighbours.at(address)
        for number in numbers:
            if number not in [peer.reached for peer in known]:
                introduced = (first.introduced_us, first.introduced_by)
                self._begin(Peer(address, first.is_configured, number, None, *introduced))
        if first.reached is None and len(self._neighbours.at(address)) > 1:
            self._leave(first)

    def _begin(self, peer: Peer) -> None:
        """Try one more, if there is room for it and one can connect to it."""
        replaced = [it for it in self._neighbours.at(peer.address) if it.reached is None]
        if len(self._neighbours.peers) - len(replaced) >= PEERS_MAX:
            message = f"{peer.place}: a node has at most {PEERS_MAX}"
            self._complaints.add("too_many_peers", message)
            return
        try:
            self._connect(peer)
        except zmq.ZMQError as error:
            self._complaints.add("bad_addresses", f"{peer.place!r}: {error}")
            return
        self._neighbours.add(peer)

    def _leave(self, peer: Peer) -> None:
        self._disconnect(peer)
        self._neighbours.remove(peer)

    def _connect(self, peer: Peer) -> None:
        """Begin to connect, anew if it was; raises zmq.ZMQError for an address that can't be."""
        self._disconnect(peer)
        if peer.reached is not None:
            peer.socket = dealer(self._context, peer.reached)
            self._poller.register(peer.socket, zmq.POLLIN)

    def _disconnect(self, peer: Peer) -> None:
        if peer.socket is not None:
            self._poller.unregister(peer.socket)
            peer.socket.close()
            peer.socket = None
