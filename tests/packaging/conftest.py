"""One build for all tests, and one environment for each interpreter."""

from __future__ import annotations

from functools import cache

import pytest

from tests.packaging.installed import Installed, build, interpreters


@pytest.fixture(scope="session")
def distributions(tmp_path_factory):
    """The source distribution and the wheel."""
    return build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="session")
def install(distributions, tmp_path_factory):
    """Installs the wheel for the Python of a version, once."""

    @cache
    def install(version):
        directory = tmp_path_factory.mktemp(f"python{version}-")
        return Installed(directory / "venv", interpreters()[version], distributions[1])

    return install
