"""Logging: stdlib, to standard error, for people or as JSON lines."""

from __future__ import annotations

import json
import logging
import time
from typing import Final

from kvnode.daemon.sink import Sink

LOGGER: Final = logging.getLogger("kvnode")

#: The number of standard error, whatever Python has made of it.
STDERR: Final = 2

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


class _Handler(logging.Handler):
    """Gives the lines to a sink, and waits for nobody."""

    def __init__(self, formatter: logging.Formatter, descriptor: int) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.sink = Sink(descriptor, self._notice)

    def emit(self, record: logging.LogRecord) -> None:
        self.sink.put(self._line(record))

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode(errors="backslashreplace")

    def _notice(self, dropped: int) -> bytes:
        message = "%d lines of the log were dropped here, since nobody read it or its disk was full"
        where = (LOGGER.name, logging.WARNING, __file__, 0)
        return self._line(logging.LogRecord(*where, message, (dropped,), None))


def configure(node: str, log_format: str, level: str) -> Sink:
    """Send the log of this process to standard error, by what is returned."""
    formatter: logging.Formatter = _JsonFormatter(node)
    if log_format != "json":
        formatter = _HumanFormatter(f"%(asctime)s %(levelname)-7s {node}: %(message)s")
    handler = _Handler(formatter, STDERR)
    LOGGER.handlers = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel(level.upper())
    return handler.sink


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
