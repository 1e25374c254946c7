"""How commands end when they are done, and when something ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from kvnode import errors
from kvnode.cli.exits import NOT_FOUND, OK, code_of, guarded, interrupted_once

PRINTS = """
import sys
from kvnode.cli.exits import guarded

def command(arguments):
    print("x" * int(arguments[0]))
    return 0

sys.exit(guarded(command, sys.argv[1:]))
"""


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
    errors.MalformedError("why"): 4,
    errors.DefiniteError("why"): 4,
    errors.IndefiniteError("why"): 4,
    errors.KvnodeError("why"): 4,
    errors.Unavailable("why"): 5,
    errors.CommitFailed("why"): 5,
}


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

    assert guarded(command, ["a", "b"]) == code
    assert seen == [["a", "b"]]


def test_ctrl_c_ends_as_a_shell_expects_it(capsys):
    def command(_):
        raise KeyboardInterrupt

    assert guarded(command, None) == 130
    assert capsys.readouterr() == ("", "")


def test_other_errors_are_not_hidden():
    def command(_):
        raise LookupError

    with pytest.raises(LookupError):
        guarded(command, None)


@pytest.mark.parametrize("length", [1, 1_000_000])  # fails at the last flush, or before it
def test_a_reader_who_has_left_ends_it_without_a_traceback(length):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        command = [sys.executable, "-c", PRINTS, str(length)]
        ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=30)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, b"")


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
