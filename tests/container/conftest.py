"""Fixtures of the container tests."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import FrameType

import pytest

from tests.container.base import provide_base
from tests.container.engine import Engine
from tests.container.project import Project
from tests.container.tools import why_not

#: compose.yaml's name of it.
IMAGE = "kvnode"

_serials = count(1)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A Docker engine with the base image. Skips where it can't be; being told to end counts as
    Ctrl-C meanwhile, so that it goes with the tests."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    before = signal.signal(signal.SIGTERM, _interrupt)
    directory = Path(tempfile.mkdtemp(prefix="kvnode-engine-"))
    try:
        with Engine(directory) as engine:
            provide_base(engine, directory)
            yield engine
    finally:
        shutil.rmtree(directory)
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    """The image, built."""
    engine.docker("build", "--tag", IMAGE, ".")
    return IMAGE


@pytest.fixture
def project(engine: Engine, image: str) -> Iterator[Project]:
    """compose.yaml, of which nothing runs yet."""
    project = Project(engine, f"test{next(_serials)}")
    yield project
    project.down()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(f"signal {number}")
