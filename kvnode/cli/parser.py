"""Command lines, with mistakes told in one line."""

from __future__ import annotations

import argparse
from typing import NoReturn

from kvnode.cli.exits import USAGE


class Parser(argparse.ArgumentParser):
    """An argument parser that does not answer a mistake with a page of usage."""

    def error(self, message: str) -> NoReturn:
        """Tell the mistake and where help is."""
        self.exit(USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")
