"""Where a process of either command starts and ends, whatever moment Ctrl-C comes at.

To load a command takes a tenth of a second, and Python would answer a Ctrl-C in it with a
traceback. So this module loads nothing of weight, and is there before all else.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # `signal` first makes enumerations
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

#: See `exits`, which is not loaded yet.
_INTERRUPTED = 128 + signal.SIGINT
_FAULT = 70


def hold() -> None:
    """Until `begin`, Ctrl-C ends the process at once and without a word: there is nothing to clean
    up yet. Where it is ignored, as in the background of a script, it stays so. One that came while
    Python started was held back by `bin/kv` or `bin/kvnode`."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def begin() -> None:
    """From now on Ctrl-C is a KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run(main: Callable[[], int]) -> NoReturn:
    """Run a command as a process of its own."""
    from kvnode.cli import streams

    try:
        streams.prepare()
        code = main()
    except Exception:  # what nobody foresaw must not be taken for an answer, such as "not found"
        sys.excepthook(*sys.exc_info())
        code = _FAULT
    # It is done; only Python itself has still to end. What could not be printed by now must not
    # hold it up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    streams.give_up_output()
    sys.exit(code)


def kv() -> NoReturn:
    """The command `kv`, as it is installed."""
    hold()
    from kvnode.cli.kv import main

    run(main)


def kvnode() -> NoReturn:
    """The command `kvnode`, as it is installed."""
    hold()
    from kvnode.cli.kvnode import main

    run(main)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(_INTERRUPTED)
