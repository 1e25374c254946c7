"""The mesh: this node's ends of the links to its peers.

A peer is known by its request address: from the configuration, from its member record, or
because it said hello. A `hello` to it, over a DEALER, tells its name and where it gossips;
then the SUB connects there. Pulls go over the same DEALER. Who each peer is, is decided in
`neighbours.py`.
"""

from __future__ import annotations

from typing import Final

import zmq

from kvnode.codec import gossip
from kvnode.codec.batches import decode_batch
from kvnode.codec.client import (
    Answer,
    Greeting,
    Introduction,
    Operation,
    decode_answer,
    decode_greeting,
    encode_request,
    hello,
    since,
    snapshot,
    synced,
)
from kvnode.codec.packing import array, told
from kvnode.codec.snapshots import decode_chunk
from kvnode.codec.token import encode_token
from kvnode.core.batch import Batch
from kvnode.core.limits import MIB
from kvnode.core.messages import Claim, Fetch, Inputs, Pull, Pulled, Report
from kvnode.core.vector import Dot, name_of
from kvnode.daemon.links import Links
from kvnode.daemon.logs import LOGGER, Complaints
from kvnode.daemon.names import LOOK_AGAIN_US, Names
from kvnode.daemon.neighbours import Neighbours, Unheard
from kvnode.daemon.peer import HELLO_AGAIN_HEARTBEATS, Peer
from kvnode.errors import MalformedError
from kvnode.transport.addresses import host_of
from kvnode.transport.sockets import Context, connect, dealer, receive_frames, subscriber

#: What one pull asks for: enough to keep a catch-up busy, little enough for one turn.
PULL_BYTES: Final = MIB

#: What was said of a peer that has not answered for so many heartbeats holds no more.
GONE_HEARTBEATS: Final = 2 * HELLO_AGAIN_HEARTBEATS

#: Frames read from one socket in one turn.
FRAMES_PER_TURN: Final = 1_000

#: Addresses that are tried at once: those of a hundred members, and of their past.
PEERS_MAX: Final = 256

_HELLO_ID: Final = 0
_PULL_ID: Final = 1
_FETCH_ID: Final = 2
_REPORT_ID: Final = 3


