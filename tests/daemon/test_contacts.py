"""Over which link a process is asked and told: who is called, when, and with what."""

from __future__ import annotations

import pytest

from kvnode.codec.calls import Answered, Asks, CallAnswer, decode_messages
from kvnode.codec.client import Operation
from kvnode.core.messages import Claim
from kvnode.core.repair import ALIVE_HEARTBEATS, TIMEOUT_HEARTBEATS
from kvnode.core.vector import Dot
from kvnode.daemon.contacts import CALL_ID, REPORT_ID, Contacts

HEARTBEAT_US = 100
SILENT_US = ALIVE_HEARTBEATS * HEARTBEAT_US
TIMEOUT_US = TIMEOUT_HEARTBEATS * HEARTBEAT_US
CLAIM = Claim("X", 1, {}, {}, 0, {}, 0, 5)
DOT = Dot("X~0000000000000000", 3)
PULL: Operation = ["since", {}, 1]


class Contact:
    """Process 2, as process 1 knows it, and what was sent to it."""

    def __init__(self) -> None:
        self.all = Contacts("X", 1, self._send, heartbeat_us=HEARTBEAT_US)
        self.it = self.all.of(2)
        self.can_send = True
        self.sent: list[tuple[int, Operation]] = []

    def _send(self, instance: int, id_: int, operation: Operation) -> bool:
        assert instance == 2
        if self.can_send:
            self.sent.append((id_, operation))
        return self.can_send

    def take(self) -> list[tuple[int, Operation]]:
        """What was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent

    def call(self, steady_us: int) -> list[Operation]:
        """The end of a turn; the calls that it makes."""
        self.all.call(lambda: CLAIM, steady_us)
        return [operation for id_, operation in self.take() if id_ == CALL_ID]

    def called(self, *, hears: bool, steady_us: int) -> CallAnswer:
        """It calls; what it is answered."""
        self.all.called(2, hears=hears, steady_us=steady_us)
        return self.all.call_answer(2, lambda: CLAIM, steady_us)


@pytest.fixture
def contact() -> Contact:
    return Contact()


def said(operation: Operation) -> tuple[bool, list[object]]:
    """Whether the caller says that it hears, and its messages."""
    _, name, instance, hears, messages = operation
    return hears, list(decode_messages(messages, name, instance))


# --- who is wanted


def test_who_is_heard_and_answers_need_not_call(contact: Contact) -> None:
    assert contact.it.is_wanted(0)
    contact.it.gossip_us = 10
    assert contact.it.is_wanted(10), "it can't be asked"
    contact.it.answered(10)
    assert not contact.it.is_wanted(10)
    assert contact.it.is_wanted(10 + SILENT_US), "its gossip does not come any more"


def test_who_does_not_answer_in_time_is_wanted(contact: Contact) -> None:
    contact.it.gossip_us = 10
    contact.it.answered(10)
    contact.all.send(2, 1, PULL, 20)
    assert contact.it.is_open(19 + TIMEOUT_US)
    assert not contact.it.is_open(20 + TIMEOUT_US)
    contact.it.answered(30)
    assert contact.it.is_open(20 + TIMEOUT_US)


def test_a_link_without_a_connection_is_not_open(contact: Contact) -> None:
    contact.it.answered(10)
    contact.can_send = False
    contact.all.send(2, 1, PULL, 20)
    assert not contact.it.is_open(20)


def test_who_is_not_known_yet_is_wanted(contact: Contact) -> None:
    assert contact.all.is_wanted(9, 0)


# --- calling


def test_nobody_is_called_who_does_not_want_it(contact: Contact) -> None:
    contact.all.tell()
    contact.all.await_write(DOT, 0)
    assert contact.call(0) == []


def test_who_wants_it_is_called_at_once_and_whenever_there_is_news(contact: Contact) -> None:
    contact.all.wants_calls(2, wants_calls=True)
    (call,) = contact.call(0)
    assert said(call) == (False, [CLAIM])
    contact.all.call_answered(2)
    assert contact.call(1) == []
    contact.it.gossip_us = 1
    contact.all.tell()
    (call,) = contact.call(2)
    assert said(call) == (True, [CLAIM])


def test_a_call_waits_for_the_answer_to_the_one_before_but_not_for_ever(contact: Contact) -> None:
    contact.all.wants_calls(2, wants_calls=True)
    assert contact.call(0)
    contact.all.tell()
    assert contact.call(1) == []
    assert contact.call(TIMEOUT_US)
    contact.all.tell()
    contact.all.call_answered(2)
    assert contact.call(TIMEOUT_US + 1)


def test_a_call_that_did_not_leave_is_made_up_for_at_the_next_news(contact: Contact) -> None:
    """And not only when it could have been answered."""
    contact.all.wants_calls(2, wants_calls=True)
    contact.all.await_write(DOT, 0)
    contact.can_send = False
    assert contact.call(0) == []
    contact.can_send = True
    assert contact.call(1) == []
    contact.all.tell()
    (call,) = contact.call(2)
    assert said(call)[1] == [CLAIM, DOT]


def test_a_call_tells_of_the_latest_write_that_is_awaited_once(contact: Contact) -> None:
    contact.all.wants_calls(2, wants_calls=True)
    contact.all.await_write(DOT, 0)
    later = DOT._replace(seq=4)
    contact.all.await_write(later, 0)
    (call,) = contact.call(0)
    assert said(call)[1] == [CLAIM, later]
    contact.all.tell()
    contact.all.call_answered(2)
    (call,) = contact.call(1)
    assert said(call)[1] == [CLAIM]


def test_who_wants_it_no_more_is_called_no_more(contact: Contact) -> None:
    contact.all.wants_calls(2, wants_calls=True)
    contact.all.wants_calls(2, wants_calls=False)
    assert contact.call(0) == []


def test_while_the_disk_does_not_answer_nobody_is_called(contact: Contact) -> None:
    contact.all.wants_calls(2, wants_calls=True)
    contact.all.call(lambda: None, 0)
    assert contact.take() == []
    assert contact.call(1)


def test_what_came_of_a_question_is_told_by_a_call_at_once(contact: Contact) -> None:
    contact.all.answer(2, Answered(1, ["ok", []]), 0)
    ((id_, call),) = contact.take()
    assert id_ == CALL_ID
    assert said(call) == (False, [Answered(1, ["ok", []])])


# --- being called


def test_who_answers_over_the_own_link_is_asked_over_that(contact: Contact) -> None:
    contact.it.answered(0)
    contact.all.called(2, hears=False, steady_us=0)
    contact.all.ask(2, 1, PULL, 0)
    assert contact.take() == [(1, PULL)]
    assert contact.all.call_answer(2, lambda: CLAIM, 0).messages == ()


def test_who_can_only_call_is_asked_and_told_in_the_answer_once(contact: Contact) -> None:
    contact.called(hears=False, steady_us=0)
    contact.all.ask(2, 1, ["snapshot", None, b""], 1)
    contact.all.ask(2, 1, PULL, 1)
    contact.all.ask(2, REPORT_ID, ["synced"], 1)
    contact.all.await_write(DOT, 1)
    assert contact.take() == []
    answer = contact.called(hears=False, steady_us=2)
    asked = (Asks(1, PULL), Asks(REPORT_ID, ["synced"]))
    assert answer == CallAnswer(True, (CLAIM, DOT, *asked))
    assert contact.called(hears=False, steady_us=3).messages == (CLAIM,)


def test_who_hears_the_gossip_is_not_told_what_that_brings(contact: Contact) -> None:
    contact.called(hears=True, steady_us=0)
    contact.all.await_write(DOT, 0)
    assert contact.called(hears=True, steady_us=1).messages == ()


def test_who_calls_no_more_is_asked_over_the_own_link(contact: Contact) -> None:
    contact.called(hears=False, steady_us=0)
    contact.all.ask(2, 1, PULL, SILENT_US)
    assert contact.take() == [(1, PULL)]


# --- whether there is a way to ask


def test_over_a_link_it_is_told_whether_a_question_left(contact: Contact) -> None:
    contact.it.answered(0)
    assert contact.all.ask(2, 1, PULL, 0) is True
    assert contact.all.send(2, 1, PULL, 0) is True
    contact.can_send = False
    assert contact.all.send(2, 1, PULL, 1) is False
    assert contact.all.ask(2, 1, PULL, 1) is False


def test_there_is_a_way_as_long_as_the_process_calls(contact: Contact) -> None:
    contact.can_send = False
    assert contact.all.ask(2, 1, PULL, 0) is False
    contact.called(hears=False, steady_us=0)
    for id_ in (1, REPORT_ID):
        assert contact.all.ask(2, id_, PULL, SILENT_US - 1) is True
    assert contact.all.ask(2, 1, PULL, SILENT_US) is False


# --- claims that come by two ways


def test_a_claim_that_comes_late_is_no_news(contact: Contact) -> None:
    def takes(number: int, steady_us: int) -> bool:
        return contact.it.takes(Claim("Y", 2, {}, {}, 0, {}, 0, number), steady_us)

    assert takes(3, 1_000)
    assert not takes(2, 1_001)
    assert takes(3, 1_002)
    assert takes(7, 1_003)
    assert not takes(6, 1_002 + SILENT_US)
    assert takes(1, 1_003 + SILENT_US), "the process counts anew: its machine went back in time"
    assert takes(2, 1_004 + SILENT_US)


def test_who_is_gone_is_forgotten(contact: Contact) -> None:
    contact.all.of(3)
    contact.all.keep({3})
    assert contact.all.of(2) is not contact.it
