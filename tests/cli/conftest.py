"""Runs `kv` in this process as if its output were piped."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from kvnode.cli.kv import main


class Ended(NamedTuple):
    """What a command left."""

    code: int
    output: bytes
    errors: str


@pytest.fixture
def kv(capsysbinary, monkeypatch):
    """Runs one command."""
    monkeypatch.delenv("KVNODE_NODE", raising=False)

    def kv(*arguments):
        capsysbinary.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stopped:  # argparse ends so
            code = stopped.code
        output, errors = capsysbinary.readouterr()
        return Ended(code, output, errors.decode())

    return kv


@pytest.fixture
def at_x(kv, trio):
    """Runs one command at the node X."""
    return lambda *arguments: kv("--node", trio["X"].listen, *arguments)
