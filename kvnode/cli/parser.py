"""Command lines, with mistakes told in one line."""

from __future__ import annotations

import argparse
from typing import Any, Final, NoReturn

from kvnode.cli.exits import USAGE
from kvnode.core.limits import REQUEST_DEADLINE_MS_MAX, TTL_MS_MAX

#: Seconds in each unit of time.
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

#: Nodes and clients count in milliseconds.
_LEAST_S: Final = 0.001


class Parser(argparse.ArgumentParser):
    """An argument parser that does not answer a mistake with a page of usage, and takes no part of
    a flag for the flag: another release may have two that begin so."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Tell the mistake and where help is."""
        self.exit(USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def duration(text: str) -> float:
    """The type of arguments that say how long something takes or lives: in seconds."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        return float(number) * _UNITS[unit]
    except ValueError:
        message = f"{text[:80]!r} is no time: give seconds, or a unit too, as in 90s, 15m, 1.5h, 7d"
        raise argparse.ArgumentTypeError(message) from None


def lifetime(text: str) -> float:
    """The type of arguments that say how long a value lives."""
    seconds = duration(text)
    if not _LEAST_S <= seconds <= TTL_MS_MAX / 1000:
        days = TTL_MS_MAX // 86_400_000
        raise argparse.ArgumentTypeError(f"{text} is not from {_LEAST_S:g}s to {days:,} days")
    return seconds


def timeout(text: str) -> float:
    """The type of arguments that say how long an answer may take, which always takes a while."""
    seconds = duration(text)
    if not _LEAST_S <= seconds <= REQUEST_DEADLINE_MS_MAX / 1000:
        raise argparse.ArgumentTypeError(f"{text} is not from {_LEAST_S:g} to 600 seconds")
    return seconds


def seconds(text: str) -> float:
    """The type of arguments that say how long to wait."""
    seconds = duration(text)
    if not 0 <= seconds <= REQUEST_DEADLINE_MS_MAX / 1000:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 600 seconds")
    return seconds
