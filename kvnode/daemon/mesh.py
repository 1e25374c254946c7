"""The mesh: this node's ends of the links to its peers.

A peer is known by its request address: from the configuration, from its member record, or
because it said hello. A `hello` to it, over a DEALER, tells its name and where it gossips;
then the SUB connects there. Pulls go over the same DEALER. Who each peer is, is decided in
`neighbours.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import zmq

from kvnode.codec import gossip
from kvnode.codec.batches import decode_batch
from kvnode.codec.calls import NOT_YET, Answered, Asks, Call, CallAnswer, decode_call_answer
from kvnode.codec.client import (
    Answer,
    Greeting,
    Introduction,
    Operation,
    decode_answer,
    decode_greeting,
    encode_request,
    hello,
    synced,
)
from kvnode.codec.packing import array, told
from kvnode.codec.token import encode_token
from kvnode.core.batch import Batch
from kvnode.core.messages import Claim, Fetch, Inputs, Pull, Report
from kvnode.core.vector import Dot, name_of
from kvnode.daemon.contacts import CALL_ID, REPORT_ID, Contacts
from kvnode.daemon.diagnoses import Diagnoses
from kvnode.daemon.dialling import Dialling
from kvnode.daemon.links import Links
from kvnode.daemon.logs import LOGGER, Complaints
from kvnode.daemon.names import Names
from kvnode.daemon.neighbours import Neighbours, Unheard
from kvnode.daemon.peer import HELLO_AGAIN_HEARTBEATS, Peer
from kvnode.daemon.pulling import Pulling, is_question
from kvnode.daemon.subscriptions import Subscriptions
from kvnode.errors import MalformedError
from kvnode.transport.sockets import Context, Socket, is_bound_at, receive_frames

#: Frames read from one socket in one turn.
FRAMES_PER_TURN: Final = 1_000

_HELLO_ID: Final = 0


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
        endpoint: str,
        heartbeat_us: int,
    ) -> None:
        self._poller = poller
        self._introduction = introduction
        self._cluster = cluster = introduction.cluster
        # Nothing seen, but of this cluster: who is of another refuses to serve a pull.
        self._token = encode_token(cluster, {})
        self.links = links
        self._complaints = complaints
        self._heartbeat_us = heartbeat_us
        self.neighbours = Neighbours(
            introduction, heartbeat_us=heartbeat_us, is_own=partial(is_bound_at, endpoint)
        )
        self._dialling = Dialling(
            context,
            poller,
            introduction.listen,
            self.neighbours,
            complaints,
            heartbeat_us=heartbeat_us,
        )
        self._subscriptions = Subscriptions(context, self.names, complaints)
        poller.register(self.subscriber, zmq.POLLIN)
        self._recorded: set[str] = set()
        self._joins = False
        #: Where peers are that others know of who join, as long as this node joins, too.
        self._known_to_others: set[str] = set()
        self.contacts = Contacts(
            introduction.name, introduction.instance, self._send_to, heartbeat_us=heartbeat_us
        )
        self._pulling = Pulling(heartbeat_us=heartbeat_us)
        self._diagnoses = Diagnoses(heartbeat_us)
        #: What was asked in answer to calls.
        self._asked: list[tuple[int, Asks]] = []
        for address in addresses:
            self._dialling.add(address, is_configured=True)

    @property
    def peers(self) -> list[Peer]:
        """All that are tried."""
        return self.neighbours.peers

    @property
    def callers(self) -> list[Peer]:
        """Those that call, and can't be reached."""
        return self.neighbours.callers

    @property
    def names(self) -> Names:
        """Where their hosts are."""
        return self._dialling.names

    @property
    def subscriber(self) -> Socket:
        """Where gossip comes from."""
        return self._subscriptions.socket

    # --- who is there

    def unheard(self, *, excuses_idle: bool = True) -> list[Unheard]:
        """The known addresses that are not accounted for, with the reason of each. See
        `Neighbours.unheard`."""
        return self.neighbours.unheard(
            {peer.address: self.names.trouble(peer.address) for peer in self.peers},
            excuses_idle=excuses_idle,
        )

    def tell_of_the_unheard(self, inputs: Inputs, *, joins: bool) -> None:
        """Tell the turn whether there are such; of who joins, also those that others who join know
        of, and everybody who may be at a number that seems idle."""
        self._joins = joins
        for address in sorted(self._known_to_others) if joins else ():
            self._dialling.add(address, is_configured=False)
        unheard = self.unheard(excuses_idle=not joins)
        inputs.unheard = bool(unheard)
        is_refused = any(it.is_refused for it in unheard) and not self.neighbours.has_heard
        inputs.refused = is_refused or any(it.is_namesake for it in unheard)
        inputs.known = tuple(self.neighbours.addresses[: gossip.KNOWN_MAX])
        if not joins:
            self._known_to_others.clear()

    def follow(self, recorded: set[str]) -> None:
        """The addresses in the member records are these."""
        self._recorded = recorded
        for address in sorted(recorded):
            self._dialling.add(address, is_configured=False)

    def introduced(self, introduction: Introduction, steady_us: int) -> None:
        """A peer said hello."""
        self._dialling.add(introduction.listen, is_configured=False)
        self.neighbours.introduced(introduction, steady_us)
        for peer in self.neighbours.at(introduction.listen):
            if peer.greeting is None or peer.greeting.instance != introduction.instance:
                self._dialling.ask_again(peer, steady_us)  # it has started, perhaps elsewhere

    def look_for_the_moved(self) -> None:
        """Connect to those whose hosts have other numbers by now, or are known at last."""
        if self._dialling.look_for_the_moved():
            self._follow_gossip()

    # --- sending

    def greet(self, record: Dot | None, steady_us: int) -> None:
        """Say hello to each peer that is due."""
        due_us = self.wake_us()
        if due_us is None or steady_us < due_us:
            return
        self.neighbours.leave_the_silent(steady_us)
        if self._dialling.leave_the_gone(self._recorded | self._known_to_others, steady_us):
            self._follow_gossip()
        self._diagnoses.go_on(self.peers, steady_us, is_urgent=self._joins)
        self._introduction = self._introduction._replace(record=record)
        for peer in self.peers:
            if steady_us < peer.hello_due_us:
                continue
            self._dialling.seek(peer, steady_us)
            is_new_link = self._dialling.renew(
                peer, steady_us
            )  # this hello may be too early for it
            if peer.greeting and peer.gossip_link.is_silent(steady_us, self._heartbeat_us):
                self._subscriptions.renew(peer.greeting.gossip_address)
            heartbeats = HELLO_AGAIN_HEARTBEATS if peer.greeting and not is_new_link else 1
            peer.hello_due_us = steady_us + heartbeats * self._heartbeat_us
            peer.told_record = record
            peer.tried_us = peer.tried_us or steady_us
            self._greet(peer, steady_us)

    def _greet(self, peer: Peer, steady_us: int) -> None:
        operation = hello(self._introduction)
        if peer.greeting is None:
            self._send(peer, _HELLO_ID, operation)
            return
        contact = self.contacts.of(peer.greeting.instance)
        contact.asked(steady_us, is_sent=self._send(peer, _HELLO_ID, operation))

    def wake_us(self) -> int | None:
        """When the next hello is due."""
        return min((peer.hello_due_us for peer in self.peers), default=None)

    def pull(self, pull: Pull | Fetch, steady_us: int) -> bool:
        """Ask a peer for batches or state. False if there is no way to ask it."""
        peers = self.neighbours.named(pull.name)
        if not peers:
            return False
        peer = max(peers, key=lambda peer: peer.answered_us)
        assert peer.greeting is not None
        instance = peer.greeting.instance
        id_, operation = self._pulling.question(pull, instance, steady_us)
        is_asked = self.contacts.ask(instance, id_, operation, steady_us)
        if not is_asked:
            self._pulling.unasked(instance, id_)
        return is_asked

    def report(self, report: Report, steady_us: int) -> None:
        """Tell an origin what is synced of it: each process of its name, for only that origin's
        takes it."""
        dot = Dot(report.origin, report.seq)
        operation = synced(report.name, report.instance, dot, report.check)
        bearing = self.neighbours.bearing(name_of(report.origin))
        for instance in {peer.greeting.instance for peer in bearing if peer.greeting}:
            self.contacts.ask(instance, REPORT_ID, operation, steady_us)

    def close(self) -> None:
        """Close all sockets."""
        self._subscriptions.close()
        self._dialling.close()

    def _send(self, peer: Peer, id_: int, operation: Operation) -> bool:
        if peer.socket is None:
            return False  # nobody knows yet where its host is
        try:
            peer.socket.send(encode_request(id_, self._token, 0, [operation]), zmq.NOBLOCK)
        except zmq.Again:
            LOGGER.debug("no connection to %s", peer.address)
            return False
        return True

    def _send_to(self, instance: int, id_: int, operation: Operation) -> bool:
        """See `SendTo`: to where the process has answered last."""
        ways = [peer for peer in self.neighbours.of(instance) if peer.socket is not None]
        if not ways:
            return False
        return self._send(max(ways, key=lambda peer: peer.answered_us), id_, operation)

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
        if peers[0].greeting.instance != header.instance:  # started again: who is it?
            for peer in peers:
                peer.hello_due_us = min(peer.hello_due_us, steady_us + self._heartbeat_us)
            self.links.receive(header.name, item, inputs)
            return
        self.contacts.of(header.instance).gossip_us = steady_us
        for peer in peers:
            peer.gossip_link.came(steady_us)
        self._heard(peers, item, inputs, steady_us)

    def _heard(
        self, peers: list[Peer], item: Batch | Claim | Dot, inputs: Inputs, steady_us: int
    ) -> None:
        """A peer, at several addresses perhaps, said something by gossip or by a call."""
        for peer in peers:
            peer.heard_us = steady_us
        (first, *_) = peers
        assert first.greeting is not None
        if isinstance(item, Claim):
            if not self.contacts.of(item.instance).takes(item, steady_us):
                return
            for peer in peers:
                peer.claimed_by = item.instance
            if self._joins and len(self._known_to_others) < gossip.KNOWN_MAX:
                self._known_to_others.update(item.known)
        self.links.receive(first.greeting.name, item, inputs)

    # --- calls

    def call(self, claim: Callable[[], Claim | None], steady_us: int) -> None:
        """Call those that want it, once a turn's doings are committed."""
        self.contacts.call(claim, steady_us)

    def called(self, call: Call, inputs: Inputs, steady_us: int) -> None:
        """A peer calls. Raises MalformedError if it is not to be heard, or can't be read."""
        before = self.neighbours.instances
        peers = self.neighbours.called(call.name, call.instance, steady_us)
        if self.neighbours.instances != before:
            self._follow_gossip()
        assert peers[0].greeting is not None
        self.contacts.called(call.instance, hears=call.hears, steady_us=steady_us)
        for message in call.messages:
            if isinstance(message, Asks):
                raise MalformedError("a call asks nothing; ask over the link that it came by")
            if isinstance(message, Answered):
                for peer in peers:
                    peer.heard_us = steady_us
                self._receive_result(peers[0], message.id, message.result, inputs, steady_us)
                continue
            if isinstance(message, Claim):
                message = replace(message, name=peers[0].greeting.name)
            self._heard(peers, message, inputs, steady_us)

    def call_answer(
        self, call: Call, claim: Callable[[], Claim | None], steady_us: int
    ) -> CallAnswer:
        """What to answer, once what the call brought is committed."""
        return self.contacts.call_answer(call.instance, claim, steady_us)

    def answer(self, instance: int, id_: int, result: tuple[Any, ...], steady_us: int) -> None:
        """Answer what was asked in answer to a call."""
        self.contacts.answer(instance, Answered(id_, list(result)), steady_us)

    def take_asked(self) -> list[tuple[int, Asks]]:
        """What was asked in answer to calls, and by which processes."""
        asked, self._asked = self._asked, []
        return asked

    def _receive_call_answer(
        self, peer: Peer, result: list[Any], inputs: Inputs, steady_us: int
    ) -> None:
        if peer.greeting is None:
            return
        name, instance = peer.greeting.name, peer.greeting.instance
        answer = decode_call_answer(result, name, instance)
        self.contacts.wants_calls(instance, wants_calls=answer.wants_calls)
        for message in answer.messages:
            if isinstance(message, Asks):
                self._asked.append((instance, message))
            elif isinstance(message, Claim | Dot):
                self._heard(self.neighbours.of(instance), message, inputs, steady_us)
            else:
                raise MalformedError("an answer to a call answers nothing itself")

    # --- answers

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
        if peer.greeting is not None:
            self.contacts.of(peer.greeting.instance).answered(steady_us)
        if answer.id == CALL_ID and peer.greeting is not None:
            self.contacts.call_answered(peer.greeting.instance)
        if answer.id == REPORT_ID:
            return  # the report was a hint, whatever became of it
        if is_question(answer.id) and result[1:2] != ["wrong_cluster"]:
            assert answer.id is not None
            self._receive_result(peer, answer.id, result, inputs, steady_us)
        elif result[0] != "ok" and answer.id == CALL_ID:
            if result[1:2] != [NOT_YET]:
                self._complaints.add("failed_calls", f"to {peer.place}: {_reason(result)}")
            peer.hello_due_us = steady_us + self._heartbeat_us  # it may not know this node yet
        elif result[0] != "ok":
            # A hello is refused to who bears the name of the one that it greets, and else never.
            is_namesake = answer.id == _HELLO_ID and result[1:2] == ["refused"]
            self._refuse(peer, f"refuses us: {_reason(result)}", is_namesake=is_namesake)
        elif answer.id == CALL_ID:
            self._receive_call_answer(peer, result, inputs, steady_us)
        else:
            greeting = decode_greeting(result)
            self._receive_greeting(peer, greeting, steady_us)
            if peer.greeting and greeting.has_forgotten and peer.told_record is not None:
                inputs.forgotten.append(peer.told_record)
            if greeting.namesake is not None:  # to see whether it lives
                self._dialling.add(greeting.namesake, is_configured=False)

    def _receive_result(
        self, peer: Peer, id_: int, result: list[Any], inputs: Inputs, steady_us: int
    ) -> None:
        """What came of a pull or fetch, as an answer or by a call."""
        if peer.greeting is None or not is_question(id_):
            return
        name, instance = peer.greeting.name, peer.greeting.instance
        came = self._pulling.came(name, instance, id_, result, steady_us)
        if came is None:
            self._complaints.add("failed_pulls", f"from {peer.place}: {_reason(result)}")
            inputs.refusals.append(name)
        else:
            self.links.receive(name, came, inputs)

    def _receive_greeting(self, peer: Peer, greeting: Greeting, steady_us: int) -> None:
        before = peer.greeting
        self.neighbours.greeted(peer, greeting, steady_us)
        if peer.greeting != before:
            self._follow_gossip()
        if peer.greeting is not None:
            contact = self.contacts.of(peer.greeting.instance)
            contact.answered(steady_us)
            self.contacts.wants_calls(peer.greeting.instance, wants_calls=greeting.wants_calls)

    def _refuse(self, peer: Peer, reason: str, *, is_namesake: bool) -> None:
        self.neighbours.refuse(peer, reason, is_namesake=is_namesake)
        self._follow_gossip()

    def _follow_gossip(self) -> None:
        """Hear all that greeted, and remember nothing of others."""
        addresses = self.neighbours.gossip_addresses
        self.names.keep([*self.neighbours.addresses, *addresses])
        self._subscriptions.follow(addresses)
        self.contacts.keep(self.neighbours.instances)
        self._pulling.keep(self.neighbours.instances)


def _reason(result: list[Any]) -> str:
    return told(result[2]) if len(result) > 2 else "no reason given"
