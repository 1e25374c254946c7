"""`kv put`, `get`, `read`, `touch` and `persist` at real nodes."""

from __future__ import annotations

import io
import json
import sys
import uuid

import pytest

from kvnode.cli.cluster import until
from kvnode.cli.commands import keys
from kvnode.core.vector import new_origin
from tests.cli import process


@pytest.fixture
def x(trio):
    with trio["X"].client() as client:
        yield client


@pytest.fixture
def piped(monkeypatch):
    """Has something come in by a pipe."""

    def piped(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return piped


def test_read_prints_every_version_with_its_dot(at_x, x):
    dot = x.put("read", {"a": "ä"})
    line = f'{dot.origin}:{dot.seq}  {{"a": "\\u00e4"}}\n'
    assert at_x("read", "read") == (0, line.encode(), "")
    code, output, _ = at_x("read", "read", "--json")
    (version,) = json.loads(output)["versions"]
    assert (code, version["value"], version["dot"]) == (0, {"a": "ä"}, list(dot))
    assert at_x("read", "missing") == (1, b"", "kv: missing: not found\n")


def test_a_write_on_a_condition_is_made_if_it_holds_and_else_exit_code_4(at_x, x):
    assert at_x("put", "on condition", "1", "--if-version", "none").code == 0
    code, _, errors = at_x("put", "on condition", "2", "--if-version", "none")
    (version,) = x.read("on condition")
    dots = f"{version.dot.origin}:{version.dot.seq}"
    assert (code, errors) == (4, f"kv: conflict: on condition holds {dots}\n")
    code, output, _ = at_x("put", "on condition", "2", "--if-version", "none", "--json")
    told = json.loads(output)
    assert code == 4 and told["found"] == {"on condition": [list(version.dot)]}
    assert told["message"] == f"conflict: on condition holds {dots}"
    assert at_x("put", "on condition", "2", "--if-version", dots).code == 0
    assert x.get("on condition") == "2"


@pytest.mark.parametrize(
    ("key", "shown"),
    [("ü", "ü"), ("no\\key", "no\\\\key"), ("\udcff", "\\xff"), ("a\nb", "a\\nb")],
)
def test_a_key_is_named_as_it_was_typed_and_in_one_line(key, shown, at_x):
    wanted = f"{new_origin('X', 1, 1)}:1"
    for command in (["put", key, "1"], ["del", key]):
        at_x("put", key, "0")
        ended = at_x(*command, "--if-version", "none")
        assert ended.errors.startswith(f"kv: conflict: {shown} holds X~")
    at_x("del", key)
    for command in ("get", "read", "del"):
        assert at_x(command, key).errors == f"kv: {shown}: not found\n"
    errors = at_x("put", key, "1", "--if-version", wanted).errors
    assert errors == f"kv: conflict: {shown} holds nothing\n"


def test_a_value_that_can_t_be_put_is_told_with_its_key_as_it_was_typed(at_x):
    errors = at_x("put", "--json", "ü", "9" * 30).errors
    assert "b'" not in errors
    told = json.loads(at_x("put", "--json", "ü", "9" * 30).output)
    assert told["message"].startswith("the value of 'ü' can't be stored")


@pytest.mark.parametrize("dots", ["", "X:1", "nothing", "X~0000001000000001:x", "none,none"])
def test_what_is_no_dot_is_exit_code_2(dots, at_x):
    code, output, errors = at_x("put", "k", "v", "--if-version", dots)
    assert (code, output) == (2, b"") and "is no dot" in errors and errors.count("\n") == 1


# --- several keys, and siblings


def test_several_values_are_a_line_each_that_can_be_told_apart(at_x, x):
    x.put_many({"get/a": "one\ntwo\tthree", "get/b": {"n": 1}, "get/c\t": b"\xff"})
    code, output, errors = at_x("get", "get/a", "get/missing", "get/b", "get/c\t")
    assert (code, errors) == (1, "kv: get/missing: not found\n")
    assert output.decode().splitlines() == [
        "get/a\tone\\ntwo\\tthree",
        'get/b\t{"n": 1}',
        "get/c\\t\t\\xff",
    ]
    assert at_x("get", "get/a", "get/a").output.count(b"\n") == 2


def test_several_values_as_json_are_a_document_each_in_their_order(at_x, x):
    dot = x.put_many({"get/a": 1, "get/b": {1: "one", "1": "eins"}})
    code, output, errors = at_x("get", "get/a", "get/missing", "get/b", "--json")
    assert (code, errors) == (1, "")
    one, missing, other = map(json.loads, output.splitlines())
    assert (one["key"], one["value"], one["siblings"], one["dot"]) == ("get/a", 1, 0, list(dot))
    assert missing == {"key": "get/missing", "error": "not found"}
    assert other["value"].keys() == {"msgpack"}


def test_a_map_of_which_two_keys_are_one_in_json_is_not_shown_as_if_they_were(at_x, x):
    x.put("get/odd", {1: "one", "1": "eins"})
    assert at_x("get", "get/odd") == (0, b"{1: 'one', '1': 'eins'}", "")
    assert "msgpack" in json.loads(at_x("get", "get/odd", "--json").output)["value"]


def test_values_that_do_not_fit_one_answer_come_all_the_same(at_x, x):
    for key in ("large/1", "large/2", "large/3"):
        x.put(key, 5_000_000 * "v")
    code, output, _ = at_x("get", "large/1", "large/2", "large/3")
    assert code == 0
    assert [len(line) for line in output.splitlines()] == 3 * [len("large/1\t") + 5_000_000]
    assert at_x("del", "large/1", "large/2", "large/3").code == 0


@pytest.fixture
def siblings(x, trio):
    """A key with two values that were put without sight of each other."""
    key = f"siblings/{uuid.uuid4()}"
    with trio["Y"].client() as y:
        x.fault("Y", "gossip", "hold")
        x.fault("Y", "repair", "hold")
        y.put(key, "theirs")
        x.put(key, "ours")
        x.fault("Y", "gossip", "pass")
        x.fault("Y", "repair", "pass")
    until("X has both", lambda: len(x.read(key)) == 2)
    return key


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("command", ["get", "scan", "get of several"])
def test_a_terminal_is_told_that_there_are_siblings(
    command, stream, at_x, x, siblings, monkeypatch
):
    arguments = ["get", siblings, siblings] if "several" in command else [command, siblings]
    assert "sibling" not in at_x(*arguments).errors, "nobody looks"
    monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: True)
    _, output, errors = at_x(*arguments)
    assert output.strip() and errors.count("\n") == 1
    assert "sibling" in errors and "`kv read`" in errors
    assert "sibling" not in at_x(*arguments, "--json").errors, "it is in the document"


