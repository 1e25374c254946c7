"""`kv` when things go wrong: what it says, where, and with which exit code."""

from __future__ import annotations

import base64
import json
import socket

import pytest

from kvnode import Client
from kvnode.cli import kv as kv_module
from kvnode.codec.answers import encode_answer
from kvnode.codec.token import decode_token, encode_token, token_of
from kvnode.core.vector import new_origin
from tests.client.fake_node import FakeNode, answering, silent

MISTAKES = [
    [],
    ["incr", "k"],
    ["get"],
    ["put", "k", "v", "w"],
    ["put", "k", "v", "--ttl", "soon"],
    ["put", "k", "v", "--replicas", "0"],
    ["put", "k", "v", "--replicas", "1025"],
    ["put", "k", "v", "--replicas", "two"],
    ["put", "k", "v", "--replicas-timeout", "601"],
    ["touch", "k"],
    ["touch", "k", "soon"],
    ["put", "k", "v", "--ttl", "1w"],
    ["put", "k", "v", "--ttl", "0"],
    ["put", "k", "v", "--ttl", "nan"],
    ["put", "k", "v", "--ttl", "36501d"],
    ["put", "k", "v", "--replicas", "1", "--replicas-timeout", "0"],
    ["touch", "k", "-1"],
    ["touch", "k", "0"],
    ["persist"],
    ["ls", "a", "b"],
    ["ls", "--limit", "-1"],
    ["scan", "--limit", "-1"],
    ["scan", "--count"],
    ["watch", "--count", "0"],
    ["watch", "--for", "601"],
    ["watch", "--since", "AA", "--resume", "file"],
    ["export", "a", "b"],
    ["import", "a", "b"],
    ["lag", "--max", "-1"],
    ["lag", "X"],
    ["shell", "ping"],
    ["completion"],
    ["completion", "csh"],
    ["ping", "X"],
    ["ping", "--no-such-flag"],
    ["ping", "--timeout", "soon"],
    ["ping", "--timeout", "-1"],
    ["ping", "--timeout", "nan"],
    ["ping", "--timeout", "0"],
    ["get", "k", "--timeout", "0.0009"],
    ["ping", "--wait", "601"],
    ["forget"],
    ["members", "X"],
    ["ping", "--node"],
]

REFUSED = [
    ["get", ""],
    ["get", 4097 * "k"],
    ["del", ""],
    ["put", "k", "{", "--json"],
    ["put", "k", str(2**64), "--json"],
    ["put", "k", "NaN", "--json"],
    ["put", "k", "[1e999]", "--json"],
    ["put", "k", '{"a": 1, "a": 2}', "--json"],
    ["get", "\0kvnode/member/X"],
    ["forget", "a~b"],
    ["ping", "--node", "nowhere:"],
    ["ping", "--node", ""],
    ["put", "k", "v", "--replicas-timeout", "1"],
    ["touch", "", "1"],
    ["ls", "--count", "--limit", "5"],
    ["ls", "--count", "--reverse"],
    ["ls", "--count", "--long"],
    ["ls", 4097 * "k"],
    ["scan", "--start", 4097 * "k", "--json"],
    ["watch", "--since", "!"],
    ["watch", 4097 * "k"],
    ["import", "/no/such/file"],
    ["import", "/"],
]

# What the node answers, and the exit code.
ANSWERS = [
    ("malformed", False, 2),
    ("too_large", False, 2),
    ("unknown_operation", False, 4),
    ("overloaded", False, 4),
    ("refused", False, 4),
    ("wrong_cluster", False, 4),
    ("a code of tomorrow", False, 4),
    ("a code of tomorrow", True, 4),
    ("unavailable", False, 5),
    ("joining", False, 5),
    ("commit_failed", True, 5),
    ("cut_gone", False, 4),
    ("wrong_node", False, 4),
]


@pytest.fixture
def nobody():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"tcp://127.0.0.1:{unused.getsockname()[1]}"


def test_a_value_that_cannot_be_is_named_by_its_key_as_it_was_typed(at_x):
    code, output, _ = at_x("put", "grün", str(2**64), "--json")
    message = json.loads(output)["message"]
    assert code == 2 and message.startswith("the value of 'grün' "), message


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_wrong_command_line_is_told_in_one_line_with_exit_code_2(arguments, kv):
    code, output, errors = kv(*arguments)
    assert (code, output) == (2, b"")
    assert errors.startswith("kv") and errors.endswith(" --help\n") and errors.count("\n") == 1
    assert "_s" not in errors, "no name of ours"


