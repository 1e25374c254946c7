"""Fixtures of the nemesis."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from tests.nemesis.tools import why_not


@pytest.fixture(scope="session")
def _able() -> str | None:
    return why_not()


@pytest.fixture(autouse=True)
def _ready(_able: str | None) -> Iterator[None]:
    """Skips where the tools are missing. Being told to end counts as Ctrl-C meanwhile, so
    that daemons and namespaces go with the test."""
    if _able is not None:
        pytest.skip(_able)
    before = signal.signal(signal.SIGTERM, _interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(f"signal {number}")
