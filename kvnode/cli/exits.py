"""How both commands end: their exit codes, and what ends them from outside."""

from __future__ import annotations

import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

from kvnode.cli.streams import OutputFailed
from kvnode.cli.tokens import NotKept
from kvnode.errors import (
    CommitFailed,
    InvalidRequest,
    KvnodeError,
    TimedOut,
    Unavailable,
    Unreachable,
    UnreadableValue,
    Unreplicated,
)

OK: Final = 0
NOT_FOUND: Final = 1
FAILED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
REJECTED: Final = 4
UNHEALTHY: Final = 5
UNPRINTED: Final = 6
UNREADABLE: Final = 7
FAULT: Final = 70  # as sysexits.h has it
INTERRUPTED: Final = 128 + signal.SIGINT
READER_LEFT: Final = 128 + signal.SIGPIPE
TERMINATED: Final = 128 + signal.SIGTERM

#: What each says, of both commands.
MEANINGS: Final = {
    OK: "done; a node that runs ends so when it is told to",
    NOT_FOUND: "kv: a key is not there; kvnode: the demo failed, what was checked or restored is "
    "damaged, or the node can't run",
    USAGE: "wrong usage, input that can't be read, or a line that can't be imported",
    UNREACHABLE: "unreachable, no answer in time, or fewer replicas in time than were asked for",
    REJECTED: "rejected by the node: a condition does not hold, it lacks what the session has "
    "seen, it can't go on with a watch or a scan, it is of another version; or a node uses the "
    "directory",
    UNHEALTHY: "the node's disk does not answer, or it is joining; for lag, a member is late; for "
    "ping --ready, the node is not",
    UNPRINTED: "the output can't be written, or the file of --token-file or --resume; standard "
    "error says so, and for a command that writes to the node, whether it did",
    UNREADABLE: "a value can't be read, as another client may put one; standard error names its "
    "key, and the others are shown",
    FAULT: "a fault of kvnode's own, with a traceback: please report it",
    INTERRUPTED: "Ctrl-C",
    READER_LEFT: "whoever read the output has left, as head does",
    TERMINATED: "ended by a signal (SIGTERM)",
}


def epilog() -> str:
    """The exit codes, for the end of a command's help."""
    lines = ["exit codes:"]
    for code, meaning in MEANINGS.items():
        lines += textwrap.wrap(
            meaning, 88, initial_indent=f"  {code:<5}", subsequent_indent=" " * 7
        )
    return "\n".join(lines)


def code_of(error: KvnodeError) -> int:
    """How a command ends that asked a node and failed so."""
    if isinstance(error, Unreachable | TimedOut | Unreplicated):
        return UNREACHABLE
    if isinstance(error, InvalidRequest):
        return USAGE
    if isinstance(error, UnreadableValue):
        return UNREADABLE
    if isinstance(error, NotKept):
        return UNPRINTED
    return UNHEALTHY if isinstance(error, Unavailable | CommitFailed) else REJECTED


class Terminated(KeyboardInterrupt):
    """A plain `kill`, where that is taken for Ctrl-C."""


def code_of_interrupt(interrupt: KeyboardInterrupt) -> int:
    """How a command ends that was told to."""
    return TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED


def guarded(
    program: str,
    command: Callable[[Sequence[str] | None], int],
    arguments: Sequence[str] | None,
) -> int:
    """Run a command to its end, and say in a line what else ends it: the exit code."""
    code = OK
    try:
        try:
            code = command(arguments)
        except SystemExit as ended:  # so a parser ends that was asked for help, or told a mistake
            code = int(ended.code or OK)
        sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        return code_of_interrupt(interrupt)
    except OutputFailed as failed:
        if failed.outcome or not failed.reader_has_left:
            print(f"{program}: {failed}", file=sys.stderr)
        return code or (READER_LEFT if failed.reader_has_left else UNPRINTED)
    return code


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Being told to end, in whatever way, is one KeyboardInterrupt: what runs after it cleans
    up, and impatience would leave processes running."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def interrupt(number: int, frame: FrameType | None) -> None:
        for one in numbers:
            signal.signal(one, signal.SIG_IGN)
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
