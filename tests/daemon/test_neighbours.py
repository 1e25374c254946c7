"""Who answers where: one process by each name, and a second one of a name by its address too."""

from __future__ import annotations

import logging

import pytest

from kvnode.codec.client import Greeting, Introduction
from kvnode.core.repair import ALIVE_HEARTBEATS
from kvnode.daemon.logs import LOGGER
from kvnode.daemon.neighbours import (
    CALLER_HEARTBEATS,
    CALLERS_MAX,
    INTRODUCTIONS_MAX,
    RIVAL_HEARTBEATS,
    Neighbours,
    NotYet,
)
from kvnode.daemon.peer import Peer
from kvnode.errors import MalformedError
from kvnode.transport.diagnosis import NOBODY_LISTENS

HEARTBEAT_US = 100
SELF = Introduction("c", "X", 1, "tcp://x:1", "tcp://x:2", None)
Y = Greeting("c", "Y", 2, "tcp://y:2", False, None, False)
OTHER_Y = Y._replace(instance=3, gossip_address="tcp://z:2")


@pytest.fixture
def neighbours():
    neighbours = Neighbours(SELF, heartbeat_us=HEARTBEAT_US)
    for address in ("tcp://y:1", "tcp://z:1"):
        neighbours.add(Peer(address, is_configured=True))
    return neighbours


def names(neighbours):
    """Who is at each address."""
    return [peer.greeting and peer.greeting.name for peer in neighbours.peers]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Y._replace(instance=1), "is this node itself"),
        (Y._replace(cluster="d"), "is of cluster 'd', this node of 'c'"),
        (Y._replace(name="X"), "bears this node's name 'X'; two live nodes must not"),
        (Y._replace(gossip_address="tcp://*:2"), "gossips at 'tcp://*:2', which is no address"),
        (Y._replace(gossip_address="nowhere"), "gossips at 'nowhere', which is no address"),
    ],
)
def test_whom_a_node_can_not_take_for_a_peer_is_refused(neighbours, answer, reason):
    peer, _ = neighbours.peers
    neighbours.greeted(peer, Y, 0)
    neighbours.greeted(peer, answer, 0)
    assert peer.greeting is None
    assert peer.refusal == reason


def test_a_sound_answer_ends_a_refusal(neighbours):
    peer, _ = neighbours.peers
    neighbours.refuse(peer, "for a test")
    neighbours.greeted(peer, Y, 0)
    assert (peer.greeting, peer.refusal) == (Y, None)


def test_a_process_may_answer_at_two_addresses(neighbours):
    for peer in neighbours.peers:
        neighbours.greeted(peer, Y, 0)
    assert names(neighbours) == ["Y", "Y"]
    assert neighbours.named("Y") == neighbours.peers


def test_of_two_processes_of_a_name_the_later_takes_it_if_the_first_is_silent(neighbours):
    first, second = neighbours.peers
    neighbours.greeted(first, Y, 0)
    neighbours.greeted(second, OTHER_Y, 1_000)
    assert names(neighbours) == ["Y", None]
    assert first.hello_due_us == second.hello_due_us == 1_000
    neighbours.greeted(second, OTHER_Y, 1_000 + RIVAL_HEARTBEATS * HEARTBEAT_US)
    assert names(neighbours) == [None, "Y"]


def test_of_two_processes_of_a_name_that_live_the_later_is_heard_under_its_address(neighbours):
    first, second = neighbours.peers
    neighbours.greeted(first, Y, 0)
    neighbours.greeted(second, OTHER_Y, 1_000)
    first.heard_us = 1_001
    neighbours.greeted(second, OTHER_Y, 1_002)
    assert names(neighbours) == ["Y", "Y at tcp://z:1"]
    assert "two live nodes must not" in second.refusal
    assert neighbours.speaking("Y", 2) == [first]
    assert neighbours.speaking("Y", 3) == [second]
    assert neighbours.speaking("Y", 4) == [first]  # started again, perhaps
    assert neighbours.bearing("Y") == [first, second]


