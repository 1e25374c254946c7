"""Writers: what they say was acknowledged is there, and they leave a node when they are told."""

from __future__ import annotations

import pytest

from kvnode.cli.cluster import until
from kvnode.cli.load import Writers, found_at, value_of
from kvnode.errors import InvalidRequest

VALUE_BYTES = 40


@pytest.fixture
def writers(trio):
    nodes = [trio["X"], trio["Y"]]
    return Writers(nodes, per_node=2, value_bytes=VALUE_BYTES, pause_s=0.001)


def test_values_follow_from_keys_and_differ():
    assert value_of("w/X1/1", VALUE_BYTES) != value_of("w/X1/11", VALUE_BYTES)
    assert len(value_of("w/X1/1", VALUE_BYTES)) == VALUE_BYTES


def test_what_was_acknowledged_is_found_and_nothing_else(trio, writers):
    with writers:
        until("they write", lambda: writers.count > 50)
    keys = writers.acknowledged()
    assert len(set(keys)) == len(keys) == writers.count
    assert {key.split("/")[1] for key in keys} == {"X1", "X2", "Y1", "Y2"}
    until("all agree", trio.agree)
    with trio["X"].client() as client:
        client.put("w/false", "another value")
    there = found_at(trio["X"], [*keys, "w/none", "w/false"], VALUE_BYTES)
    assert there == keys


def test_they_leave_a_node_and_come_back(writers):
    def count_at_x():
        return sum(key.startswith("w/X") for key in writers.acknowledged())

    with writers:
        until("they write at X", lambda: count_at_x() > 0)
        with writers.away_from("X"):
            before, count = count_at_x(), writers.count
            until("the others write on", lambda: writers.count > count + 20)
            assert count_at_x() == before
        until("they are back", lambda: count_at_x() > before)


def test_what_is_not_acknowledged_is_not_counted_and_they_go_on(make_node):
    node = make_node("X")
    with Writers([node], per_node=1, value_bytes=VALUE_BYTES) as writers:
        assert writers.acknowledged() == []
        node.start()
        until("the node is there", lambda: writers.count > 0)


def test_what_ends_a_writer_is_told(make_node, monkeypatch):
    node = make_node("X")
    monkeypatch.setattr(node, "listen", "no address")
    with Writers([node], per_node=1, value_bytes=VALUE_BYTES) as writers:
        pass
    with pytest.raises(InvalidRequest, match="no address"):
        writers.acknowledged()
