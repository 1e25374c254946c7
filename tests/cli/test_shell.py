"""`kv shell`: commands in one session, from a pipe and at a prompt."""

from __future__ import annotations

import argparse
import json
import os
import pty
import select
import signal
import time

import pytest

from kvnode import Client
from kvnode.cli.cluster import PATIENCE_S
from kvnode.cli.kv import Seat, parser_of
from kvnode.cli.shell import Shell
from kvnode.codec.token import encode_token, printable
from kvnode.core.vector import new_origin
from tests.cli import process
from tests.client.fake_node import FakeNode, answering


@pytest.fixture
def piped(trio):
    """Runs commands from a pipe."""

    def piped(script, *arguments):
        ended = process.run("--node", trio["X"].listen, *arguments, "shell", input=script.encode())
        return ended.returncode, ended.stdout.decode(), ended.stderr.decode()

    return piped


# --- from a pipe


def test_commands_are_those_of_the_command_line(piped):
    script = "put sh/1 'two words'\nls sh/\n\n  # a comment\nget sh/1\nget sh/1 --json\nping"
    code, output, errors = piped(script)
    assert (code, errors) == (0, "")
    one, two, *_ = output.splitlines()
    assert one == "sh/1" and two.startswith("two words{") and output.endswith("X\n")


def test_mistakes_end_nothing_and_the_first_one_is_the_exit_code(piped):
    script = "get sh/missing\nincr k\nput 'k\nput\nget '' \nputs\nping\n"
    code, output, errors = piped(script)
    assert (code, output) == (1, "X\n")
    first, *others = errors.splitlines()
    assert first == "kv: sh/missing: not found" and len(others) == 5
    assert all(other.startswith("kv") for other in others)


def test_exit_ends_it_and_help_is_no_failure(piped):
    code, output, _ = piped("help\nhelp put\nput --help\nexit\nping\n")
    assert code == 0 and output.startswith("usage: kv") and output.count("usage: kv put") == 2
    assert "X\n" not in output and "completion" not in output


def test_json_holds_for_all_lines(piped):
    _, output, _ = piped("put sh/1 1\nget sh/1\n", "--json")
    assert [json.loads(line)["key"] for line in output.splitlines()] == ["sh/1", "sh/1"]
    assert json.loads(output.splitlines()[1])["value"] == 1


def test_standard_input_is_for_commands(piped):
    code, output, errors = piped("put k\nimport\nping\n")
    assert (code, output) == (2, "X\n") and errors.count("standard input is for its commands") == 2


@pytest.mark.parametrize("line", ["--node x ping", "ping --node x", "shell", "completion bash"])
def test_what_the_shell_itself_has_is_no_part_of_its_lines(line, piped):
    assert piped(f"{line}\n")[0] == 2


def test_all_lines_are_one_session_and_it_is_kept(piped, trio, kv, tmp_path):
    token = tmp_path / "token"
    assert piped("put sh/session 1\nput sh/session 2\n", "--token-file", str(token))[0] == 0
    ended = kv("--node", trio["Y"].listen, "--token-file", token, "get", "sh/session")
    assert ended.output == b"2"


def test_a_session_that_is_lost_goes_on_where_that_was_said(kv):
    x = new_origin("X", 1, 1)
    flags = argparse.Namespace(
        node=None, token_file=None, timeout=1.0, wait=0.0, accept_loss=True, retry_writes=False
    )
    with FakeNode(answering(("lost", [(x, 2, 3)], {x: 1}))) as node:
        flags.node = [node.listen]
        with Seat(flags) as seat:
            seat.client._seen.merge(encode_token("c", {x: 3}))
            given = parser_of(in_shell=True).parse_args(["get", "k"])
            assert seat.run(given, _Quiet()) == 4  # lost once more, as this node says so always
            assert [asked.token for asked in node.asked] == [{x: 3}, {x: 1}]


class _Quiet:
    """Says nothing."""

    def error(self, _):
        pass


# --- at a prompt