def test_a_namesake_is_one_that_lives_at_another_address(neighbours):
    first, _ = neighbours.peers
    neighbours.greeted(first, Y, 0)
    first.heard_us = 1
    greeter = Introduction("c", "Y", 3, "tcp://z:1", "tcp://z:2", None)
    assert neighbours.namesake(greeter, 2) == first.address
    assert neighbours.namesake(greeter._replace(listen=first.address), 2) is None
    assert neighbours.namesake(greeter._replace(instance=2), 2) is None
    assert neighbours.namesake(greeter, 1 + ALIVE_HEARTBEATS * HEARTBEAT_US) is None


# --- which known addresses are not accounted for

LOOKED_UP = {"tcp://y:1": "no such host", "tcp://z:1": "no such host"}


def unheard(neighbours):
    """By address: why it is not accounted for."""
    return {it.address: it.reason for it in neighbours.unheard(LOOKED_UP)}


def heard(peer, greeting):
    """The process there has said what it has."""
    peer.claimed_by = greeting.instance


def test_an_address_is_accounted_for_once_its_process_has_said_what_it_has(neighbours):
    first, second = neighbours.peers
    neighbours.remove(first)
    first.reached = first.address
    neighbours.add(first)
    assert unheard(neighbours) == {
        "tcp://y:1": "never answered",
        "tcp://z:1": "host unknown: no such host",
    }
    for peer in (first, second):
        neighbours.greeted(peer, Y, 0)
    told = "answered, but has not said what it has"
    assert unheard(neighbours) == {"tcp://y:1": told, "tcp://z:1": told}
    heard(first, Y)
    assert unheard(neighbours) == {}, "both lead to one process"


def test_another_process_at_an_address_has_to_be_heard_anew(neighbours):
    first, second = neighbours.peers
    for peer in (first, second):
        neighbours.greeted(peer, Y, 0)
    heard(first, Y)
    neighbours.greeted(first, Y._replace(name="Z", instance=9), 0)
    assert unheard(neighbours).keys() == {first.address, second.address}


def test_a_refused_address_is_told_with_its_reason(neighbours):
    first, second = neighbours.peers
    neighbours.greeted(first, Y._replace(cluster="d"), 0)
    neighbours.greeted(second, Y._replace(instance=SELF.instance), 0)
    refused, itself = neighbours.unheard(LOOKED_UP)
    assert refused.reason == "refused: is of cluster 'd', this node of 'c'"
    assert itself.reason == "leads to this node itself"
    assert (refused.is_refused, itself.is_refused) == (True, False)
    neighbours.refuse(first, "refuses us: 'I am full'")
    assert neighbours.unheard(LOOKED_UP)[0].reason == "refuses us: 'I am full'"


# --- the numbers of one name


@pytest.fixture
def numbers():
    """A name with three of them."""
    neighbours = Neighbours(SELF, heartbeat_us=HEARTBEAT_US)
    for number in ("tcp://10.0.0.1:1", "tcp://10.0.0.2:1", "tcp://[fd00::2]:1"):
        neighbours.add(Peer("tcp://all:1", is_configured=True, reached=number))
    return neighbours


def test_a_number_that_leads_to_the_node_itself_is_no_matter_once_another_one_is_heard(numbers):
    itself, other, _ = numbers.peers
    itself.answered_us = other.answered_us = 1
    numbers.greeted(itself, Y._replace(instance=SELF.instance), 0)
    reasons = [it.reason for it in numbers.unheard(LOOKED_UP)]
    assert reasons == ["leads to this node itself", "never answered", "never answered"]
    numbers.greeted(other, Y, 0)
    heard(other, Y)
    assert numbers.unheard(LOOKED_UP) == []


def test_a_number_where_nobody_answers_matters_though_another_one_is_heard(numbers):
    first, other, _ = numbers.peers
    other.answered_us = 1
    numbers.greeted(other, Y, 0)
    heard(other, Y)
    (unheard,) = numbers.unheard(LOOKED_UP)
    assert unheard == ("tcp://all:1 (tcp://10.0.0.1:1)", "never answered", False, False)
    assert not numbers.is_idle_number(first)


def test_a_family_where_no_number_answers_is_no_matter_once_the_other_one_does(numbers):
    *_, number_6 = numbers.peers
    number_6.answered_us = 1
    numbers.greeted(number_6, Y, 0)
    heard(number_6, Y)
    assert numbers.unheard(LOOKED_UP) == []


