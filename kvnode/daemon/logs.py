"""Logging: stdlib, to standard error, for people or as JSON lines."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Final

LOGGER: Final = logging.getLogger("kvnode")

#: What strangers can cause is logged once in this time, with a count of the rest.
REPEAT_S: Final = 5.0


class _HumanFormatter(logging.Formatter):
    default_msec_format = "%s.%03d"


class _JsonFormatter(logging.Formatter):
    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "node": self._node,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(node: str, log_format: str, level: str) -> None:
    """Send the log of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    if log_format == "json":
        handler.setFormatter(_JsonFormatter(node))
    else:
        handler.setFormatter(_HumanFormatter(f"%(asctime)s %(levelname)-7s {node}: %(message)s"))
    LOGGER.handlers = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel(level.upper())


class Complaints:
    """Counts what goes wrong from outside, and logs each kind now and then."""

    def __init__(self, level: int = logging.WARNING, repeat_s: float = REPEAT_S) -> None:
        self.counts: dict[str, int] = {}
        self._level = level
        self._repeat_s = repeat_s
        self._logged: dict[str, tuple[float, int]] = {}

    def add(self, kind: str, message: str) -> None:
        """Count one of this kind; the kinds are ours, so there are few."""
        count = self.counts[kind] = self.counts.get(kind, 0) + 1
        now = time.monotonic()
        logged_at, logged_count = self._logged.get(kind, (now - self._repeat_s, 0))
        if now - logged_at >= self._repeat_s:
            self._logged[kind] = (now, count)
            more = count - logged_count - 1
            suffix = f" ({more} more of this kind since the last line)" if more else ""
            LOGGER.log(self._level, "%s: %s%s", kind.replace("_", " "), message, suffix)