class Mesh:
    """All peers of a node."""

    def __init__(
        self,
        context: Context,
        poller: zmq.Poller,
        introduction: Introduction,
        addresses: tuple[str, ...],
        links: Links,
        complaints: Complaints,
        *,
        heartbeat_us: int,
    ) -> None:
        self._context = context
        self._poller = poller
        self._introduction = introduction
        self._cluster = cluster = introduction.cluster
        # Nothing seen, but of this cluster: who is of another refuses to serve a pull.
        self._token = encode_token(cluster, {})
        self._connected: set[str] = set()
        self.names = Names(complaints)
        poller.register(self.names.answered, zmq.POLLIN)
        self.links = links
        self._complaints = complaints
        self._heartbeat_us = heartbeat_us
        self.subscriber = subscriber(context)
        poller.register(self.subscriber, zmq.POLLIN)
        self.neighbours = Neighbours(introduction, heartbeat_us=heartbeat_us)
        self._recorded: set[str] = set()
        for address in addresses:
            self._add(address, is_configured=True)

    @property
    def peers(self) -> list[Peer]:
        """All that are tried."""
        return self.neighbours.peers

    # --- who is there

    def unheard(self) -> list[Unheard]:
        """The known addresses that are not accounted for, with the reason of each."""
        return self.neighbours.unheard(
            {peer.address: self.names.trouble(peer.address) for peer in self.peers}
        )

    def tell_of_the_unheard(self, inputs: Inputs) -> None:
        """Tell the turn whether there are such."""
        unheard = self.unheard()
        inputs.unheard = bool(unheard)
        is_refused = any(it.is_refused for it in unheard)
        inputs.refused = is_refused and not any(peer.is_heard for peer in self.peers)

    def follow(self, recorded: set[str]) -> None:
        """The addresses in the member records are these."""
        self._recorded = recorded
        for address in sorted(recorded.difference(self.neighbours.addresses)):
            self._add(address, is_configured=False)

    def introduced(self, introduction: Introduction, steady_us: int) -> None:
        """A peer said hello."""
        if introduction.listen not in self.neighbours.addresses:
            self._add(introduction.listen, is_configured=False)
        for peer in self.neighbours.at(introduction.listen):
            peer.introduced_us = steady_us
            if peer.greeting is None or peer.greeting.instance != introduction.instance:
                self._seek(peer, steady_us)  # it has started, perhaps elsewhere

    def look_for_the_moved(self) -> None:
        """Connect to those whose hosts have other numbers by now, or are known at last."""
        if not self.names.receive():
            return
        for address in self.neighbours.addresses:
            self._spread(address)
        self._follow_gossip()

    def _seek(self, peer: Peer, steady_us: int) -> None:
        """Ask where one is: it may have moved."""
        self.names.ask_again(peer.address, steady_us)
        if peer.greeting is not None:
            self.names.ask_again(peer.greeting.gossip_address, steady_us)

    def _add(self, address: str, *, is_configured: bool) -> None:
        if address == self._introduction.listen:
            return  # all nodes may be given one list of addresses
        if not is_configured and host_of(address) is None:
            self._complaints.add("bad_addresses", repr(address))
            return
        self._begin(Peer(address, is_configured))
        self._spread(address)

    def _spread(self, address: str) -> None:
        """Have a peer at each number of the address's host, or one without, as long as nobody
        knows any. Who is heard at a number that the host has no more is left when it falls silent.
        """
        numbers = self.names.numbers(address)
        (first, *_) = known = self.neighbours.at(address)
        for number in numbers:
            if number not in [peer.reached for peer in known]:
                self._begin(Peer(address, first.is_configured, number, None, first.introduced_us))
        if len(self.neighbours.at(address)) > 1 and first.reached is None:
            self._leave(first)

    def _begin(self, peer: Peer) -> None:
        """Try one more, if there is room for it and one can connect to it."""
        if len(self.peers) >= PEERS_MAX:
            message = f"{peer.place}: a node has at most {PEERS_MAX}"
            self._complaints.add("too_many_peers", message)
            return
        try:
            self._connect(peer)
        except zmq.ZMQError as error:
            self._complaints.add("bad_addresses", f"{peer.place!r}: {error}")
            return
        self.neighbours.add(peer)

    def _leave(self, peer: Peer) -> None:
        self._disconnect(peer)
        self.neighbours.remove(peer)

    def _leave_the_gone(self, steady_us: int) -> None:
        """Try no longer what is neither configured, nor recorded, nor alive; nor at a number that
        is its host's no more."""
        for peer in self.peers:
            is_wanted = peer.is_configured or peer.address in self._recorded
            numbers = self.names.numbers(peer.address)
            if (
                numbers
                and peer.reached not in numbers
                and not self.neighbours.lives(peer, steady_us)
            ):
                self._leave(peer)
                self._follow_gossip()
                continue
            latest_us = max(peer.introduced_us, peer.answered_us, peer.tried_us or steady_us)
            if steady_us - latest_us <= GONE_HEARTBEATS * self._heartbeat_us:
                continue
            peer.refusal = None
            if not is_wanted:
                self._leave(peer)
                self._follow_gossip()

    # --- sending

    def greet(self, record: Dot | None, steady_us: int) -> None:
        """Say hello to each peer that is due."""
        due_us = self.wake_us()
        if due_us is None or steady_us < due_us:
            return
        self._leave_the_gone(steady_us)
        self._introduction = self._introduction._replace(record=record)
        for peer in self.peers:
            if steady_us < peer.hello_due_us:
                continue
            if not self.neighbours.lives(peer, steady_us):
                self._seek(peer, steady_us)
            elif peer.is_configured:
                self.names.ask_again(peer.address, steady_us, LOOK_AGAIN_US)
            is_new_link = self._link_again(peer, steady_us)  # which this hello may be too early for
            heartbeats = HELLO_AGAIN_HEARTBEATS if peer.greeting and not is_new_link else 1
            peer.hello_due_us = steady_us + heartbeats * self._heartbeat_us
            peer.told_record = record
            peer.tried_us = peer.tried_us or steady_us
            self._send(peer, _HELLO_ID, hello(self._introduction))

    def _link_again(self, peer: Peer, steady_us: int) -> bool:
        """Make its links anew on which nothing comes, or that lead to this node itself; whether
        that for questions is new."""
        is_new = peer.link.is_silent(steady_us, self._heartbeat_us) or peer.is_detour
        if is_new:
            peer.is_detour = False
            self._connect(peer)
        if peer.greeting and peer.gossip_link.is_silent(steady_us, self._heartbeat_us):
            for reached in self.names.numbers(peer.greeting.gossip_address):
                if reached in self._connected:
                    self.subscriber.disconnect(reached)
                    connect(self.subscriber, reached)
        return is_new

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

    def wake_us(self) -> int | None:
        """When the next hello is due."""
        return min((peer.hello_due_us for peer in self.peers), default=None)

    def pull(self, pull: Pull | Fetch) -> None:
        """Ask a peer for batches or state; if it can't be reached the pull times out."""
        if peers := self.neighbours.named(pull.name):
            peer = max(peers, key=lambda peer: peer.answered_us)
            if isinstance(pull, Pull):
                self._send(peer, _PULL_ID, since(pull.vector, PULL_BYTES))
            else:
                self._send(peer, _FETCH_ID, snapshot(pull.number, pull.after))

    def report(self, report: Report) -> None:
        """Tell an origin what is synced of it: each process of its name, for only that origin's
        takes it."""
        operation = synced(report.name, report.instance, Dot(report.origin, report.seq))
        for peer in self.neighbours.bearing(name_of(report.origin)):
            self._send(peer, _REPORT_ID, operation)

    def close(self) -> None:
        """Close all sockets."""
        self.subscriber.close()
        for peer in self.peers:
            self._disconnect(peer)
        self.names.close()

    def _send(self, peer: Peer, id_: int, operation: Operation) -> None:
        if peer.socket is None:
            return  # nobody knows yet where its host is
        try:
            peer.socket.send(encode_request(id_, self._token, 0, [operation]), zmq.NOBLOCK)
        except zmq.Again:
            LOGGER.debug("no connection to %s", peer.address)

    # --- receiving

    def receive_gossip(self, inputs: Inputs, steady_us: int, bytes_max: int) -> None:
        """Read what peers published, within bounds."""
        read_bytes = 0
        for _ in range(FRAMES_PER_TURN):
            frames = receive_frames(self.subscriber, 2) if read_bytes < bytes_max else None
            if frames is None:
                break
            try:
                if not frames:
                    raise MalformedError("gossip must have two frames")
                read_bytes += len(frames[1])
                self._receive_gossip(frames[0], frames[1], inputs, steady_us)
            except MalformedError as error:
                self._complaints.add("malformed_gossip", str(error))

    def _receive_gossip(self, head: bytes, body: bytes, inputs: Inputs, steady_us: int) -> None:
        header = gossip.decode_header(head)
        peers = self.neighbours.speaking(header.name, header.instance)
        if header.cluster != self._cluster or not peers:
            raise MalformedError(
                f"gossip of {header.name!r} in cluster {header.cluster!r}, which is no peer"
            )
        assert peers[0].greeting is not None
        header = header._replace(name=peers[0].greeting.name)
        item: Batch | Claim | Dot
        if header.kind == gossip.BATCH:
            item = decode_batch(body)
        elif header.kind == gossip.AWAITED:
            item = gossip.decode_awaited(body)
        else:
            item = gossip.decode_claim(header, body)
        for peer in peers:
            if peer.greeting is not None and peer.greeting.instance == header.instance:
                peer.heard_us = steady_us
                peer.gossip_link.came(steady_us)
                if isinstance(item, Claim):
                    peer.claimed_by = header.instance
            else:  # started again: who is it?
                peer.hello_due_us = min(peer.hello_due_us, steady_us + self._heartbeat_us)
        self.links.receive(header.name, item, inputs)

    def receive_answers(self, peer: Peer, inputs: Inputs, steady_us: int, bytes_max: int) -> None:
        """Read what a peer answered to hellos and pulls, within bounds."""
        assert peer.socket is not None
        read_bytes = 0
        for _ in range(FRAMES_PER_TURN):
            frames = receive_frames(peer.socket, 1) if read_bytes < bytes_max else None
            if frames is None:
                return
            read_bytes += sum(len(frame) for frame in frames)
            peer.heard_us = peer.answered_us = steady_us
            peer.link.came(steady_us)
            try:
                if not frames:
                    raise MalformedError("an answer must have one frame")
                self._receive_answer(peer, decode_answer(frames[0]), inputs, steady_us)
            except MalformedError as error:
                self._complaints.add("malformed_answers", f"from {peer.address}: {error}")

    def _receive_answer(self, peer: Peer, answer: Answer, inputs: Inputs, steady_us: int) -> None:
        (result,) = array(answer.results, 1, "an answer to one operation")
        if answer.id == _REPORT_ID:
            return  # the report was a hint, whatever became of it
        if result[0] != "ok":
            message = told(result[2]) if len(result) > 2 else "no reason given"
            if answer.id in (_PULL_ID, _FETCH_ID) and result[1:2] != ["wrong_cluster"]:
                self._complaints.add("failed_pulls", f"from {peer.address}: {message}")
                if peer.greeting is not None:
                    inputs.refusals.append(peer.greeting.name)
            else:
                self._refuse(peer, f"refuses us: {message}")
        elif answer.id == _PULL_ID:
            self._receive_pulled(peer, result, inputs)
        elif answer.id == _FETCH_ID:
            self._receive_chunk(peer, result, inputs)
        else:
            greeting = decode_greeting(result)
            self._receive_greeting(peer, greeting, steady_us)
            if peer.greeting and greeting.has_forgotten and peer.told_record is not None:
                inputs.forgotten.append(peer.told_record)
            if greeting.namesake is not None and greeting.namesake not in self.neighbours.addresses:
                self._add(greeting.namesake, is_configured=False)  # to see whether it lives

    def _receive_pulled(self, peer: Peer, result: list[object], inputs: Inputs) -> None:
        if peer.greeting is None:
            return
        batches = array(result[1] if len(result) == 2 else None, None, "pulled batches")
        if not all(type(batch) is bytes for batch in batches):
            raise MalformedError("a pulled batch must be bytes")
        pulled = Pulled(peer.greeting.name, tuple(decode_batch(batch) for batch in batches))
        self.links.receive(pulled.name, pulled, inputs)

    def _receive_chunk(self, peer: Peer, result: list[object], inputs: Inputs) -> None:
        if peer.greeting is None:
            return
        chunk = decode_chunk(peer.greeting.name, result)
        self.links.receive(chunk.name, chunk, inputs)

    def _receive_greeting(self, peer: Peer, greeting: Greeting, steady_us: int) -> None:
        before = peer.greeting
        self.neighbours.greeted(peer, greeting, steady_us)
        if peer.greeting != before:
            self._follow_gossip()

    def _refuse(self, peer: Peer, reason: str) -> None:
        self.neighbours.refuse(peer, reason)
        self._follow_gossip()

    def _follow_gossip(self) -> None:
        """Be connected to the gossip of all that greeted, as far as their hosts are known, once
        each: two configured addresses may lead to one node."""
        addresses = [peer.greeting.gossip_address for peer in self.peers if peer.greeting]
        self.names.keep([*self.neighbours.addresses, *addresses])
        wanted = {number for address in addresses for number in self.names.numbers(address)}
        for address in sorted(wanted - self._connected):
            try:
                connect(self.subscriber, address)
            except zmq.ZMQError as error:
                self._complaints.add("bad_addresses", f"{address!r}: {error}")
                continue
            self._connected.add(address)
        for address in sorted(self._connected - wanted):
            self.subscriber.disconnect(address)
            self._connected.discard(address)
