"""Command lines, with mistakes told in one line."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from kvnode.cli.exits import USAGE
from kvnode.core.limits import REQUEST_DEADLINE_MS_MAX


class Parser(argparse.ArgumentParser):
    """An argument parser that does not answer a mistake with a page of usage, and takes no part of
    a flag for the flag: another release may have two that begin so."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Tell the mistake and where help is."""
        self.exit(USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def seconds(text: str) -> float:
    """The type of arguments that say how long to wait."""
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not 0 <= seconds <= REQUEST_DEADLINE_MS_MAX / 1000:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 600")
    return seconds
