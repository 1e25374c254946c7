"""Links from peers pass, hold or drop what comes, each by itself."""

from __future__ import annotations

import pytest

from kvnode.codec.server import DROP, GOSSIP, HOLD, PASS, REPAIR, Fault
from kvnode.core.batch import Batch
from kvnode.core.messages import Claim, Inputs, Progress, Pulled, Report
from kvnode.core.vector import Dot
from kvnode.daemon import links as links_module
from kvnode.daemon.links import Links

BATCH = Batch("X~" + "0" * 16, 1, {}, 1, (), b"")
CLAIM = Claim("X", 1, {}, {}, 0, {}, 0)
PULLED = Pulled("X", (BATCH,))


def heard(peer="X", **items):
    """What comes in, which is a sign of life."""
    return Inputs(heard={peer}, **items)


def received(links, *items, peer="X"):
    inputs = Inputs()
    for item in items:
        links.receive(peer, item, inputs)
    return inputs


def set_links(links, *faults):
    inputs = Inputs()
    for fault in faults:
        links.set(Fault(*fault), inputs)
    return inputs


def test_all_passes_where_nothing_is_said():
    inputs = received(Links(), BATCH, CLAIM, PULLED)
    assert inputs == heard(batches=[BATCH], claims=[CLAIM], pulled=[PULLED])


def test_a_piece_is_repair_and_a_report_no_sign_of_life():
    links = Links()
    progress = Progress("X", is_news=True)
    assert received(links, progress) == heard(progress=[progress])
    set_links(links, ("X", REPAIR, DROP))
    assert received(links, progress) == Inputs()
    report = Report("X", 1, BATCH.origin, 1, b"some")
    assert received(links, report) == Inputs(reports=[report])


@pytest.mark.parametrize("action", [HOLD, DROP])
def test_gossip_and_repair_are_stopped_one_by_one(action):
    links = Links()
    set_links(links, ("X", GOSSIP, action))
    assert received(links, BATCH, CLAIM, PULLED) == heard(pulled=[PULLED])
    set_links(links, ("X", GOSSIP, PASS), ("X", REPAIR, action))
    assert received(links, BATCH, CLAIM, PULLED) == heard(batches=[BATCH], claims=[CLAIM])


def test_what_a_peer_asks_for_and_reports_goes_the_way_of_its_gossip():
    hints = [Dot(BATCH.origin, 1), Report("X", 1, BATCH.origin, 1, b"some")]
    links = Links()
    set_links(links, ("X", GOSSIP, HOLD))
    assert received(links, *hints) == Inputs()
    passed = set_links(links, ("X", GOSSIP, PASS))
    assert passed == heard(awaited=hints[:1], reports=hints[1:])


@pytest.mark.parametrize("action", [HOLD, DROP])
def test_other_peers_are_heard_all_the_same(action):
    links = Links()
    set_links(links, ("X", GOSSIP, action))
    assert received(links, BATCH, peer="Y") == heard("Y", batches=[BATCH])


def test_what_was_held_comes_in_its_order_when_the_link_passes_again():
    links = Links()
    set_links(links, ("X", GOSSIP, HOLD))
    claims = [Claim("X", 1, {}, {}, number, {}, 0) for number in range(5)]
    assert received(links, *claims) == Inputs()
    assert set_links(links, ("X", GOSSIP, PASS)) == heard(claims=claims)
    assert set_links(links, ("X", GOSSIP, PASS)) == Inputs(), "once"
    assert received(links, CLAIM) == heard(claims=[CLAIM])


def test_holding_twice_keeps_what_was_held():
    links = Links()
    set_links(links, ("X", REPAIR, HOLD))
    received(links, PULLED)
    set_links(links, ("X", REPAIR, HOLD))
    assert set_links(links, ("X", REPAIR, PASS)) == heard(pulled=[PULLED])


def test_dropping_loses_what_was_held_too():
    links = Links()
    set_links(links, ("X", GOSSIP, HOLD))
    received(links, BATCH)
    set_links(links, ("X", GOSSIP, DROP))
    received(links, BATCH)
    assert set_links(links, ("X", GOSSIP, PASS)) == Inputs()


def test_passing_one_channel_does_not_let_go_the_other():
    links = Links()
    set_links(links, ("X", GOSSIP, HOLD), ("X", REPAIR, HOLD))
    received(links, BATCH, PULLED)
    assert set_links(links, ("X", REPAIR, PASS)) == heard(pulled=[PULLED])
    assert set_links(links, ("X", GOSSIP, PASS)) == heard(batches=[BATCH])


def test_a_held_link_keeps_so_many_messages_and_no_more(monkeypatch):
    monkeypatch.setattr(links_module, "HELD_MESSAGES_MAX", 3)
    links = Links()
    set_links(links, ("X", GOSSIP, HOLD))
    received(links, *5 * [CLAIM])
    assert set_links(links, ("X", GOSSIP, PASS)) == heard(claims=3 * [CLAIM])


def test_status_shows_only_the_links_that_do_not_pass():
    links = Links()
    set_links(links, ("X", GOSSIP, HOLD), ("Y", REPAIR, DROP), ("Z", REPAIR, PASS))
    assert links.shown() == {"X gossip": HOLD, "Y repair": DROP}
    set_links(links, ("X", GOSSIP, PASS), ("Y", REPAIR, PASS))
    assert links.shown() == {}
