"""`kv del`: keys by their names, or all with a prefix; what is not there is told, not written."""

from __future__ import annotations

import json
import signal

import pytest

from kvnode import Client, Conflict
from kvnode.cli.cluster import PATIENCE_S, until
from kvnode.cli.commands import deletion
from kvnode.codec.answers import encode_answer
from tests.cli import process
from tests.client.fake_node import FakeNode


@pytest.fixture
def x(trio):
    with trio["X"].client() as client:
        yield client


def last_write(client):
    """The writes that a node has, one after the other."""
    return client.status()["vector"]


def test_several_keys_are_deleted_as_one_write(at_x, x):
    x.put_many({"del/a": 1, "del/b": 2, "del/c": 3})
    code, output, errors = at_x("del", "del/a", "del/b", "--json")
    first, second = map(json.loads, output.splitlines())
    assert (code, errors, first["key"], second["key"]) == (0, "", "del/a", "del/b")
    assert first["dot"] == second["dot"]
    assert list(x.keys("del/")) == ["del/c"]
    assert at_x("del", "del/c") == (0, b"", "")


def test_what_is_not_there_is_told_and_nothing_is_written_for_it(at_x, x):
    at_x("ping")
    before = last_write(x)
    assert at_x("del", "del/missing") == (1, b"", "kv: del/missing: not found\n")
    assert at_x("del", "del/missing", "--if-version", "none").code == 1
    code, output, errors = at_x("del", "del/missing", "del/neither", "--json")
    assert (code, errors) == (1, "")
    assert [json.loads(line) for line in output.splitlines()] == [
        {"key": "del/missing", "error": "not found"},
        {"key": "del/neither", "error": "not found"},
    ]
    assert last_write(x) == before


def test_the_others_are_deleted_beside_one_that_is_not_there(at_x, x):
    x.put("del/there", 1)
    assert at_x("del", "del/missing", "del/there", "del/there") == (
        1,
        b"",
        "kv: del/missing: not found\n",
    )
    assert x.get("del/there") is None


def test_all_with_a_prefix_go_and_are_counted(at_x, x, monkeypatch):
    monkeypatch.setattr(deletion, "_KEYS_MAX", 10)
    x.put_many({f"range/{n}": n for n in range(25)} | {"rangers": 1})
    assert at_x("del", "--prefix", "range/") == (0, b"deleted     25 keys\n", "")
    assert list(x.keys("range")) == ["rangers"]
    before = last_write(x)
    assert at_x("del", "--prefix", "range/") == (1, b"deleted     0 keys\n", "")
    assert json.loads(at_x("del", "--prefix", "range/", "--json").output) == {"deleted": 0}
    assert last_write(x) == before


def test_an_empty_prefix_is_taken_for_a_slip_and_all_is_said_so(at_x, make_node, kv):
    node = make_node("N")
    node.start()
    kv("--node", node.listen, "put", "k", "v")
    code, output, errors = kv("--node", node.listen, "del", "--prefix", "")
    assert (code, output) == (2, b"") and "--all" in errors
    assert kv("--node", node.listen, "del", "--all").output == b"deleted     1 keys\n"
    with node.client() as client:
        assert client.count() == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["del"],
        ["del", "k", "--prefix", "p"],
        ["del", "k", "--all"],
        ["del", "--prefix", "p", "--all"],
        ["del", "k", "l", "--if-version", "none"],
        ["del", "--prefix", "p", "--if-version", "none"],
    ],
    ids=" ".join,
)
def test_what_does_not_go_together_is_exit_code_2(arguments, at_x, x):
    x.put("k", 1)
    code, output, errors = at_x(*arguments)
    assert (code, output, errors.count("\n")) == (2, b"", 1)
    assert x.get("k") == 1


def test_a_key_that_is_written_meanwhile_is_deleted_as_it_is_then(at_x, x, monkeypatch):
    x.put("del/raced", 1)
    delete_many = Client.delete_many
    raced = []

    def overtaken(client, *arguments, **options):
        if not raced:
            raced.append(x.put("del/raced", 2))
        return delete_many(client, *arguments, **options)

    monkeypatch.setattr(Client, "delete_many", overtaken)
    assert at_x("del", "del/raced") == (0, b"", "")
    assert x.read("del/raced") == ()


def test_who_is_overtaken_for_ever_gives_up(at_x, x, monkeypatch):
    x.put("del/raced", 1)
    tried = []

    def conflict(*arguments, **options):
        tried.append(1)
        raise Conflict({b"del/raced": []})

    monkeypatch.setattr(Client, "delete_many", conflict)
    assert at_x("del", "del/raced").code == 4
    assert len(tried) == 20


def test_a_condition_is_judged_by_the_node(at_x, x):
    seen = x.put("del/condition", 1)
    x.put("del/condition", 2)
    assert at_x("del", "del/condition", "--if-version", f"{seen.origin}:{seen.seq}").code == 4
    assert at_x("del", "del/condition", "--if-version", "none").code == 4
    assert x.get("del/condition") == 2


def test_an_interrupted_deletion_says_how_far_it_is():
    def answer(asked):
        if asked.operations[0].__class__.__name__ != "Scan":
            return []  # the deletion waits
        return [encode_answer(asked.id, None, [("ok", None, [b"k/1", b"k/2"], None)])]

    with (
        FakeNode(answer) as node,
        process.start("del", "--prefix", "k/", "--node", node.listen) as started,
    ):
        until("it deletes", lambda: len(node.asked) > 1)
        started.send_signal(signal.SIGINT)
        output, errors = started.communicate(timeout=PATIENCE_S)
    assert (started.returncode, output) == (130, b"")
    assert errors == (
        b"0 keys are deleted so far\n"
        b"kv: interrupted: the write may have been made, or may still be\n"
    )


def test_a_deletion_waits_for_its_replicas(at_x, x, trio):
    x.put_many({"safe/1": 1, "safe/2": 2})
    assert at_x("del", "--prefix", "safe/", "--replicas", "3").code == 0
    for node in trio.nodes.values():
        with node.client() as client:
            assert client.count("safe/") == 0
