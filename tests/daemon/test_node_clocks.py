"""A machine's clock that is wrong, for a moment or longer: what expires when, and what is told."""

from __future__ import annotations

import pytest

from kvnode.codec.batches import decode_batch, encode_batch
from kvnode.core.batch import Change
from kvnode.core.limits import Limits
from kvnode.core.requests import Put
from kvnode.daemon.status import node_status
from tests.daemon.recorded import HEARTBEAT_US, OTHER, with_a_write

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
HELD_US = Limits().clock_held_us


@pytest.fixture
def node():
    return with_a_write()


def goes_on(node, for_us):
    """Heartbeat after heartbeat."""
    end_us = node.now_us + for_us
    while node.now_us < end_us:
        node.now_us += HEARTBEAT_US
        node.turn()


def lease_of_another(node, ends_in_us):
    """A batch of the peer, whose clock is right."""
    write = (Change(b"lease", b"theirs", node.now_us + ends_in_us),)
    return decode_batch(encode_batch(OTHER, 1, {}, node.now_us, (write,)))


def expires_in_us(node, key, ttl_ms):
    """When what is put now expires, by a right clock."""
    request = node.request(Put(key.encode(), b"v", ttl_ms=ttl_ms))
    node.turn(request)
    (written,) = node.answers(request.id)
    return written.expires_us - node.now_us


def alarms(node):
    return [alarm for alarm in node_status(node.node, node.now_us)["alarms"] if "clock" in alarm]


def test_a_clock_that_was_a_day_ahead_for_two_seconds_ends_no_lease(node):
    node.wrong_us = DAY_US
    goes_on(node, 2 * SECOND_US)
    (alarm,) = alarms(node)
    assert alarm.startswith("the clock of X has jumped by +86400 s")
    assert expires_in_us(node, "mine", 60_000) == 60 * SECOND_US
    node.turn(batches=(lease_of_another(node, 600 * SECOND_US),))
    assert node.value("lease") == "theirs"
    node.wrong_us = 0
    goes_on(node, 2 * SECOND_US)
    assert alarms(node) == []
    assert node.value("lease") == "theirs"
    goes_on(node, 600 * SECOND_US)
    assert node.value("lease") is None


def test_its_writes_have_no_stamp_of_the_next_day(node):
    node.wrong_us = DAY_US
    node.turn(node.put("k", "v"))
    assert node.node.replica.state.clock.last_us < node.now_us + SECOND_US


def test_a_clock_that_is_set_is_believed_after_a_minute(node):
    goes_on(node, SECOND_US)
    node.turn(batches=(lease_of_another(node, 600 * SECOND_US),))
    node.wrong_us = DAY_US
    goes_on(node, HELD_US - SECOND_US)
    assert node.value("lease") == "theirs"
    goes_on(node, 2 * SECOND_US)
    assert alarms(node) == []
    assert node.value("lease") is None
    assert expires_in_us(node, "mine", 60_000) == DAY_US + 60 * SECOND_US


def test_a_clock_that_is_set_back_after_days_lets_leases_last_no_longer_than_they_say(node):
    """A process that started by a wrong clock: what it had hidden is removed, so it may go back."""
    node.wrong_us = DAY_US
    node.start()
    goes_on(node, SECOND_US)
    node.wrong_us = 0
    goes_on(node, HELD_US + 2 * SECOND_US)
    assert alarms(node) == []
    assert expires_in_us(node, "mine", 60_000) == 60 * SECOND_US
    node.turn(batches=(lease_of_another(node, 600 * SECOND_US),))
    assert node.value("lease") == "theirs"


def test_a_node_that_can_not_remove_what_it_has_hidden_does_not_show_it_again(node):
    node.turn(batches=(lease_of_another(node, 60 * SECOND_US),))
    node.wrong_us = DAY_US
    node.disk.full, node.disk.fail_next_commit = True, False
    node.turn(node.put("k", "v"))
    goes_on(node, HELD_US + 2 * SECOND_US)
    assert node.value("lease") is None
    node.wrong_us = 0
    goes_on(node, HELD_US + 2 * SECOND_US)
    assert not node.node.health.writable and node.value("lease") is None