@pytest.mark.parametrize("arguments", REFUSED, ids=lambda arguments: " ".join(arguments)[:40])
def test_what_can_never_succeed_is_exit_code_2(arguments, at_x):
    code, output, errors = at_x(*arguments)
    assert code == 2
    if "--json" in arguments:
        assert errors == "" and json.loads(output)["error"] == "InvalidRequest"
    else:
        assert output == b"" and errors.startswith("kv: ") and errors.count("\n") == 1
        assert "_s " not in errors, "no name of ours"


def test_where_nobody_listens_is_exit_code_3(kv, nobody):
    refused = "it was refused, or no way leads there; is a node running at that address?"
    said = f"no connection to {nobody}: {refused}"
    arguments = ["--node", nobody, "get", "k"]
    assert kv(*arguments) == (3, b"", f"kv: {said}\n")
    code, output, errors = kv("--json", *arguments)
    assert (code, errors) == (3, "")
    assert json.loads(output) == {"error": "Unreachable", "message": said, "maybe": False}


def test_a_node_that_does_not_answer_is_exit_code_3_and_the_write_may_be_there(kv):
    with FakeNode(silent) as node:
        arguments = ["--node", node.listen, "--timeout", "0.1", "--wait", "0", "put", "k", "1"]
        said = f"no answer from {node.listen} within 0.1 s"
        assert kv(*arguments) == (3, b"", f"kv: {said}\n")
        code, output, _ = kv("--json", *arguments)
    assert code == 3
    assert json.loads(output) == {"error": "TimedOut", "message": said, "maybe": True}


@pytest.mark.parametrize(("code", "maybe", "exit_code"), ANSWERS)
def test_an_error_of_the_node_has_its_exit_code(code, maybe, exit_code, kv):
    with FakeNode(answering(("error", code, "what is wrong", maybe))) as node:
        assert kv("--node", node.listen, "put", "k", "1") == (
            exit_code,
            b"",
            "kv: what is wrong\n",
        )
        ended = kv("--node", node.listen, "--json", "put", "k", "1")
    assert (ended.code, ended.errors) == (exit_code, "")
    document = json.loads(ended.output)
    assert document["message"] == "what is wrong" and document["maybe"] is maybe


@pytest.mark.parametrize(
    ("serving", "told"),
    [(False, "failing"), (True, "takes no writes, reads go on")],
)
def test_a_node_that_can_not_write_is_exit_code_5(kv, trio, serving, told):
    with trio["X"].client() as client:
        status = client.status()
    status["storage"] |= {"serving": serving, "writable": False, "last_error": "no space left"}
    with FakeNode(answering(("ok", status))) as node:
        code, output, errors = kv("--node", node.listen, "status")
        assert (code, errors) == (5, "")
        assert f"storage     {told}: no space left" in output.decode().splitlines()
        code, output, _ = kv("--node", node.listen, "status", "--json")
        assert code == 5 and json.loads(output)["storage"]["writable"] is False


def test_garbage_from_the_node_is_told_without_a_traceback(kv):
    with FakeNode(lambda _: [b"\xc1"]) as node:
        code, output, errors = kv("--node", node.listen, "get", "k")
    assert (code, output) == (4, b"") and errors.startswith("kv: ")


def test_a_session_of_another_cluster_is_exit_code_4(at_x, tmp_path):
    file = tmp_path / "token"
    file.write_bytes(base64.b64encode(encode_token("elsewhere", {new_origin("X", 1, 1): 1})))
    code, output, errors = at_x("--token-file", file, "get", "k")
    assert (code, output) == (4, b"") and "'elsewhere'" in errors


@pytest.fixture
def lost(tmp_path):
    """A node that has lost what a session saw, and the session's file."""
    origin = new_origin("X", 1, 1)
    file = tmp_path / "token"
    file.write_bytes(base64.b64encode(encode_token("c", {origin: 3})))

    def answer(asked):
        if asked.token == {origin: 3}:
            return [encode_answer(asked.id, None, [("lost", [(origin, 2, 3)], {origin: 1})])]
        return [
            encode_answer(asked.id, encode_token("c", {origin: 2}), [("ok", origin, 2, 1, None)])
        ]

    with FakeNode(answer) as node:
        yield node, file, origin


