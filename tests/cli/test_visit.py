"""`kvnode demo --nodes`: the story is observed on nodes that run already, or it fails."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from kvnode.cli.cluster import LocalCluster
from kvnode.cli.kvnode import main
from kvnode.cli.narration import Narration
from kvnode.cli.visit import Visit
from kvnode.errors import Unreachable


def at(*nodes):
    return ["demo", "--nodes", ",".join(node.listen for node in nodes)]


@pytest.fixture
def three(trio):
    return [trio[name] for name in "XYZ"]


def test_the_story_is_told_to_its_end_again_and_again(three, capsys):
    for _ in range(2):
        assert main([*at(*three), "--json"]) == 0
        output, errors = capsys.readouterr()
        document = json.loads(output)
        assert (document["ok"], document["error"], errors) == (True, None, "")
        observed = [step["observed"] for step in document["steps"]]
        (held,) = [it for it in observed if "holds_back" in it]
        (delayed,) = [it for it in observed if it.get("status") == "delayed"]
        ((name, first, last),) = delayed["missing"]
        origin, _, cause = held["waits_for"].partition(":")
        assert held["holds_back"] == f"{name}:{last}"
        assert origin == name and first <= int(cause) < last
        (siblings,) = [it for it in observed if "siblings" in it]
        assert sorted(siblings["siblings"]) == ["sunrise", "sunset"]
        assert {"X": ["pears"], "Y": ["pears"], "Z": ["pears"]} in observed


def test_people_get_numbered_steps(three, capsys):
    assert main(at(*three)) == 0
    output, errors = capsys.readouterr()
    assert errors == "" and output.endswith("All steps were observed.\n")
    assert " 1. X, Y and Z run" in output


def test_it_begins_at_the_first_node_that_is_named(three, capsys):
    assert main([*at(*reversed(three)), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (held,) = [it["observed"] for it in document["steps"] if "holds_back" in it["observed"]]
    assert held["waits_for"].startswith("Z:")


def test_nothing_of_it_is_left(three, capsys):
    main(at(*three))
    for node in three:
        with node.client() as client:
            assert client.count("demo/") == 0
            assert client.status()["faults"] == {}


def test_what_a_story_leaves_that_is_cut_short_expires(three):
    clients = [node.client() for node in three]
    try:
        Visit(clients, Narration(as_json=True))._causality("demo/short/")
        left = list(clients[0].entries("demo/short/"))
        assert len(left) > 2 and all(entry.version.expires_at for entry in left)
        clients[0].delete_many([entry.key for entry in left])
    finally:
        for client in clients:
            client.close()


def test_one_node_at_two_addresses_fails_it(three, capsys):
    x, y, _ = three
    assert main(at(x, y, x)) == 1
    assert "name each node once" in capsys.readouterr().err


def test_a_node_that_is_not_there_fails_it(three, capsys, monkeypatch):
    monkeypatch.setattr("kvnode.cli.visit.PATIENCE_S", 0.1)
    x, y, _ = three
    # It comes first: a busy machine may keep the others from answering in so short a time.
    assert main(["demo", "--nodes", f"127.0.0.1:1,{x.listen},{y.listen}", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False and "127.0.0.1:1" in document["error"]


def test_it_waits_for_nodes_that_are_starting(tmp_path):
    """As in a container beside theirs, which starts with them."""
    cluster = LocalCluster("XYZ", tmp_path, "--heartbeat-ms", "100")
    with ThreadPoolExecutor(1) as pool, ExitStack() as ended:
        clients = [ended.enter_context(node.client()) for node in cluster.nodes.values()]
        with pytest.raises(Unreachable):
            clients[0].ping()
        visit = pool.submit(Visit, clients, Narration(as_json=True))
        with cluster:
            assert visit.result() is not None
