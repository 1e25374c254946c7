"""How far a command is, for whoever looks."""

from __future__ import annotations

import sys

import pytest

from kvnode.cli import progress
from kvnode.cli.progress import Progress


@pytest.fixture
def told(capsys, monkeypatch):
    """What is told in a run of five, on a terminal or not; time passes with each look."""

    def told(*, wanted, terminal):
        clock = iter(range(100))
        monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
        shown = Progress(wanted=wanted)
        for count in range(1, 13):
            shown.at("{} keys", 1000 * count)
        shown.end("12,000 keys")
        out, errors = capsys.readouterr()
        assert out == ""
        return errors

    return told


def test_nobody_is_told_who_does_not_look(told):
    assert told(wanted=False, terminal=False) == ""


def test_a_file_gets_a_line_now_and_then_if_that_is_wanted(told):
    assert told(wanted=True, terminal=False) == "5,000 keys\n10,000 keys\n12,000 keys\n"


@pytest.mark.parametrize("wanted", [True, False])
def test_a_terminal_has_a_line_that_changes(wanted, told):
    shown = told(wanted=wanted, terminal=True)
    assert shown.startswith("\r\x1b[K1,000 keys\r\x1b[K2,000 keys")
    assert shown.endswith("\r\x1b[K12,000 keys\n") and shown.count("\n") == 1


def test_some_things_everybody_is_told(capsys):
    Progress(wanted=False).tell("what matters")
    assert capsys.readouterr().err == "what matters\n"
