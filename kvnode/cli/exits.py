"""How both commands end: their exit codes, and what ends them from outside."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final

OK: Final = 0
#: The key is not there; also, for `kvnode`, that it could not do its work.
NOT_FOUND: Final = 1
FAILED: Final = 1
USAGE: Final = 2
#: Nothing was sent, or no answer came in time.
UNREACHABLE: Final = 3
#: The node answered with an error.
REJECTED: Final = 4
#: The node is there, but its disk does not answer.
UNHEALTHY: Final = 5


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
