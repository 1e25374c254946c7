"""Membership on real nodes: who joins, moves, falls silent, is forgotten and comes back."""

from __future__ import annotations

import pytest

from kvnode import Client, Refused
from kvnode.cli.cluster import LocalNode, until
from kvnode.codec import client as ask
from tests.conftest import FLAGS
from tests.daemon.raw import Raw


def members(node):
    with node.client() as client:
        return {member["name"]: member for member in client.members()}


def all_alive(node, names):
    found = members(node)
    return found.keys() == set(names) and all(
        it["alive"] and it["origin"] and it["lag_updates"] == 0 for it in found.values()
    )


def peers(node):
    """Who answers at the addresses that it tries."""
    return {peer["address"]: peer["name"] for peer in node.status()["peers"]}


def write(node, **items):
    with node.client() as client:
        for key, value in items.items():
            client.put(key, value)


def value_at(node, key):
    with node.client() as client:
        return client.get(key)


def forget(node, name):
    """As soon as the node counts that one as silent."""
    until(f"{node.name} counts {name} as silent", lambda: not members(node)[name]["alive"])
    with node.client() as client:
        client.forget(name)


def refusals(node):
    return [peer["refusal"] for peer in node.status()["peers"] if peer["refusal"]]


def logged(node, text):
    return [line for line in node.log.read_text().splitlines() if text in line]


@pytest.fixture
def start(make_node):
    """Starts a node that is told these others."""

    def start(name, *others):
        node = make_node(name)
        node.peers = [other.listen for other in others]
        node.start()
        return node

    return start


@pytest.fixture
def three(start):
    """X, and Y and Z that were told of X alone; all are members and hear each other."""
    x = start("X")
    nodes = [x, start("Y", x), start("Z", x)]
    for node in nodes:
        until(f"{node.name} knows all", lambda node=node: all_alive(node, "XYZ"))
    return nodes


# --- joining


def test_one_address_is_enough_to_join(three, start):
    nodes = [*three, start("W", three[2])]
    for node in nodes:
        until(f"{node.name} knows all", lambda node=node: all_alive(node, "WXYZ"))
        others = {other.listen: other.name for other in nodes if other is not node}
        until(f"{node.name} is linked to all", lambda node=node, all_=others: peers(node) == all_)
        assert all(peer["lag_updates"] is not None for peer in node.status()["peers"])
    write(nodes[3], k="v")
    for node in three:
        until("it has come", lambda node=node: value_at(node, "k") == "v")


def test_a_node_that_is_told_of_nobody_finds_those_that_it_knew(three, start):
    y = three[1]
    y.stop()
    again = start("Y")
    for node in (three[0], again, three[2]):
        until(f"{node.name} knows all", lambda node=node: all_alive(node, "XYZ"))


def test_a_node_that_comes_back_at_other_addresses_is_found_by_all(three, start):
    x, y, z = three
    y.stop()
    write(x, meanwhile=1)
    moved = start("Y")
    assert moved.listen != y.listen and moved.data == y.data
    for node in (x, z):
        until(
            f"{node.name} has its new address",
            lambda node=node: members(node)["Y"]["addresses"] == [moved.listen],
        )
        until(f"{node.name} knows all", lambda node=node: all_alive(node, "XYZ"))
        until(f"{node.name} leaves the old one", lambda node=node: y.listen not in peers(node))
    assert value_at(moved, "meanwhile") == 1
    write(moved, moved=2)
    for node in (x, z):
        until("it has come", lambda node=node: value_at(node, "moved") == 2)
        assert not logged(node, "must not"), "it was not taken for another of its name"


# --- what is told of members


def test_members_are_told_with_their_addresses_and_how_they_do(three):
    x, _, z = three
    z.stop()
    write(x, a=1, b=2, c=3)
    found = until(
        "Z is silent, and Y has all",
        lambda: next(
            (
                it
                for it in [members(x)]
                if not it["Z"]["alive"] and it["Y"]["lag_updates"] == 0 < it["Z"]["lag_updates"]
            ),
            None,
        ),
    )
    assert {name: it["addresses"] for name, it in found.items()} == {
        node.name: [node.listen] for node in three
    }
    assert all(it["origin"].startswith(f"{name}~") for name, it in found.items())
    assert (found["X"]["self"], found["X"]["alive"], found["X"]["silent_ms"]) == (True, True, 0)
    assert (found["Y"]["self"], found["Y"]["alive"]) == (False, True)
    assert found["Z"]["lag_updates"] == 3
    silent_ms = found["Z"]["silent_ms"]
    until("it grows", lambda: members(x)["Z"]["silent_ms"] > silent_ms)


def test_a_member_that_was_never_heard_pins_the_log(three, start):
    x, _, z = three
    z.stop()
    x.stop()
    x.start()
    pins = until("Z pins the log", lambda: members(x)["Z"]["pins"])
    assert pins["by"] == "Z" and pins["bytes"] > 0
    assert (members(x)["Z"]["alive"], members(x)["Z"]["silent_ms"]) == (False, None)
    until("Y has shown itself", lambda: members(x)["Y"]["pins"] is None)
    assert x.status()["log"]["pinned"]["by"] == "Z"
    forget(x, "Z")
    until("nobody pins it", lambda: x.status()["log"]["pinned"] is None)


