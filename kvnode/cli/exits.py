"""How both commands end: their exit codes, and what ends them from outside."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

from kvnode.errors import (
    CommitFailed,
    InvalidRequest,
    KvnodeError,
    TimedOut,
    Unavailable,
    Unreachable,
    Unreplicated,
)

OK: Final = 0
#: The key is not there; also, for `kvnode`, that it could not do its work.
NOT_FOUND: Final = 1
FAILED: Final = 1
USAGE: Final = 2
#: Nothing was sent, or no answer came in time; or not so many replicas as were asked for.
UNREACHABLE: Final = 3
#: The node answered with an error.
REJECTED: Final = 4
#: The node is there, but its disk does not answer; or it is not as it was asked to be.
UNHEALTHY: Final = 5


def code_of(error: KvnodeError) -> int:
    """How a command ends that asked a node and failed so."""
    if isinstance(error, Unreachable | TimedOut | Unreplicated):
        return UNREACHABLE
    if isinstance(error, InvalidRequest):
        return USAGE
    return UNHEALTHY if isinstance(error, Unavailable | CommitFailed) else REJECTED


def guarded(command: Callable[[Sequence[str] | None], int], arguments: Sequence[str] | None) -> int:
    """Run a command; Ctrl-C and a reader who has seen enough end it without a traceback."""
    try:
        code = command(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Python flushes once more as it ends; that must find someone who listens.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return code


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Being told to end, in whatever way, is one KeyboardInterrupt: what runs after it cleans
    up, and impatience would leave processes behind."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def interrupt(number: int, frame: FrameType | None) -> None:
        for one in numbers:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
