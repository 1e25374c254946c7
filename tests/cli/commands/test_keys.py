"""`kv put`, `read`, `del`, `touch` and `persist` at real nodes."""

from __future__ import annotations

import io
import json
import sys

import pytest

from kvnode.cli.commands import keys
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
    assert (code, errors) == (4, f"kv: conflict: b'on condition' holds {dots}\n")
    code, output, _ = at_x("put", "on condition", "2", "--if-version", "none", "--json")
    assert code == 4 and json.loads(output)["found"] == {"on condition": [list(version.dot)]}
    assert at_x("put", "on condition", "2", "--if-version", dots).code == 0
    assert at_x("del", "on condition", "--if-version", dots).code == 4
    assert x.get("on condition") == "2"


@pytest.mark.parametrize("dots", ["", "X:1", "nothing", "X~0000001000000001:x", "none,none"])
def test_what_is_no_dot_is_exit_code_2(dots, at_x):
    code, output, errors = at_x("put", "k", "v", "--if-version", dots)
    assert (code, output) == (2, b"") and "is no dot" in errors and errors.count("\n") == 1


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
    assert at_x("put", "lease", "v", "--ttl", "60") == (0, b"", "")
    (before,) = x.read("lease")
    line = f'{before.dot.origin}:{before.dot.seq}  "v"  expires {before.expires_at.isoformat()}\n'
    assert at_x("read", "lease") == (0, line.encode(), "")
    assert at_x("touch", "lease", "3600") == (0, b"", "")
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
