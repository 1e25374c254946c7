"""`kv` piped: exact output, exact errors, exit codes that scripts can trust."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

from kvnode import __version__
from kvnode.core.vector import name_of
from tests.cli import process

# Values by the client, and what `kv get` prints.
RAW = [
    ("text", b"text"),
    ("", b""),
    ("two\r\nlines\n", b"two\r\nlines\n"),
    ("\N{SNOWMAN}", "\N{SNOWMAN}".encode()),
    (bytes(range(256)), bytes(range(256))),
    (b"\n", b"\n"),
    (None, b"null"),
    (True, b"true"),
    (-5, b"-5"),
    (1.5, b"1.5"),
    ([1, "a", None], b'[1, "a", null]'),
    ({"a": [b"\xff"]}, b'{"a": [{"base64": "/w=="}]}'),
    ({1: 2}, b'{"1": 2}'),
]


@pytest.fixture
def x(trio):
    with trio["X"].client() as client:
        yield client


def test_put_get_and_del_say_nothing_but_the_value(at_x):
    assert at_x("put", "k", "v") == (0, b"", "")
    assert at_x("get", "k") == (0, b"v", "")
    assert at_x("del", "k") == (0, b"", "")


def test_what_is_not_there_is_exit_code_1(at_x):
    assert at_x("get", "missing") == (1, b"", "kv: missing: not found\n")
    code, output, errors = at_x("--json", "get", "missing")
    assert (code, json.loads(output), errors) == (1, {"key": "missing", "error": "not found"}, "")


def test_ping_prints_the_nodes_name(at_x):
    assert at_x("ping") == (0, b"X\n", "")
    assert at_x("ping", "--json") == (0, b'{"name": "X"}\n', "")


def test_json_documents_have_what_a_program_needs(at_x, x):
    _, written, _ = at_x("put", "k", '{"a": [1, null]}', "--json")
    document = json.loads(written)
    assert document["key"] == "k" and name_of(document["dot"][0]) == "X"
    assert x.get("k") == {"a": [1, None]}
    code, found, errors = at_x("get", "k", "--json")
    assert (code, errors, found.count(b"\n")) == (0, "", 1)
    assert json.loads(found) == document | {"value": {"a": [1, None]}, "siblings": 0}
    _, deleted, _ = at_x("del", "k", "--json")
    assert json.loads(deleted)["dot"] == [document["dot"][0], document["dot"][1] + 1]


def test_status_tells_a_person_about_the_node(at_x, trio):
    code, output, errors = at_x("status")
    assert (code, errors) == (0, "")
    lines = output.decode().splitlines()
    x = trio["X"]
    assert lines[0] == f"node        X at {x.listen}, gossip at {x.gossip}"
    assert lines[1] == "cluster     kvnode"
    assert "storage     ok" in lines
    peers = [line for line in lines if line.startswith("peer ")]
    assert sorted(line.replace(",", "").split()[1:4] for line in peers) == [
        [name, "at", trio[name].listen] for name in "YZ"
    ]


def test_status_as_json_is_the_nodes_own_account(at_x, x):
    code, output, errors = at_x("status", "--json")
    assert (code, errors) == (0, "")
    document, account = json.loads(output), x.status()
    assert set(document) == set(account)
    for field in ("name", "vector", "digest", "cluster", "listen", "storage", "faults"):
        assert document[field] == account[field]


@pytest.mark.parametrize(("value", "printed"), RAW, ids=[repr(value) for value, _ in RAW])
def test_a_piped_value_is_byte_exact(value, printed, at_x, x):
    x.put("k", value)
    assert at_x("get", "k") == (0, printed, "")


@pytest.mark.parametrize("value", [value for value, _ in RAW], ids=repr)
def test_every_value_has_its_json(value, at_x, x):
    x.put("k", value)
    code, output, errors = at_x("get", "k", "--json")
    assert (code, errors) == (0, "")
    assert "value" in json.loads(output)


NO_JSON = [
    ({b"\xff": 1}, "{b'\\xff': 1}", "gcQB/wE="),
    ({1: "a", "1": "b"}, "{1: 'a', '1': 'b'}", "ggGhYaExoWI="),
    (math.nan, "nan", "y3/4AAAAAAAA"),
    ([math.inf], "[inf]", "kct/8AAAAAAAAA=="),
]


@pytest.mark.parametrize(("value", "printed", "packed"), NO_JSON, ids=[it[1] for it in NO_JSON])
def test_what_json_has_no_form_for_is_printed_alone_as_among_others(
    value, printed, packed, at_x, x
):
    x.put_many({"k": value, "l": 1})
    assert at_x("get", "k") == (0, printed.encode(), "")
    several = at_x("get", "k", "l")
    assert several == (0, f"k\t{printed}\nl\t1\n".replace("\\", "\\\\").encode(), "")
    code, output, errors = at_x("get", "k", "--json")
    assert (code, errors, json.loads(output)["value"]) == (0, "", {"msgpack": packed})


@pytest.mark.parametrize("value", ["-5", "a b", "", "\N{SNOWMAN}", "--json", "x" * 100_000])
def test_put_takes_any_text(value, at_x, x):
    assert at_x("put", "--", "k", value) == (0, b"", "")
    assert x.get("k") == value


@pytest.mark.parametrize(
    "arguments",
    [
        ["--node", "NODE", "--json", "get", "k"],
        ["get", "k", "--node", "NODE", "--json"],
        ["--json", "get", "--node", "NODE", "k"],
        ["get", "--json", "--node=NODE", "k"],
        ["--timeout", "7", "get", "--json", "k", "--wait", "0", "--node", "NODE"],
    ],
    ids=" ".join,
)
def test_flags_stand_before_or_after_the_command(arguments, kv, trio, x):
    x.put("k", "v")
    address = trio["X"].listen
    code, output, _ = kv(*(argument.replace("NODE", address) for argument in arguments))
    assert code == 0 and json.loads(output)["value"] == "v"


def test_the_node_is_the_variables_unless_a_flag_names_it(kv, trio, monkeypatch):
    monkeypatch.setenv("KVNODE_NODE", trio["Y"].listen)
    assert kv("ping").output == b"Y\n"
    assert kv("--node", trio["X"].listen, "ping").output == b"X\n"
    assert kv("ping", "--node", trio["Z"].listen).output == b"Z\n"
    assert kv("--node", trio["X"].listen, "ping", "--node", trio["Z"].listen).output == b"Z\n"


def test_the_version_is_told(kv):
    assert kv("--version") == (0, f"kv {__version__}\n".encode(), "")


# --- as a real process


def test_a_real_pipe_gets_the_same_bytes(trio, x):
    x.put("k", bytes(range(256)))
    ended = process.run("get", "k", "--node", trio["X"].listen)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, bytes(range(256)), b"")


def test_keys_and_values_that_are_no_text_are_the_bytes_that_were_typed(trio, x):
    node = ["--node", trio["X"].listen]
    assert process.run(*node, "put", b"\xff\xfe", b"\xfd").returncode == 0
    assert x.get(b"\xff\xfe") == b"\xfd"
    ended = process.run(*node, "get", b"\xff\xfe")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"\xfd", b"")
    assert process.run(*node, "get", b"\xff").stderr.count(b"\n") == 1


def test_a_reader_that_goes_away_is_no_mishap(trio, x):
    x.put("k", bytes(4_000_000))
    started = process.start("--node", trio["X"].listen, "get", "k")
    started.stdout.close()
    with started:
        assert started.stderr.read() == b""
    assert started.returncode == 141


def test_kv_starts_without_what_only_a_node_needs():
    """It is to cost little more than Python and pyzmq."""
    heavy = (
        "rocksdict asyncio dataclasses inspect hashlib subprocess tempfile readline shlex "
        "zlib kvnode.core.messages kvnode.cli.shell kvnode.cli.completion kvnode.cli.importing "
        "kvnode.cli.records"
    )
    script = f"import sys, kvnode.cli.kv; print(*(set({heavy.split()!r}) & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert ended.stdout == b"\n"
