"""How commands end when they are done, and when something ends them."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from kvnode import errors
from kvnode.cli import kv, kvnode
from kvnode.cli.exits import (
    MEANINGS,
    NOT_FOUND,
    OK,
    Terminated,
    code_of,
    guarded,
    interrupted_once,
)
from kvnode.cli.streams import OutputFailed
from kvnode.cli.tokens import NotKept

RUNBOOK = Path(__file__).parents[2] / "docs" / "OPERATIONS.md"

CODES = {
    errors.InvalidRequest("why"): 2,
    errors.Unreachable("why"): 3,
    errors.TimedOut("why"): 3,
    errors.Unreplicated("why", ("X", 1), 2, []): 3,
    errors.Conflict({}): 4,
    errors.Delayed("why", {}, {}, []): 4,
    errors.Compacted({}): 4,
    errors.SessionLost([], b""): 4,
    errors.CutGone("why"): 4,
    errors.Overloaded("why"): 4,
    errors.Refused("why"): 4,
    errors.Unsupported("why"): 4,
    errors.WrongNode("why"): 4,
    errors.UnreadableAnswer("why"): 4,
    errors.UnreadableValue("k", b"\xc1", "why"): 7,
    errors.MalformedError("why"): 4,
    errors.DefiniteError("why"): 4,
    errors.IndefiniteError("why"): 4,
    errors.KvnodeError("why"): 4,
    errors.Unavailable("why"): 5,
    errors.CommitFailed("why"): 5,
}


def test_a_file_that_cannot_be_written_has_the_code_of_output():
    assert code_of(NotKept("why")) == 6


@pytest.mark.parametrize("error", CODES, ids=lambda error: type(error).__name__)
def test_each_error_has_its_exit_code(error):
    assert code_of(error) == CODES[error]


def test_no_error_of_an_operation_is_left_out():
    raised = {it for it in vars(errors).values() if isinstance(it, type)}
    of_a_daemon = {errors.StorageError, errors.ConfigError}
    assert {it for it in raised if issubclass(it, errors.KvnodeError)} - of_a_daemon == set(
        map(type, CODES)
    )


@pytest.mark.parametrize("code", [OK, NOT_FOUND])
def test_a_command_gets_its_arguments_and_its_code_comes_back(code):
    seen = []

    def command(arguments):
        seen.append(arguments)
        return code

    assert guarded("kv", command, ["a", "b"]) == code
    assert seen == [["a", "b"]]


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        (KeyboardInterrupt(), 130, ""),
        (Terminated(), 143, ""),
        (SystemExit(2), 2, ""),
        (SystemExit(None), 0, ""),
        (OutputFailed("full"), 6, "kv: the output can't be written: full\n"),
        (OutputFailed("gone", reader_has_left=True), 141, ""),
    ],
    ids=lambda it: type(it).__name__,
)
def test_what_ends_a_command_has_a_code_and_a_line_at_most(raised, code, told, capsys):
    def command(_):
        raise raised

    assert guarded("kv", command, None) == code
    assert capsys.readouterr() == ("", told)


def test_other_errors_are_not_hidden():
    def command(_):
        raise LookupError

    with pytest.raises(LookupError):
        guarded("kv", command, None)


def test_the_help_of_both_commands_and_the_runbook_have_the_same_codes():
    codes = [str(code) for code in MEANINGS]
    for parser in (kv.parser_of(in_shell=False), kvnode._parser()):
        assert re.findall(r"^  (\d+) ", parser.format_help(), re.MULTILINE) == codes
    section = RUNBOOK.read_text().partition("## Exit codes")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\d+) ", section, re.MULTILINE) == codes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_cleans_up_is_not_interrupted_again(number):
    before = signal.getsignal(number)
    cleaned = []
    with pytest.raises(KeyboardInterrupt), interrupted_once():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            cleaned.append(number)
    assert cleaned == [number]
    assert signal.getsignal(number) is before