def test_who_joins_excuses_a_silent_family_only_if_surely_nobody_is_there(numbers):
    """A node there may be stopped, and have what this one lacks."""
    *others, number_6 = numbers.peers
    for other in others:
        other.answered_us = 1
        numbers.greeted(other, Y, 0)
        heard(other, Y)
    assert numbers.unheard(LOOKED_UP) == []
    (unheard,) = numbers.unheard(LOOKED_UP, excuses_idle=False)
    assert unheard.address == number_6.place
    number_6.trouble = NOBODY_LISTENS
    assert numbers.unheard(LOOKED_UP, excuses_idle=False) == []


def test_where_this_node_listens_itself_nobody_else_is_to_be_heard():
    here = "tcp://10.0.0.1:1"
    neighbours = Neighbours(SELF, heartbeat_us=HEARTBEAT_US, is_own=lambda address: address == here)
    for number in (here, "tcp://10.0.0.2:1"):
        neighbours.add(Peer(number, is_configured=True, reached=number))
        for peer in neighbours.at(number):
            neighbours.greeted(peer, Y._replace(instance=SELF.instance), 0)
    (balancer,) = neighbours.unheard(LOOKED_UP)
    assert balancer == ("tcp://10.0.0.2:1", "leads to this node itself", False, False)


def test_who_bears_the_name_of_this_node_is_told_apart(neighbours):
    first, second = neighbours.peers
    neighbours.greeted(first, Y._replace(name=SELF.name), 0)
    neighbours.greeted(second, Y._replace(cluster="d"), 0)
    assert [it.is_namesake for it in neighbours.unheard(LOOKED_UP)] == [True, False]


def test_an_address_that_leads_to_the_node_itself_is_tried_ever_more_seldom(neighbours):
    peer, _ = neighbours.peers
    pauses = []
    for _ in range(10):
        neighbours.greeted(peer, Y._replace(instance=SELF.instance), 1_000)
        assert peer.is_detour
        pauses.append((peer.hello_due_us - 1_000) // HEARTBEAT_US)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 64, 64, 64]
    neighbours.greeted(peer, Y, 0)
    neighbours.greeted(peer, Y._replace(instance=SELF.instance), 1_000)
    assert peer.hello_due_us == 1_000 + HEARTBEAT_US


# --- who calls


INTRODUCED = Introduction("c", "Z", 7, "tcp://z.private:1", "tcp://z.private:2", None)


def test_who_calls_must_have_said_hello_under_its_name(neighbours):
    with pytest.raises(NotYet, match="'Z' has not said hello to this node"):
        neighbours.called("Z", 7, 0)
    neighbours.introduced(INTRODUCED, 0)
    for name, instance in (("Z", 8), ("W", 7)):
        with pytest.raises(NotYet, match="has not said hello"):
            neighbours.called(name, instance, 0)


def test_who_calls_and_answers_at_no_address_is_a_peer_all_the_same(neighbours):
    neighbours.introduced(INTRODUCED, 0)
    (caller,) = neighbours.called("Z", 7, 1)
    assert (caller.address, caller.greeting.name) == (INTRODUCED.listen, "Z")
    assert neighbours.called("Z", 7, 2) == [caller]
    assert neighbours.named("Z") == neighbours.speaking("Z", 7) == neighbours.of(7) == [caller]
    assert caller not in neighbours.peers


def test_who_calls_and_is_known_at_an_address_is_that_peer(neighbours):
    first, _ = neighbours.peers
    neighbours.greeted(first, Y, 0)
    assert neighbours.called("Y", 2, 0) == [first]
    assert neighbours.callers == []


def test_the_log_names_a_process_once_that_has_called_and_is_reached_then(
    neighbours, caplog, monkeypatch
):
    monkeypatch.setattr(LOGGER, "propagate", True)
    caplog.set_level(logging.INFO, LOGGER.name)
    first, second = neighbours.peers
    told = INTRODUCED._replace(listen=first.address, gossip=Y.gossip_address)
    neighbours.introduced(told, 0)
    neighbours.called("Z", 7, 1)
    neighbours.greeted(first, Y._replace(name="Z", instance=7), 2)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"peer Z at {first.address}, gossip at ")
    neighbours.greeted(second, Y._replace(name="Z", instance=7), 3)
    assert len(caplog.records) == 2, "another address is news"
    neighbours.greeted(first, Y._replace(name="Z", instance=8), 4)
    neighbours.greeted(first, Y._replace(name="Z", instance=8), 4 + RIVAL_HEARTBEATS * HEARTBEAT_US)
    assert len(caplog.records) == 3, "as is another process"
    moved = Y._replace(name="Z", instance=8, gossip_address="tcp://elsewhere:2")
    neighbours.greeted(first, moved, 5 + RIVAL_HEARTBEATS * HEARTBEAT_US)
    assert len(caplog.records) == 4, "and another place where it gossips"