# --- forgetting


def test_a_member_that_is_forgotten_is_gone_everywhere(three):
    x, y, z = three
    z.stop()
    forget(x, "Z")
    for node in (x, y):
        until(f"{node.name} knows", lambda node=node: all_alive(node, "XY"))
        until(f"{node.name} leaves it", lambda node=node: z.listen not in peers(node))
    with y.client() as client, pytest.raises(Refused, match="Z is no member"):
        client.forget("Z")


def test_who_is_alive_is_not_forgotten(three):
    for node in three:
        with three[0].client() as client, pytest.raises(Refused, match="is alive; stop it first"):
            client.forget(node.name)
    assert members(three[1]).keys() == set("XYZ")


def set_links(node, name, action):
    with node.client() as client:
        for channel in ("gossip", "repair"):
            client.fault(name, channel, action)


def test_a_node_that_was_forgotten_is_told_and_joins_anew_with_what_nobody_has_seen(three):
    x, y, z = three
    for node in (x, y):
        set_links(node, "Z", "drop")
    write(z, unseen=1, also_unseen=2)
    z.stop()
    forget(x, "Z")
    until("Y knows", lambda: members(y).keys() == set("XY"))
    write(x, meanwhile=3)
    for node in (x, y):
        set_links(node, "Z", "pass")
    z.start()
    until("it is told", lambda: logged(z, "ALARM: Z was forgotten"))
    for node in three:
        until(f"{node.name} knows all", lambda node=node: all_alive(node, "XYZ"))
        values = [value_at(node, key) for key in ("unseen", "also_unseen", "meanwhile")]
        assert values == [1, 2, 3], node.name
    assert z.status()["alarms"] == []


def test_a_node_that_writes_before_it_can_be_told_is_told_all_the_same(three):
    x, y, z = three
    z.stop()
    forget(x, "Z")
    until("Y knows", lambda: members(y).keys() == set("XY"))
    x.stop()
    y.stop()
    z.start()
    write(z, alone=1)
    x.start()
    y.start()
    until("it is told", lambda: logged(z, "ALARM: Z was forgotten"))
    for node in three:
        until(f"{node.name} knows all", lambda node=node: all_alive(node, "XYZ"))
        assert value_at(node, "alone") == 1


# --- who does not belong


@pytest.fixture
def namesakes(start, tmp_path):
    """X, and two that bear the name Y and know X alone."""
    x = start("X")
    y = start("Y", x)
    until("Y is a member", lambda: all_alive(x, "XY"))
    other = LocalNode("Y", tmp_path / "other", FLAGS)
    other.data.mkdir(parents=True)
    other.peers = [x.listen]
    other.start()
    yield x, y, other
    if other.process is not None:
        other.stop()


def test_two_nodes_of_one_name_are_reported_until_one_stops(namesakes):
    x, y, other = namesakes
    for node, rival in ((y, other), (other, y)):
        until(f"{node.listen} says so", lambda node=node: refusals(node))
        assert logged(node, f"{rival.listen} refuses us: \"this node bears the name 'Y' too")
        until("and to whom", lambda node=node: logged(node, "refused peers: "))
    (reason,) = until("X says so", lambda: refusals(x))
    assert (
        reason == f"bears the name 'Y', as does the node at {y.listen} too; two live nodes must not"
    )
    assert logged(x, f"ERROR   X: peer at {other.listen} {reason}")
    other.stop()
    for node in (x, y):
        until("it is gone", lambda node=node: not refusals(node))
    assert all_alive(x, "XY")


def test_of_two_nodes_of_one_name_the_other_is_taken_when_the_first_stops(namesakes):
    x, y, other = namesakes
    until("X says so", lambda: refusals(x))
    until("it has joined", lambda: not other.status()["joining"])
    write(other, k="kept")
    y.stop()
    until("it has come", lambda: value_at(x, "k") == "kept")
    until("it is a member", lambda: members(x)["Y"]["addresses"] == [other.listen])
    for node in (x, other):
        until("it is gone", lambda node=node: not refusals(node))


@pytest.mark.parametrize(
    "operation",
    [ask.get, ask.delete, lambda key: ask.put(key, b"\xc0"), lambda key: ask.read(key, 0)],
    ids=["get", "delete", "put", "read"],
)
def test_member_records_are_out_of_reach_of_clients(operation, node):
    until("it is a member", lambda: members(node)["X"]["origin"])
    key = b"\0kvnode/member/" + members(node)["X"]["origin"].encode()
    with Raw(node) as raw:
        raw.send(ask.encode_request(7, None, 0, [operation(key)]))
        id_, code, message = raw.error()
    assert (id_, code) == (7, "malformed") and "kvnode's own" in message
    with Client(node.listen) as client:
        assert client.members()[0]["addresses"] == [node.listen]
