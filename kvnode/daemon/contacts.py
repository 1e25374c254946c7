"""Over which link this node and each other process ask and tell each other, without sockets.

Usually a node hears another one's gossip, and asks it over a link that it opened itself. A firewall
may let neither through, or only one; a node behind NAT can open links, and nobody can open one to
it. So whoever can't hear or can't ask another one *wants to be called* by it, and says so whenever
that one says hello or calls. Who is wanted calls at each heartbeat, and at once when it has written
something: a call brings what gossip would have brought, and its answer brings what the other would
have asked, or told, over a link of its own. What was asked so is answered by another call. Where
gossip and links work, nobody calls.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Protocol

from kvnode.codec.calls import Answered, Asks, CallAnswer, Message, call
from kvnode.codec.client import Operation
from kvnode.core.messages import Claim
from kvnode.core.repair import ALIVE_HEARTBEATS, TIMEOUT_HEARTBEATS
from kvnode.core.vector import Dot

#: The id of a call, which tells its answer from those to other operations over the same link.
CALL_ID: Final = 5

#: The id of a report, which is asked for nothing, and only the latest of which counts.
REPORT_ID: Final = 3


class SendTo(Protocol):
    """Sends an operation over a link that this node opened to a process; whether that was
    possible."""

    def __call__(self, instance: int, id_: int, operation: Operation) -> bool: ...


@dataclass(slots=True)
class Contact:
    """What passes between this node and one other process. All times are by the steady clock."""

    heartbeat_us: int
    #: When its gossip last came.
    gossip_us: int | None = None
    #: When it last answered over this node's own link, as far as that is there; and since when it
    #: owes an answer.
    answered_us: int | None = None
    owed_us: int | None = None
    #: Since when a call is not answered; and whether there is something to be told by one.
    called_us: int | None = None
    is_due: bool = False
    #: A write of this node's that somebody waits for, to be told with the next claim.
    awaited: Dot | None = None
    #: When it last called, and whether it did not hear this node's gossip then.
    visited_us: int | None = None
    is_deaf: bool = False
    #: What it is to be asked, and to be told is synced, when it calls.
    question: Asks | None = None
    report: Asks | None = None
    #: The number of its latest claim, and when that came.
    number: int = -1
    claimed_us: int = 0

    def hears(self, steady_us: int) -> bool:
        """Whether its gossip comes here."""
        return _is_recent(self.gossip_us, steady_us, ALIVE_HEARTBEATS * self.heartbeat_us)

    def is_open(self, steady_us: int) -> bool:
        """Whether it answers over this node's own link."""
        if self.answered_us is None:
            return False
        patience_us = TIMEOUT_HEARTBEATS * self.heartbeat_us
        return self.owed_us is None or _is_recent(self.owed_us, steady_us, patience_us)

    def visits(self, steady_us: int) -> bool:
        """Whether it calls."""
        return _is_recent(self.visited_us, steady_us, ALIVE_HEARTBEATS * self.heartbeat_us)

    def is_wanted(self, steady_us: int) -> bool:
        """Whether it has to call: else it is not heard, or can't be asked."""
        return not self.hears(steady_us) or not self.is_open(steady_us)

    def asked(self, steady_us: int, *, is_sent: bool) -> None:
        """It was asked over this node's own link, or there was no connection for that."""
        if not is_sent:
            self.answered_us = None
        elif self.owed_us is None:
            self.owed_us = steady_us

    def answered(self, steady_us: int) -> None:
        """Something came over this node's own link."""
        self.answered_us, self.owed_us = steady_us, None

    def takes(self, claim: Claim, steady_us: int) -> bool:
        """Whether a claim is news. One that is behind came late, by the slower of two ways; but if
        nothing else has come for long, its process has begun to count anew."""
        has_waited_us = steady_us - self.claimed_us
        if claim.number < self.number and has_waited_us < ALIVE_HEARTBEATS * self.heartbeat_us:
            return False
        self.number, self.claimed_us = claim.number, steady_us
        return True