def test_a_key_without_siblings_is_told_of_none(at_x, x, monkeypatch):
    x.put("alone", 1)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert at_x("get", "alone").errors == at_x("scan", "alone").errors == ""


# --- standard input


@pytest.mark.parametrize("arguments", [[], ["-"]], ids=["left out", "a dash"])
@pytest.mark.parametrize(
    ("content", "value"),
    [(b"", ""), (b"two\r\nlines\n", "two\r\nlines\n"), (b"\xff\0", b"\xff\0")],
)
def test_a_value_may_be_piped_and_is_what_it_is(arguments, content, value, at_x, x, piped):
    piped(content)
    assert at_x("put", "piped", *arguments) == (0, b"", "")
    assert x.get("piped") == value


def test_a_piped_value_may_be_json(at_x, x, piped):
    piped(b'{"a": [1,\n2]}\n')
    assert at_x("put", "piped", "--json").code == 0
    assert x.get("piped") == {"a": [1, 2]}
    piped(b"{")
    code, output, _ = at_x("put", "piped", "--json")
    assert code == 2 and "must be JSON" in json.loads(output)["message"]


def test_what_is_too_large_is_not_read_to_its_end(at_x, piped, monkeypatch):
    monkeypatch.setattr(keys, "_INPUT_BYTES_MAX", 10)
    piped(bytes(12))
    code, output, errors = at_x("put", "piped")
    assert (code, output) == (2, b"") and "at most 8388608 bytes" in errors
    assert sys.stdin.buffer.read() == b"\0"


def test_a_real_pipe(trio, x):
    ended = process.run("put", "piped", "--node", trio["X"].listen, input=bytes(range(256)))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert x.get("piped") == bytes(range(256))


# --- expiry and replicas


def test_a_value_expires_may_be_touched_and_persists(at_x, x):
    assert at_x("put", "lease", "v", "--ttl", "1m") == (0, b"", "")
    (before,) = x.read("lease")
    line = f'{before.dot.origin}:{before.dot.seq}  "v"  expires {before.expires_at.isoformat()}\n'
    assert at_x("read", "lease") == (0, line.encode(), "")
    assert at_x("touch", "lease", "1h") == (0, b"", "")
    (after,) = x.read("lease")
    assert (after.expires_at - before.expires_at).total_seconds() > 3500
    document = json.loads(at_x("read", "lease", "--json").output)
    assert document["versions"][0]["expires_at"] == after.expires_at.isoformat()
    assert at_x("persist", "lease") == (0, b"", "")
    assert x.read("lease")[0].expires_at is None
    assert json.loads(at_x("read", "lease", "--json").output)["versions"][0]["expires_at"] is None


@pytest.mark.parametrize("command", [["touch", "missing", "5"], ["persist", "missing"]])
def test_what_is_not_there_can_not_be_touched(command, at_x):
    assert at_x(*command) == (1, b"", "kv: missing: not found\n")
    code, output, _ = at_x(*command, "--json")
    assert (code, json.loads(output)) == (1, {"key": "missing", "error": "not found"})


def test_a_write_waits_for_its_replicas(at_x, trio):
    assert at_x("put", "safe", "v", "--replicas", "3") == (0, b"", "")
    for node in trio.nodes.values():
        with node.client() as client:
            assert client.get("safe") == "v"
    assert at_x("del", "safe", "--replicas", "2", "--replicas-timeout", "30") == (0, b"", "")


def test_a_key_that_is_no_text_is_its_bytes_in_json(trio):
    ended = process.run("put", b"\xff", "v", "--json", "--node", trio["X"].listen)
    assert ended.returncode == 2, "v is no JSON"
    ended = process.run("put", b"\xff", "1", "--json", "--node", trio["X"].listen)
    assert json.loads(ended.stdout)["key"] == {"base64": "/w=="}
