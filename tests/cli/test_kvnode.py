"""`kvnode`: what it can be told, and how it ends."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from kvnode import __version__
from kvnode.cli.kvnode import main
from kvnode.daemon.config import Config


@pytest.fixture
def kvnode(capfd):
    """Runs one command that ends by itself: its exit code, output and errors."""

    def kvnode(*arguments):
        try:
            code = main(arguments)
        except SystemExit as stopped:  # argparse ends so
            code = stopped.code
        return code, *capfd.readouterr()

    return kvnode


def test_the_version_is_told(kvnode):
    assert kvnode("--version") == (0, f"kvnode {__version__}\n", "")


def test_the_help_of_serve_names_a_flag_for_each_setting(kvnode):
    code, output, _ = kvnode("serve", "--help")
    assert code == 0
    for field in dataclasses.fields(Config):
        flag = "join" if field.name == "peers" else field.name.replace("_", "-")
        assert f"  --{flag}" in output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "COMMAND"),
        (("fly",), "fly"),
        (("serve", "--fly"), "--fly"),
        (("demo", "X"), "X"),
        (("demo", "--seed", "1"), "--chaos"),
        (("demo", "--seconds", "1"), "--chaos"),
        (("demo", "--nodes", "a:1,b:1"), "three addresses"),
        (("demo", "--nodes", "a:1,b:1,c:1", "--chaos"), "--chaos"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments, named, kvnode):
    code, output, errors = kvnode(*arguments)
    assert (code, output) == (2, "")
    assert named in errors and errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("demo", "--seed", "1"), "--chaos"),
        (("demo", "--nodes", "a:1,b:1,c:1", "--chaos"), "--chaos"),
        (("config", "--join", "x:"), "--join"),
    ],
)
def test_a_mistake_is_a_document_with_json(arguments, named, kvnode):
    code, output, errors = kvnode(*arguments, "--json")
    told = json.loads(output)
    assert (code, errors, told["error"]) == (2, "", "InvalidRequest") and named in told["message"]


def test_a_daemon_that_cannot_serve_says_why_and_ends_with_1(tmp_path):
    (tmp_path / "file").touch()
    ended = subprocess.run(
        [sys.executable, "-m", "kvnode.cli.kvnode", "serve", "--name", "X", "--data", "file"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "ERROR   X: can't use the data directory file" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_only_a_command_that_needs_the_daemon_loads_it():
    script = "import sys, kvnode.cli.kvnode; print('rocksdict' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert ended.stdout == b"False\n"
