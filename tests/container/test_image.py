"""The image: small, without root, without tools, and about what it says."""

from __future__ import annotations

import json
import re

import pytest

from kvnode import __version__
from tests.container.base import base_image
from tests.container.tools import ROOT

#: Of what is laid over the base image.
LAYERS_BYTES_MAX = 60_000_000


@pytest.fixture(scope="module")
def inspected(engine, image):
    return json.loads(engine.docker("image", "inspect", image).stdout)[0]


def in_image(engine, image, *command, may_fail=False):
    return engine.docker(
        "run", "--rm", "--entrypoint", command[0], image, *command[1:], may_fail=may_fail
    )


def test_little_is_laid_over_the_base_image(engine, inspected):
    base = json.loads(engine.docker("image", "inspect", base_image()).stdout)[0]
    assert 0 < inspected["Size"] - base["Size"] <= LAYERS_BYTES_MAX


def test_it_does_not_run_as_root_and_owns_its_volume(engine, image):
    assert in_image(engine, image, "id", "-u").stdout == "7411\n"
    assert in_image(engine, image, "stat", "-c", "%u %a", "/data").stdout == "7411 750\n"


#: All pythons of an image, also those that its PATH does not lead to.
PYTHONS = "find /opt /usr -path '*/bin/python*' ! -name '*-config'"
BUILDERS = ("pip", "setuptools", "wheel")
COMPILERS = ("c++", "cc", "clang", "g++", "gcc", "ld", "make", "rustc")


@pytest.mark.parametrize("tool", BUILDERS)
def test_no_python_in_it_has_what_builds_packages(tool, engine, image):
    pythons = in_image(engine, image, "sh", "-c", PYTHONS).stdout.split()
    assert {"/opt/kvnode/bin/python", "/usr/local/bin/python"} <= set(pythons)
    for python in pythons:
        told = in_image(engine, image, python, "-c", f"import {tool}", may_fail=True)
        assert f"No module named '{tool}'" in told.stderr, python


def test_the_python_of_its_base_has_pip(engine, image):
    """Else the one before would prove nothing."""
    in_image(engine, base_image(), "/usr/local/bin/python", "-c", "import pip")


@pytest.mark.parametrize("tool", [*BUILDERS, *COMPILERS])
def test_it_has_nothing_to_build_with(tool, engine, image):
    told = in_image(engine, image, "sh", "-c", f"command -v {tool}", may_fail=True)
    assert (told.returncode, told.stdout) == (127, "")


def test_it_has_what_the_runbook_runs_in_a_pod(engine, image):
    """`kubectl cp` takes tar."""
    operations = (ROOT / "docs" / "OPERATIONS.md").read_text()
    in_pods = re.findall(
        r"^.*kubectl exec \S+ -- (\w+)(?:.*/lock (\w+))?", operations, re.MULTILINE
    )
    programs = {program for line in in_pods for program in line if program}
    assert {"kv", "kvnode", "flock", "mv", "rm"} <= programs
    script = 'for it; do command -v "$it" || exit; done'
    in_image(engine, image, "sh", "-c", script, "sh", "tar", *sorted(programs))


def test_its_labels_say_what_it_is(inspected):
    labels = inspected["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.title"] == "kvnode"
    assert labels["org.opencontainers.image.licenses"] == "MIT"


def test_a_label_with_another_version_than_the_package_ends_the_build(engine, image):
    told = engine.docker("build", "--build-arg", "KVNODE_VERSION=0.0.9", ".", may_fail=True)
    assert told.returncode != 0 and "KVNODE_VERSION is 0.0.9" in told.stdout + told.stderr


def test_the_base_image_is_an_argument(engine, image):
    told = engine.docker("build", "--build-arg=BASE_IMAGE=localhost:1/base", ".", may_fail=True)
    assert told.returncode != 0 and "localhost:1" in told.stdout + told.stderr


def test_the_version_of_python_is_an_argument(engine, image):
    build = ("build", "--build-arg=PYTHON_VERSION=0.9", ".")
    assert engine.docker(*build, may_fail=True).returncode != 0, "there is no such image"
    engine.docker("tag", base_image(), base_image().replace(":3.13", ":0.9"))
    engine.docker(*build)


def test_a_command_after_it_is_one_of_kvnode(engine, image):
    assert engine.docker("run", "--rm", image, "--version").stdout == f"kvnode {__version__}\n"
    assert in_image(engine, image, "kv", "--version").stdout == f"kv {__version__}\n"
