"""`kv` when things go wrong: what it says, where, and with which exit code."""

from __future__ import annotations

import base64
import json
import socket

import pytest

from kvnode import Client
from kvnode.cli import kv as kv_module
from kvnode.codec.token import encode_token
from kvnode.core.vector import new_origin
from tests.client.fake_node import FakeNode, answering, silent

MISTAKES = [
    [],
    ["incr", "k"],
    ["get"],
    ["get", "k", "l"],
    ["put", "k"],
    ["put", "k", "v", "w"],
    ["ping", "X"],
    ["ping", "--no-such-flag"],
    ["ping", "--timeout", "soon"],
    ["ping", "--timeout", "-1"],
    ["ping", "--timeout", "nan"],
    ["ping", "--wait", "601"],
    ["ping", "--node"],
]

REFUSED = [
    ["get", ""],
    ["get", 4097 * "k"],
    ["del", ""],
    ["put", "k", "{", "--json"],
    ["put", "k", str(2**64), "--json"],
    ["ping", "--node", "nowhere"],
    ["ping", "--node", ""],
]

# What the node answers, and the exit code.
ANSWERS = [
    ("malformed", False, 2),
    ("too_large", False, 2),
    ("unknown_operation", False, 2),
    ("overloaded", False, 4),
    ("refused", False, 4),
    ("wrong_cluster", False, 4),
    ("a code of tomorrow", False, 4),
    ("a code of tomorrow", True, 4),
    ("unavailable", False, 5),
    ("commit_failed", True, 5),
]


@pytest.fixture
def nobody():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"tcp://127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_wrong_command_line_is_told_in_one_line_with_exit_code_2(arguments, kv):
    code, output, errors = kv(*arguments)
    assert (code, output) == (2, b"")
    assert errors.startswith("kv") and errors.endswith(" --help\n") and errors.count("\n") == 1
    assert "_seconds" not in errors, "no name of a function of ours"


@pytest.mark.parametrize("arguments", REFUSED, ids=lambda arguments: " ".join(arguments)[:40])
def test_what_can_never_succeed_is_exit_code_2(arguments, at_x):
    code, output, errors = at_x(*arguments)
    assert code == 2
    if "--json" in arguments:
        assert errors == "" and json.loads(output)["error"] == "InvalidRequest"
    else:
        assert output == b"" and errors.startswith("kv: ") and errors.count("\n") == 1


def test_where_nobody_listens_is_exit_code_3(kv, nobody):
    said = f"no connection to {nobody} within 0.1 s"
    arguments = ["--node", nobody, "--timeout", "0.1", "get", "k"]
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


def test_a_node_without_its_disk_is_exit_code_5(kv, trio):
    with trio["X"].client() as client:
        status = client.status()
    status["storage"] = {"serving": False, "failures": 3, "last_error": "no space left"}
    with FakeNode(answering(("ok", status))) as node:
        code, output, errors = kv("--node", node.listen, "status")
        assert (code, errors) == (5, "")
        assert "storage     failing: no space left" in output.decode().splitlines()
        code, output, _ = kv("--node", node.listen, "status", "--json")
        assert code == 5 and json.loads(output)["storage"]["serving"] is False


def test_garbage_from_the_node_is_told_without_a_traceback(kv):
    with FakeNode(lambda _: [b"\xc1"]) as node:
        code, output, errors = kv("--node", node.listen, "get", "k")
    assert (code, output) == (4, b"") and errors.startswith("kv: ")


def test_a_session_of_another_cluster_is_exit_code_4(at_x, tmp_path):
    file = tmp_path / "token"
    file.write_bytes(base64.b64encode(encode_token("elsewhere", {new_origin("X", 1, 1): 1})))
    code, output, errors = at_x("--token-file", file, "get", "k")
    assert (code, output) == (4, b"") and "'elsewhere'" in errors


def test_ctrl_c_ends_as_shells_expect(at_x, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "ping", interrupted)
    assert at_x("ping") == (130, b"", "")


def test_every_command_is_tested_here():
    assert set(kv_module.COMMANDS) == {"put", "get", "del", "status", "ping"}