class Terminal:
    """A shell at a terminal."""

    def __init__(self, directory, *arguments):
        self._own, its = pty.openpty()
        self.process = process.start(
            *arguments,
            "shell",
            stdin=its,
            env={"XDG_STATE_HOME": str(directory), "TERM": "dumb", "INPUTRC": "/dev/null"},
            terminal=its,
        )
        os.close(its)
        self._unread = ""

    def type(self, text):
        os.write(self._own, text.encode())

    def until(self, text, again=None):
        """Reads until something is there; does something again if nothing comes for long."""
        end = time.monotonic() + PATIENCE_S
        while text not in self._unread:
            ready, _, _ = select.select([self._own], [], [], 1)
            if ready:
                self._unread += os.read(self._own, 65536).decode()
            elif again is not None:
                again()
            assert time.monotonic() < end, f"no {text!r} in {self._unread!r}"
        self._unread = self._unread.partition(text)[2]

    def end(self):
        """The exit code."""
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self._own)


@pytest.fixture
def terminal(trio, tmp_path):
    """Starts a shell; it is ended."""
    started = []

    def terminal(*arguments):
        nodes = arguments or ("--node", trio["X"].listen)
        started.append(Terminal(tmp_path / "state", *nodes))
        return started[-1]

    yield terminal
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_the_prompt_shows_the_node_and_the_session(terminal, trio):
    shell = terminal()
    shell.until("X {}> ")
    shell.type("put sh/prompt 1\n")
    shell.until("ok\r\n")
    shell.until("X {X:")
    shell.until("}> ")
    shell.type("\x04")
    assert shell.end() == 0


def test_errors_and_ctrl_c_end_nothing(terminal, trio):
    shell = terminal()
    shell.until("> ")
    shell.type("get sh/missing\n")
    shell.until("kv: sh/missing: not found")
    shell.until("> ")
    shell.type("put sh/unwanted")
    shell.until("put sh/unwanted")
    # Python's readline may see a signal only when something else comes: then another one.
    shell.process.send_signal(signal.SIGINT)
    shell.until("\nX {", again=lambda: shell.process.send_signal(signal.SIGINT))
    shell.until("}> ")
    with trio["X"].client() as client:
        client.put("before", 1)
        since = printable(client.token)
        client.put("sh/watched", 1)
    shell.type(f"watch sh/watched --since {since}\n")
    shell.until("put\tsh/watched\t1")
    shell.type("\x03")
    shell.until("}> ")
    shell.type("exit\n")
    assert shell.end() == 0


def test_tab_completes_commands_flags_and_keys(terminal, trio):
    with trio["X"].client() as client:
        client.put_many({"tab/apple": "red", "tab/it's": "odd"})
    shell = terminal()
    shell.until("> ")
    shell.type("pers\t")
    shell.until("persist ")
    shell.type("\x15ls --lo\t")
    shell.until("--long ")
    shell.type("\x15get tab/\t")
    shell.until("tab/apple ")
    shell.type("\n")
    shell.until("red")
    shell.until("> ")
    shell.type("\x04")
    assert shell.end() == 0


def test_the_history_is_kept_for_its_owner(terminal, tmp_path):
    file = tmp_path / "state" / "kvnode" / "history"
    shell = terminal()
    shell.until("> ")
    shell.type("put sh/history secret\n")
    shell.until("ok")
    shell.until("> ")
    shell.type("\x04")
    assert shell.end() == 0
    assert file.read_text().splitlines()[-1] == "put sh/history secret"
    assert file.stat().st_mode & 0o777 == 0o600
    shell = terminal()
    shell.until("> ")
    shell.type("\x1b[A")
    shell.until("put sh/history secret")
    shell.type("\n")
    shell.until("> ")
    shell.type("\x04")
    assert shell.end() == 0


def test_a_node_that_is_away_costs_a_moment_and_no_shell(terminal):
    shell = terminal("--node", "127.0.0.1:1", "--timeout", "0.1")
    shell.until("tcp://127.0.0.1:1 {}> ")
    shell.type("ping\n")
    shell.until("kv: no connection")
    shell.until("> ")
    shell.type("get \t")
    shell.type("\x15\x04")
    assert shell.end() == 0


def test_a_long_vector_is_cut_in_the_prompt(monkeypatch):
    origins = {new_origin(name, 1, 1): 1 for name in "ABCDEFGH"}
    with FakeNode(answering(("ok", "X"))) as node, Client(node.listen) as client:
        client._seen.merge(encode_token("c", origins))
        seat = argparse.Namespace(client=client)
        shell = Shell(seat, parser_of(in_shell=True), as_json=False)
        assert shell._prompt() == "X {A:1 B:1 C:1 D:1 E:1 +3}> "
        assert shell._prompt() and len(node.asked) == 1, "the name is asked for once"
