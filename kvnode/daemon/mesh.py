"""The mesh: this node's ends of the links to its peers.

A peer is configured by its request address. A `hello` to it, over a DEALER, tells its name
and where it gossips; then the SUB connects there. Pulls go over the same DEALER.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import zmq

from kvnode.codec import gossip
from kvnode.codec.batches import decode_batch
from kvnode.codec.client import (
    Answer,
    Greeting,
    Operation,
    decode_answer,
    decode_greeting,
    encode_request,
    hello,
    since,
)
from kvnode.codec.packing import array, told
from kvnode.codec.token import encode_token
from kvnode.core.batch import Batch
from kvnode.core.limits import MIB
from kvnode.core.messages import Claim, Inputs, Pull, Pulled
from kvnode.core.replica import Identity
from kvnode.daemon.links import Links
from kvnode.daemon.logs import LOGGER, Complaints
from kvnode.errors import MalformedError
from kvnode.transport.sockets import Context, Socket, connect, dealer, receive_frames, subscriber

#: What one pull asks for: enough to keep a catch-up busy, little enough for one turn.
PULL_BYTES: Final = MIB

#: A peer that has answered is greeted again after so many heartbeats: it may have moved.
HELLO_AGAIN_HEARTBEATS: Final = 10

#: Frames read from one socket in one turn.
FRAMES_PER_TURN: Final = 1_000

_HELLO_ID: Final = 0
_PULL_ID: Final = 1


@dataclass(slots=True, eq=False)
class Peer:
    """One configured address, and who answers there."""

    address: str
    socket: Socket
    greeting: Greeting | None = None
    hello_due_us: int = 0
    #: When something last came from it, and when it last answered, by the steady clock.
    heard_us: int | None = None
    answered_us: int = 0
    #: Why it is not part of the mesh, if it refused or was refused.
    refusal: str | None = None


class Mesh:
    """All peers of a node."""

    def __init__(
        self,
        context: Context,
        identity: Identity,
        cluster: str,
        addresses: tuple[str, ...],
        links: Links,
        complaints: Complaints,
        *,
        heartbeat_us: int,
    ) -> None:
        self._identity = identity
        self._cluster = cluster
        # Nothing seen, but of this cluster: who is of another refuses to serve a pull.
        self._token = encode_token(cluster, {})
        self._connected: set[str] = set()
        self.links = links
        self._complaints = complaints
        self._heartbeat_us = heartbeat_us
        self.subscriber = subscriber(context)
        self.peers = [Peer(address, dealer(context, address)) for address in addresses]

    # --- sending

    def greet(self, steady_us: int) -> None:
        """Say hello to each peer that is due."""
        for peer in self.peers:
            if steady_us < peer.hello_due_us:
                continue
            heartbeats = HELLO_AGAIN_HEARTBEATS if peer.greeting else 1
            peer.hello_due_us = steady_us + heartbeats * self._heartbeat_us
            name, _, instance = self._identity
            self._send(peer, _HELLO_ID, hello(self._cluster, name, instance))

    def wake_us(self) -> int | None:
        """When the next hello is due."""
        return min((peer.hello_due_us for peer in self.peers), default=None)

    def pull(self, pull: Pull) -> None:
        """Ask a peer for batches; if it can't be reached the pull times out."""
        if peers := self._named(pull.name):
            peer = max(peers, key=lambda peer: peer.answered_us)
            self._send(peer, _PULL_ID, since(pull.vector, PULL_BYTES))

    def close(self) -> None:
        """Close all sockets."""
        self.subscriber.close()
        for peer in self.peers:
            peer.socket.close()

    def _send(self, peer: Peer, id_: int, operation: Operation) -> None:
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
        peers = self._named(header.name)
        if header.cluster != self._cluster or not peers:
            raise MalformedError(
                f"gossip of {header.name!r} in cluster {header.cluster!r}, which is no peer"
            )
        item: Batch | Claim
        if header.kind == gossip.BATCH:
            item = decode_batch(body)
        else:
            item = gossip.decode_claim(header, body)
        for peer in peers:
            peer.heard_us = steady_us
        self.links.receive(header.name, item, inputs)

    def receive_answers(self, peer: Peer, inputs: Inputs, steady_us: int, bytes_max: int) -> None:
        """Read what a peer answered to hellos and pulls, within bounds."""
        read_bytes = 0
        for _ in range(FRAMES_PER_TURN):
            frames = receive_frames(peer.socket, 1) if read_bytes < bytes_max else None
            if frames is None:
                return
            read_bytes += sum(len(frame) for frame in frames)
            peer.heard_us = peer.answered_us = steady_us
            try:
                if not frames:
                    raise MalformedError("an answer must have one frame")
                self._receive_answer(peer, decode_answer(frames[0]), inputs, steady_us)
            except MalformedError as error:
                self._complaints.add("malformed_answers", f"from {peer.address}: {error}")

    def _receive_answer(self, peer: Peer, answer: Answer, inputs: Inputs, steady_us: int) -> None:
        (result,) = array(answer.results, 1, "an answer to one operation")
        if result[0] != "ok":
            message = told(result[2]) if len(result) > 2 else "no reason given"
            if answer.id == _PULL_ID and result[1:2] != ["wrong_cluster"]:
                self._complaints.add("failed_pulls", f"from {peer.address}: {message}")
            else:
                self._refuse(peer, f"refuses us: {message}")
        elif answer.id == _PULL_ID:
            self._receive_pulled(peer, result, inputs)
        else:
            self._receive_greeting(peer, decode_greeting(result), steady_us)

    def _receive_pulled(self, peer: Peer, result: list[object], inputs: Inputs) -> None:
        if peer.greeting is None:
            return
        batches = array(result[1] if len(result) == 2 else None, None, "pulled batches")
        if not all(type(batch) is bytes for batch in batches):
            raise MalformedError("a pulled batch must be bytes")
        pulled = Pulled(peer.greeting.name, tuple(decode_batch(batch) for batch in batches))
        self.links.receive(pulled.name, pulled, inputs)

    def _receive_greeting(self, peer: Peer, greeting: Greeting, steady_us: int) -> None:
        if greeting == peer.greeting:
            return
        name, _, instance = self._identity
        if greeting.instance == instance:
            self._refuse(peer, "is this node itself")
        elif greeting.cluster != self._cluster:
            self._refuse(
                peer, f"is of cluster {greeting.cluster!r}, this node of {self._cluster!r}"
            )
        elif greeting.name == name:
            self._refuse(peer, f"bears this node's name {name!r}; two live nodes must not")
        elif namesake := self._live_namesake(peer, greeting, steady_us):
            at = f"{namesake.address} too; two live nodes must not"
            self._refuse(peer, f"bears the name {greeting.name!r}, as does the node at {at}")
        else:
            self._accept(peer, greeting)

    def _live_namesake(self, peer: Peer, greeting: Greeting, steady_us: int) -> Peer | None:
        """Another process of that name which still answers hellos."""
        silence_us = 2 * HELLO_AGAIN_HEARTBEATS * self._heartbeat_us
        for other in self._named(greeting.name):
            instance = other.greeting.instance if other.greeting else greeting.instance
            lives = steady_us - other.answered_us < silence_us
            if other is not peer and instance != greeting.instance and lives:
                return other
        return None

    def _accept(self, peer: Peer, greeting: Greeting) -> None:
        before, peer.greeting = peer.greeting, greeting
        try:
            self._follow()
        except zmq.ZMQError as error:
            peer.greeting = before
            self._refuse(peer, f"gossips at {greeting.gossip_address!r}: {error}")
            return
        peer.refusal = None
        LOGGER.info(
            "peer %s at %s, gossip at %s", greeting.name, peer.address, greeting.gossip_address
        )

    def _refuse(self, peer: Peer, reason: str) -> None:
        peer.greeting = None
        self._follow()
        if peer.refusal != reason:
            LOGGER.error("peer at %s %s", peer.address, reason)
            peer.refusal = reason

    def _follow(self) -> None:
        """Be connected to the gossip of all that greeted, once each: two configured
        addresses may lead to one node."""
        wanted = {peer.greeting.gossip_address for peer in self.peers if peer.greeting}
        for address in sorted(wanted - self._connected):
            connect(self.subscriber, address)
            self._connected.add(address)
        for address in sorted(self._connected - wanted):
            self.subscriber.disconnect(address)
            self._connected.discard(address)

    def _named(self, name: str) -> list[Peer]:
        return [peer for peer in self.peers if peer.greeting and peer.greeting.name == name]
