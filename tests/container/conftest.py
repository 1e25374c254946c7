"""Fixtures of the container tests."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.container.base import provide_base
from tests.container.engine import Engine, own_engine
from tests.container.project import Project
from tests.container.tools import why_not
from tests.nemesis.network import clients_in

#: compose.yaml's name of it.
IMAGE = "kvnode"

_serials = count(1)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A Docker engine with the base image. Skips where it can't be."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with own_engine() as engine:
        provide_base(engine)
        yield engine


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    """The image, built."""
    engine.docker("build", "--tag", IMAGE, ".")
    return IMAGE


@pytest.fixture
def project(engine: Engine, image: str) -> Iterator[Project]:
    """compose.yaml, of which nothing runs yet."""
    project = Project(engine, f"test{next(_serials)}")
    with clients_in(engine.name):
        yield project
        project.down()