def test_a_caller_that_answers_at_an_address_at_last_is_only_that(neighbours):
    first, _ = neighbours.peers
    neighbours.introduced(INTRODUCED, 0)
    neighbours.called("Z", 7, 1)
    neighbours.greeted(first, Y._replace(name="Z", instance=7), 2)
    assert neighbours.callers == []
    assert neighbours.named("Z") == [first]


def test_a_caller_of_this_nodes_name_or_of_another_cluster_is_not_heard(neighbours):
    for number, changes in enumerate(({"name": "X"}, {"cluster": "d"}), 7):
        introduction = INTRODUCED._replace(instance=number, **changes)
        neighbours.introduced(introduction, 0)
        with pytest.raises(MalformedError, match="is not heard: "):
            neighbours.called(introduction.name, number, 1)
        assert neighbours.of(number) == []


def test_a_caller_whose_name_another_one_bears_waits_until_that_is_silent(neighbours):
    first, _ = neighbours.peers
    neighbours.greeted(first, Y, 0)
    neighbours.introduced(INTRODUCED._replace(name="Y"), 1_000)
    with pytest.raises(NotYet, match="another process bears its name"):
        neighbours.called("Y", 7, 1_000)
    (caller,) = neighbours.called("Y", 7, 1_000 + RIVAL_HEARTBEATS * HEARTBEAT_US)
    assert neighbours.named("Y") == [caller]


def test_a_caller_whose_name_another_one_bears_that_lives_is_a_second_one(neighbours):
    first, _ = neighbours.peers
    neighbours.greeted(first, Y, 0)
    neighbours.introduced(INTRODUCED._replace(name="Y"), 1_000)
    with pytest.raises(NotYet):
        neighbours.called("Y", 7, 1_000)
    first.heard_us = 1_001
    (caller,) = neighbours.called("Y", 7, 1_002)
    assert caller.greeting.name == f"Y at {INTRODUCED.listen}"
    assert neighbours.called("Y", 7, 1_003) == [caller]


def test_a_caller_that_is_silent_for_long_is_forgotten(neighbours):
    neighbours.introduced(INTRODUCED, 0)
    neighbours.called("Z", 7, 1)
    neighbours.leave_the_silent(CALLER_HEARTBEATS * HEARTBEAT_US)
    assert neighbours.named("Z")
    neighbours.leave_the_silent(CALLER_HEARTBEATS * HEARTBEAT_US + 1)
    assert neighbours.named("Z") == []


def test_only_so_many_hellos_are_remembered(neighbours):
    for instance in range(10, 11 + INTRODUCTIONS_MAX):
        neighbours.introduced(INTRODUCED._replace(instance=instance), 0)
    with pytest.raises(MalformedError, match="has not said hello"):
        neighbours.called("Z", 10, 0)
    assert neighbours.called("Z", 11, 0)


def test_only_so_many_call(neighbours):
    for number in range(CALLERS_MAX + 1):
        name, instance = f"C{number}", 100 + number
        neighbours.introduced(INTRODUCED._replace(name=name, instance=instance), 0)
        if number < CALLERS_MAX:
            neighbours.called(name, instance, 0)
    with pytest.raises(MalformedError, match="128 others call already"):
        neighbours.called(name, instance, 0)
    assert neighbours.called("C0", 100, 1), "who calls already goes on"


def test_an_address_is_accounted_for_if_who_said_hello_from_there_is_heard_by_calls(neighbours):
    first, second = neighbours.peers
    neighbours.introduced(INTRODUCED._replace(listen=second.address), 0)
    (caller,) = neighbours.called("Z", 7, 1)
    assert unheard(neighbours).keys() == {first.address, second.address}
    caller.claimed_by = 7
    assert unheard(neighbours).keys() == {first.address}