class Contacts:
    """All other processes that this node knows, by their instances."""

    def __init__(self, name: str, instance: int, send: SendTo, *, heartbeat_us: int) -> None:
        self._name = name
        self._instance = instance
        self._send = send
        self._heartbeat_us = heartbeat_us
        self._contacts: dict[int, Contact] = {}
        #: Those of them that want to be called: usually none.
        self._wanting: dict[int, Contact] = {}

    def of(self, instance: int) -> Contact:
        """With this process."""
        if instance not in self._contacts:
            self._contacts[instance] = Contact(self._heartbeat_us)
        return self._contacts[instance]

    def is_wanted(self, instance: int, steady_us: int) -> bool:
        """Whether this process, which may not be known yet, has to call."""
        contact = self._contacts.get(instance)
        return contact is None or contact.is_wanted(steady_us)

    def keep(self, instances: Collection[int]) -> None:
        """Forget all others."""
        self._contacts = {it: each for it, each in self._contacts.items() if it in instances}
        self._wanting = {it: each for it, each in self._wanting.items() if it in instances}

    # --- over this node's own links

    def ask(self, instance: int, id_: int, operation: Operation, steady_us: int) -> bool:
        """Ask a process: when it calls, if that is the only way. False if there is no way."""
        contact = self.of(instance)
        if not contact.is_open(steady_us) and contact.visits(steady_us):
            asks = Asks(id_, operation)
            if id_ == REPORT_ID:
                contact.report = asks
            else:
                contact.question = asks
            return True
        return self.send(instance, id_, operation, steady_us)

    def send(self, instance: int, id_: int, operation: Operation, steady_us: int) -> bool:
        """Ask over this node's own link, whether that is known to work or not."""
        is_sent = self._send(instance, id_, operation)
        self.of(instance).asked(steady_us, is_sent=is_sent)
        return is_sent

    # --- calling

    def tell(self) -> None:
        """There is something new to be claimed."""
        for contact in self._wanting.values():
            contact.is_due = True

    def await_write(self, dot: Dot, steady_us: int) -> None:
        """Somebody waits for others to have this write of this node's."""
        for contact in self._contacts.values():
            if contact.is_deaf and contact.visits(steady_us):
                contact.awaited = dot
        for contact in self._wanting.values():
            contact.awaited, contact.is_due = dot, True

    def call(self, claim: Callable[[], Claim | None], steady_us: int) -> None:
        """Call those that want it, if they have answered the call before."""
        patience_us = TIMEOUT_HEARTBEATS * self._heartbeat_us
        told: Claim | None = None
        for instance, contact in self._wanting.items():
            is_busy = _is_recent(contact.called_us, steady_us, patience_us)
            if not contact.is_due or is_busy:
                continue
            told = told or claim()
            if told is None:
                return
            messages: list[Message] = [told]
            if contact.awaited is not None:
                messages.append(contact.awaited)
            contact.is_due = False
            if self._call(instance, messages, steady_us):
                contact.awaited, contact.called_us = None, steady_us
            # else nobody can answer it: the next heartbeat calls again

    def answer(self, instance: int, answered: Answered, steady_us: int) -> None:
        """Tell a process what came of what it asked in answer to a call."""
        self._call(instance, [answered], steady_us)

    def wants_calls(self, instance: int, *, wants_calls: bool) -> None:
        """A process says whether it wants to be called."""
        contact = self.of(instance)
        if not wants_calls:
            self._wanting.pop(instance, None)
        elif instance not in self._wanting:
            self._wanting[instance] = contact
            contact.is_due = True

    def call_answered(self, instance: int) -> None:
        """A call was answered, whatever the answer."""
        self.of(instance).called_us = None

    def _call(self, instance: int, messages: list[Message], steady_us: int) -> bool:
        hears = self.of(instance).hears(steady_us)
        operation = call(self._name, self._instance, hears=hears, messages=messages)
        return self.send(instance, CALL_ID, operation, steady_us)

    # --- being called

    def called(self, instance: int, *, hears: bool, steady_us: int) -> None:
        """A process called that hears this node's gossip, or does not."""
        contact = self.of(instance)
        contact.visited_us, contact.is_deaf = steady_us, not hears

    def call_answer(
        self, instance: int, claim: Callable[[], Claim | None], steady_us: int
    ) -> CallAnswer:
        """What to answer to a call: what the process is to be asked and told over no other way."""
        contact = self.of(instance)
        messages: list[Message] = []
        if contact.is_deaf and not contact.is_open(steady_us):
            told = claim()
            messages += [it for it in (told, contact.awaited) if it is not None]
            contact.awaited = None
        messages += [it for it in (contact.question, contact.report) if it is not None]
        contact.question = contact.report = None
        return CallAnswer(contact.is_wanted(steady_us), tuple(messages))


def _is_recent(at_us: int | None, steady_us: int, within_us: int) -> bool:
    return at_us is not None and steady_us - at_us < within_us