def test_what_no_node_has_any_more_is_exit_code_4_and_says_how_to_go_on(lost, kv):
    node, file, origin = lost
    before = file.read_bytes()
    arguments = ["--node", node.listen, "--token-file", file, "put", "k", "1"]
    assert kv(*arguments) == (
        4,
        b"",
        "kv: no node has any more what this session has seen: X:2-3; "
        "to go on without it, add --accept-loss\n",
    )
    code, output, errors = kv("--json", *arguments)
    assert (code, errors) == (4, "")
    document = json.loads(output)
    assert (document["error"], document["status"], document["maybe"]) == (
        "SessionLost",
        "lost",
        False,
    )
    assert document["missing"] == [[origin, 2, 3]]
    assert file.read_bytes() == before


def test_a_session_goes_on_without_it_where_that_is_said(lost, kv):
    node, file, origin = lost
    arguments = ["--node", node.listen, "--token-file", file, "--accept-loss", "put", "k", "v"]
    assert kv(*arguments) == (0, b"", "")
    assert decode_token(token_of(file.read_text())) == ("c", {origin: 2})
    assert kv(*arguments) == (0, b"", ""), "nothing is lost any more"


def test_ctrl_c_ends_as_shells_expect(at_x, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "ping", interrupted)
    assert at_x("ping") == (130, b"", "")


@pytest.mark.parametrize("name", kv_module.COMMANDS)
def test_every_command_ends_so_where_nobody_is_and_where_the_node_fails(name, kv, nobody, tmp_path):
    (tmp_path / "file").write_text('{"key": "k", "value": 1}\n')
    arguments = {"put": ["k", "1"], "touch": ["k", 5], "import": [tmp_path / "file"]}
    arguments |= {one: ["k"] for one in ("get", "read", "del", "persist", "forget")}
    command = [name, *arguments.get(name, []), "--timeout", "0.5", "--json"]
    said = json.loads(kv(*command, "--node", nobody).output.splitlines()[0])
    assert said["error"] == "Unreachable"
    assert kv(*command, "--node", nobody).code == 3
    answers = {"unavailable": 5, "refused": 4, "malformed": 2}
    for error, code in answers.items():
        with FakeNode(answering(("error", error, "what is wrong", False))) as node:
            ended = kv(*command, "--node", node.listen)
        assert ended.code == code
        assert json.loads(ended.output.splitlines()[0])["message"] == "what is wrong"


@pytest.mark.parametrize("command", [["put", "k", "1"], ["del", "k"]], ids=lambda it: it[0])
def test_too_few_replicas_in_time_are_exit_code_3_and_the_write_is_there(command, at_x, trio):
    assert at_x("put", "k", "1").code == 0
    arguments = [*command, "--replicas", "4", "--replicas-timeout", "3"]
    code, output, errors = at_x(*arguments)
    assert (code, output) == (3, b"") and "is written, but only" in errors
    assert at_x("put", "k", "1").code == 0
    code, output, errors = at_x(*arguments, "--json")
    document = json.loads(output)
    assert (code, errors, document["maybe"], document["wanted"]) == (3, "", True, 4)
    assert document["status"] == "unreplicated" and "X" in document["names"]


def test_a_node_that_is_no_more_and_another_one(kv, nobody, trio):
    nodes = f"{nobody},{trio['Y'].listen}"
    for named in (["--node", nodes], ["--node", nobody, "--node", trio["Y"].listen]):
        assert kv(*named, "put", "fail-over", "v") == (0, b"", "")
        assert kv(*named, "--retry-writes", "put", "fail-over", "w") == (0, b"", "")
        assert kv(*named, "get", "fail-over") == (0, b"w", "")


def test_the_variable_may_name_several_nodes(kv, nobody, trio, monkeypatch):
    monkeypatch.setenv("KVNODE_NODE", f"{nobody},{trio['Y'].listen}")
    assert kv("put", "fail-over", "v") == (0, b"", "")
