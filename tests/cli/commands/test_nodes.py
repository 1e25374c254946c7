"""`kv lag`; the other commands on nodes are in test_kv and test_members."""

from __future__ import annotations

import json
import signal
import threading

import pytest

from kvnode.cli.cluster import until
from kvnode.cli.commands.nodes import COMMANDS
from kvnode.codec.server import Members, Status
from tests.client.fake_node import FakeNode, answering
from tests.daemon.test_bad_gossip import ORIGIN

MEMBER = {
    "name": "Y",
    "self": False,
    "origin": "Y~0000001000000001",
    "addresses": [],
    "alive": True,
    "silent_ms": 7,
    "lag_updates": 5,
    "pins": None,
}


@pytest.mark.parametrize(
    ("changes", "arguments", "code"),
    [
        ({}, [], 0),
        ({}, ["--max", "5"], 0),
        ({}, ["--max", "4"], 5),
        ({"alive": False}, [], 5),
        ({"lag_updates": None}, ["--max", "5"], 5),
    ],
)
def test_a_member_that_is_late_is_exit_code_5(changes, arguments, code, kv):
    with FakeNode(lambda asked: told(asked, [MEMBER | changes])) as node:
        ended = kv("lag", *arguments, "--node", node.listen)
        document = json.loads(kv("lag", *arguments, "--node", node.listen, "--json").output)
    assert (ended.code, ended.errors) == (code, "")
    assert document["late"] == (["Y"] if code else [])
    assert document["members"] == [
        {name: (MEMBER | changes)[name] for name in document["members"][0]}
    ]


def test_an_address_where_nobody_is_heard_is_exit_code_5_and_told(kv):
    """Whatever the members do: nobody knows what the node lacks."""
    unheard = [{"address": "tcp://z:1", "reason": "never answered", "refused": False}]
    with FakeNode(lambda asked: told(asked, [ME | {"lag_updates": None}], unheard)) as node:
        ended = kv("lag", "--node", node.listen)
        shown = kv("members", "--node", node.listen)
        document = json.loads(kv("lag", "--node", node.listen, "--json").output)
    assert (ended.code, ended.errors) == (5, "")
    assert ended.output.decode().splitlines()[1:] == [
        "X       ?    this node",
        "not heard: tcp://z:1: never answered",
    ]
    assert shown.code == 0
    assert shown.output.decode().splitlines()[-1] == "not heard: tcp://z:1: never answered"
    assert (document["late"], document["unheard"]) == ([], unheard)


def told(asked, members, unheard=()):
    """What a node answers that has these members, and has heard nobody there."""
    if asked.operations == Status():
        return answering(("ok", {"vector": {ORIGIN: 7}, "unheard": list(unheard)}))(asked)
    return answering(("ok", members))(asked)


ME = MEMBER | {"name": "X", "self": True, "lag_updates": 0}
STRANGER = ME | {"origin": None}


def waited(kv, states, patience_s):
    """What is answered to the command, and to whom it listened, if the members are these in turn;
    the last ones stay."""

    def answer(asked):
        if asked.operations == Status():
            return told(asked, [])
        return told(asked, states.pop(0) if len(states) > 1 else states[0])

    with FakeNode(answer) as node:
        ended = kv("lag", "--max", "0", "--within", patience_s, "--node", node.listen, "--json")
    asked = [asked.operations for asked in node.asked if asked.operations != Status()]
    return ended.code, json.loads(ended.output)["late"], asked


def test_a_member_that_is_late_no_more_is_waited_for_and_new_writes_are_not(kv):
    behind, there = [ME, MEMBER], [ME, MEMBER | {"lag_updates": 0}]
    code, late, asked = waited(kv, [behind, behind, behind, there], "60")
    assert (code, late) == (0, [])
    assert asked == [Members(), *3 * [Members({ORIGIN: 7})]]


def test_who_is_no_member_yet_has_its_own_record_to_wait_for(kv):
    """Its others have all that it has, which is nothing; but it can't be forgotten by them."""
    there = MEMBER | {"lag_updates": 0}
    joining, joined = [STRANGER, there], [ME, there]
    code, late, asked = waited(kv, [joining, joining, joined, joined], "60")
    assert (code, late) == (0, [])
    assert asked == [*3 * [Members()], Members({ORIGIN: 7})]


@pytest.mark.parametrize(("found", "name"), [([ME, MEMBER], "Y"), ([STRANGER], "X")])
def test_who_stays_late_is_waited_for_no_longer_than_was_said(found, name, kv):
    code, late, asked = waited(kv, [found], "0.5")
    assert (code, late) == (5, [name])
    assert len(asked) > 2


def test_a_cluster_in_which_all_are_well_and_then_one_is_not(kv, make_cluster):
    cluster = make_cluster("XY")
    with cluster:
        cluster.wait_for_mesh()
        until("they agree", cluster.agree)

        def lag():
            ended = kv("lag", "--max", "0", "--node", cluster["X"].listen)
            return ended.code, ended.output.decode().split()

        well = ["MEMBER", "LAG", "STATE", "X", "0", "this", "node", "Y", "0", "alive"]
        until("all are well", lambda: lag() == (0, well))
        cluster["Y"].stop(signal.SIGKILL)
        until("Y is silent", lambda: lag()[0] == 5)


def test_who_writes_on_does_not_keep_others_from_having_what_is_there_now(kv, make_cluster):
    cluster = make_cluster("XY")
    with cluster:
        cluster.wait_for_mesh()
        x = cluster["X"]
        ended = threading.Event()

        def write():
            with x.client() as client:
                while not ended.is_set():
                    client.put("k", "v")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            assert kv("lag", "--max", "0", "--within", "60", "--node", x.listen).code == 0
        finally:
            ended.set()
            writer.join()


def test_all_have_help():
    assert all(command.help for command in COMMANDS.values())
