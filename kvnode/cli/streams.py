"""Standard input, output and error of a process, whatever they lead to.

Any of them may be closed, or lead to a full disk, to a pipe whose reader has left, or to a terminal
that can't show each character. What goes wrong with them is told as an error of ours.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from kvnode.errors import InvalidRequest

#: How each is opened where it is closed: so that it goes on failing, and no socket takes its number
#: and gets what is printed. Nobody can be told that standard error fails, so there it does not.
_IN_PLACE_OF_CLOSED: Final = {0: os.O_WRONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}


class OutputFailed(Exception):
    """What was printed could not be written."""

    def __init__(self, reason: str, *, reader_has_left: bool = False) -> None:
        self.reason = reason
        self.reader_has_left = reader_has_left
        #: What became of the work whose result it was, if that is another question.
        self.outcome = ""

    def __str__(self) -> str:
        return f"{self.outcome}the output can't be written: {self.reason}"


class _Input(io.FileIO):
    def readinto(self, buffer: Any) -> int | None:
        with _told():
            return super().readinto(buffer)

    def readall(self) -> bytes:
        with _told():
            return super().readall()


class _Output(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            while (written := super().write(data)) is None:  # others made it non-blocking
                select.select([], [self], [])
        except OSError as error:
            left = isinstance(error, BrokenPipeError)
            raise OutputFailed(_reason(error, "writing"), reader_has_left=left) from None
        return written


class _Errors(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            written = super().write(data)
        except OSError:
            written = None
        return len(data) if written is None else written


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = _reason(error, "reading")
        raise InvalidRequest(f"standard input can't be read: {reason}") from None


def _reason(error: OSError, purpose: str) -> str:
    if error.errno == errno.EBADF:
        return f"it is not open for {purpose}"
    return error.strerror or str(error)


def prepare() -> None:
    """Open what is closed, and have failures told as errors of ours; characters that can't be shown
    are escaped as in Python."""
    for number, flags in _IN_PLACE_OF_CLOSED.items():
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is this one. Children get it as they would any.
            os.set_inheritable(os.open(os.devnull, flags), True)
    encoding = sys.stdout.encoding if sys.stdout else "utf-8"
    # As arguments are read, so that `os.fsencode` gives the very bytes.
    sys.stdin = io.TextIOWrapper(
        io.BufferedReader(_Input(0, "rb", closefd=False)),
        encoding=sys.getfilesystemencoding(),
        errors="surrogateescape",
    )
    unbuffered = bool(getattr(sys.stdout, "write_through", False))  # as PYTHONUNBUFFERED has it
    sys.stdout = _text(_Output(1, "wb", closefd=False), encoding, at_once=unbuffered)
    sys.stderr = _text(_Errors(2, "wb", closefd=False), encoding, at_once=True)


def _text(raw: io.FileIO, encoding: str, *, at_once: bool) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=raw.isatty() or at_once,
    )


def expect_output() -> None:
    """Raise OutputFailed where standard output was closed from the start: for who is to print what
    it has done, before it does it."""
    if fcntl.fcntl(1, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        failed = OutputFailed("it is not open for writing")
        failed.outcome = "nothing was done, since "
        raise failed


@contextmanager
def printing(outcome: str) -> Iterator[None]:
    """Print in here what became of a command: where that fails, the error begins with this."""
    try:
        yield
        sys.stdout.flush()
    except OutputFailed as failed:
        failed.outcome = failed.outcome or outcome
        raise


def give_up_output() -> None:
    """Nothing that is still to be printed matters: Python writes it once more as it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
