"""Completion: what may stand where, in the shell of kv, in bash, and in scripts for others."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from kvnode.cli.completion import candidates, script, words_of
from kvnode.cli.kv import COMMANDS, parser_of
from kvnode.cli.parser import Parser

ALL = sorted([*COMMANDS, "shell", "completion"])


@pytest.fixture
def parser():
    """One with a bit of each."""
    made = Parser(prog="tool", add_help=False)
    made.add_argument("--node", action="append", help="the node's [address]")
    made.add_argument("--json", action="store_true")
    commands = made.add_subparsers(dest="command")
    put = commands.add_parser("put", help="write a value; it's kept", add_help=False)
    put.add_argument("key")
    put.add_argument("value")
    put.add_argument("--ttl", type=float)
    put.add_argument("--level", choices=["low", "high"])
    load = commands.add_parser("load", add_help=False)
    load.add_argument("file")
    load.add_argument("--state", type=Path)
    commands.add_parser("drop", add_help=False).add_argument("keys", nargs="*")
    commands.add_parser("shade", add_help=False).add_argument("colour", choices=["red", "ruby"])
    return made


# What is typed before, the word that is being typed, and what it may be.
OFFERED = [
    ([], "", ["drop", "load", "put", "shade"]),
    ([], "p", ["put"]),
    ([], "x", []),
    ([], "--", ["--json", "--node"]),
    (["--json"], "", ["drop", "load", "put", "shade"]),
    (["--node"], "", []),
    (["--node", "put"], "", ["drop", "load", "put", "shade"]),
    (["put"], "", None),
    (["put"], "--", ["--level", "--ttl"]),
    (["put", "--ttl"], "", []),
    (["put", "--level"], "", ["high", "low"]),
    (["put", "--level"], "h", ["high"]),
    (["put", "--level", "high"], "", None),
    (["put", "k"], "", []),
    (["put", "k", "v"], "", []),
    (["put", "k", "v"], "--t", ["--ttl"]),
    (["drop"], "", None),
    (["drop", "k", "l"], "", None),
    (["shade"], "r", ["red", "ruby"]),
    (["shade", "red"], "r", []),
    (["steal"], "", []),
]


@pytest.mark.parametrize(("before", "start", "offered"), OFFERED)
def test_what_a_word_may_be(before, start, offered, parser):
    assert candidates(words_of(parser), before, start) == offered


# --- bash


def completed(script_, program, line, directory=None):
    """What bash offers at the end of a line."""
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    ask = (
        f"{script_}\nCOMP_WORDS=({' '.join(map(shlex.quote, words))})\n"
        f"COMP_CWORD={len(words) - 1}\n_{program}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    ran = subprocess.run(
        ["bash", "--norc", "-c", ask], capture_output=True, text=True, cwd=directory, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return sorted(ran.stdout.split())


@pytest.mark.parametrize(
    ("before", "start", "offered"), [it for it in OFFERED if it[0] not in (["put", "k"], ["steal"])]
)
def test_bash_offers_the_same(before, start, offered, parser):
    if before[:2] in (["shade", "red"],):
        offered = ["red", "ruby"]  # it does not count what was given
    line = " ".join(["tool", *before, start])
    assert completed(script(parser, "bash"), "tool", line) == (offered or [])


@pytest.mark.parametrize("line", ["tool load ", "tool load --state ", "tool load --state x "])
def test_bash_offers_files_where_one_is_meant(line, parser, tmp_path):
    (tmp_path / "one").touch()
    (tmp_path / "two").touch()
    assert completed(script(parser, "bash"), "tool", line, tmp_path) == ["one", "two"]


def test_bash_offers_what_kv_has(kv):
    code, output, errors = kv("completion", "bash")
    made = output.decode()
    assert (code, errors) == (0, "")
    assert completed(made, "kv", "kv ") == ALL
    assert completed(made, "kv", "kv --json l") == ["lag", "ls"]
    assert completed(made, "kv", "kv --node put ls --lo") == ["--long"]
    assert completed(made, "kv", "kv completion ") == ["bash", "fish", "zsh"]
    for name in ALL:
        offered = completed(made, "kv", f"kv {name} --")
        assert {"--json", "--node", "--token-file", "--help"} <= set(offered)


# --- others


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_has_all_commands_and_flags(shell, kv):
    made = kv("completion", shell).output.decode()
    words = words_of(parser_of(in_shell=False))
    for name, command in words.commands.items():
        assert name in made
        for flag in command.flags:
            assert flag.flag.removeprefix("--") in made
    document = kv("completion", shell, "--json").output
    assert b'"script"' in document and document.count(b"\n") == 1


@pytest.mark.parametrize("shell", [*filter(shutil.which, ["bash", "zsh", "fish"])])
def test_the_shells_that_are_here_take_their_scripts(shell, parser):
    for made in (script(parser, shell), script(parser_of(in_shell=False), shell)):
        subprocess.run([shell, "-n", "-c", made], check=True)


def test_what_quotes_and_brackets_are_in_help_stay_help(parser):
    assert "'write a value; it'\\''s kept'" in script(parser, "fish")
    assert r"'*--node[the node'\''s \[address\]]: : '" in script(parser, "zsh")
