"""Where a command starts: there is no moment in which Ctrl-C gives a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from kvnode.cli import start
from kvnode.cli.cluster import PATIENCE_S, until
from tests.cli import process
from tests.client.fake_node import FakeNode, silent

ROOT = Path(__file__).parents[2]

#: Begins a command as it is installed, or as a module, and presses Ctrl-C when a module is loaded.
INTERRUPTED = """
    import runpy, signal, sys

    class Finder:
        def find_spec(self, name, path, target=None):
            if name == {module!r}:
                signal.raise_signal(signal.SIGINT)

    sys.meta_path.insert(0, Finder())
    sys.argv = [{program!r}, *{arguments!r}]
    if {as_module}:
        runpy.run_module("kvnode.cli.{program}", run_name="__main__")
    else:
        from kvnode.cli import start
        start.{program}()
"""


def python(code):
    return subprocess.run(
        [sys.executable, "-c", dedent(code)],
        env=process.ENVIRONMENT,
        capture_output=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )


def test_what_begins_a_command_loads_nothing_of_weight():
    ended = python(
        """
        import sys
        before = set(sys.modules)
        import kvnode.cli.start
        print(*sorted(set(sys.modules) - before))
        """
    )
    loaded = ["__future__", "kvnode", "kvnode.cli", "kvnode.cli.start"]
    assert ended.stdout.decode().split() == loaded, ended.stderr


@pytest.mark.parametrize("as_module", [True, False], ids=["as a module", "installed"])
@pytest.mark.parametrize(
    ("program", "arguments", "module"),
    [
        ("kv", ["get", "k"], "typing"),
        ("kv", ["get", "k"], "argparse"),
        ("kv", ["get", "k"], "zmq.backend.cython"),
        ("kv", ["get", "k"], "kvnode.cli.commands.transfer"),
        ("kv", ["completion", "bash"], "kvnode.cli.completion"),
        ("kv", ["shell"], "kvnode.cli.shell"),
        ("kvnode", ["demo"], "kvnode.cli.demo"),
        ("kvnode", ["demo", "--chaos"], "kvnode.cli.chaos"),
        ("kvnode", ["check", "nowhere"], "rocksdict"),
        ("kvnode", ["serve"], "kvnode.daemon.loop"),
    ],
)
def test_ctrl_c_while_a_command_is_loaded_ends_it_without_a_word(
    as_module, program, arguments, module
):
    code = INTERRUPTED.format(
        module=module, program=program, arguments=arguments, as_module=as_module
    )
    ended = python(code)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")


@pytest.mark.parametrize("program", ["kv", "kvnode"])
def test_ctrl_c_while_python_itself_starts_is_held_back_by_the_scripts(program, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import os; os.kill(os.getpid(), 2)")
    held_back = (ROOT / ".venv" / "ready-runtime").read_text().splitlines()[1:] != [""]
    ended = subprocess.run(
        [ROOT / "bin" / program, "--version"],
        env=process.ENVIRONMENT | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    if held_back:
        assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")
    else:
        assert b"KeyboardInterrupt" in ended.stderr, "this machine has no env of GNU"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["get", "k"], b""),
        (["scan"], b""),
        (["put", "k", "v"], b"kv: interrupted: the write may have been made, or may still be\n"),
        (["del", "k"], b"kv: interrupted: the write may have been made, or may still be\n"),
    ],
    ids=lambda it: it[0] if isinstance(it, list) else "",
)
def test_ctrl_c_while_it_waits_says_whether_it_may_have_been_done(command, told):
    with (
        FakeNode(silent) as node,
        process.start(*command, "--node", node.listen) as started,
    ):
        until("it has asked", lambda: node.asked)
        started.send_signal(signal.SIGINT)
        output, errors = started.communicate(timeout=PATIENCE_S)
    assert (started.returncode, output, errors) == (130, b"", told)


def test_where_ctrl_c_is_ignored_it_stays_so():
    ended = python(
        """
        import signal
        from kvnode.cli import start
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        start.hold()
        start.begin()
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        """
    )
    assert ended.returncode == 0, ended.stderr


def test_once_it_has_begun_ctrl_c_is_an_exception():
    before = signal.getsignal(signal.SIGINT)
    try:
        start.hold()
        start.begin()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
