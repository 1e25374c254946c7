"""What is given out: a wheel that works outside the checkout, and its sources."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from kvnode import __version__
from kvnode.cli.cluster import PATIENCE_S
from tests.packaging.installed import ROOT, interpreters

THIS = f"{sys.version_info.major}.{sys.version_info.minor}"

CLIENT = """
import kvnode
with kvnode.Client("{node}", timeout_s={patience_s}) as client:
    written = client.put("from python", [1, "two"])
    assert client.get("from python") == [1, "two"]
"""

TYPED = """
from kvnode import Client, Written

def count(client: Client) -> Written:
    return client.put("count", 1)
"""


@pytest.fixture(params=interpreters())
def installed(request, install):
    return install(request.param)


def test_a_python_that_is_promised_runs_these_tests():
    assert THIS in interpreters()


def test_the_wheel_has_the_package_and_nothing_else(distributions):
    names = zipfile.ZipFile(distributions[1]).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "kvnode",
        f"kvnode-{__version__}.dist-info",
    }
    assert "kvnode/py.typed" in names


@pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None,
    reason="only git knows the project's files, and it is not there, or this is no checkout",
)
def test_the_source_distribution_has_the_whole_project_and_nothing_else(distributions):
    with tarfile.open(distributions[0]) as sources:
        packed = {it.name.partition("/")[2] for it in sources.getmembers() if not it.isdir()}
    tracked, new = files_by_git("--cached"), files_by_git("--others", "--exclude-standard")
    assert tracked - packed == set()
    assert {it for it in packed - tracked - new if ".egg-info/" not in it} == {"PKG-INFO"}


def files_by_git(*which):
    """Those of the checkout that are there."""
    command = ["git", "-C", ROOT, "ls-files", "-z", *which]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).exists()}


def test_both_commands_tell_their_version(installed):
    assert installed.run("kvnode", "--version") == f"kvnode {__version__}\n"
    assert installed.run("kv", "--version") == f"kv {__version__}\n"


def test_the_demo_comes_out_as_it_should(installed):
    assert json.loads(installed.run("kvnode", "demo", "--json"))["ok"] is True


def test_a_node_serves_the_command_line_and_a_program(installed):
    with installed.serving() as node:
        flags = ("--node", node, "--timeout", str(PATIENCE_S))
        assert installed.run("kv", *flags, "ping") == "X\n"
        installed.run("kv", *flags, "put", "k", "v")
        assert installed.run("kv", *flags, "get", "k") == "v"
        installed.run("python", "-c", CLIENT.format(node=node, patience_s=PATIENCE_S))


def test_a_client_needs_no_rocksdict(install):
    """Where there is no RocksDB, pyzmq and msgpack are enough for it."""
    installed = install(THIS)
    with installed.serving() as node:
        hidden = "import sys; sys.modules['rocksdict'] = None\n"
        client = CLIENT.format(node=node, patience_s=PATIENCE_S)
        installed.run("python", "-c", hidden + client)


def test_a_program_that_uses_it_can_be_type_checked(install, tmp_path):
    pytest.importorskip("mypy", reason="mypy is not there: bin/setup dev installs it")
    flags = ["--strict", "--config-file=", "--python-executable", install(THIS).python]

    def checked(program):
        (tmp_path / "program.py").write_text(program)
        # Not in the checkout, which mypy would look into first.
        command = [sys.executable, "-m", "mypy", *flags, "program.py"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    assert checked(TYPED) == (0, "Success: no issues found in 1 source file\n")
    code, found = checked(TYPED.replace('"count", 1', "1, 1"))
    assert code == 1 and 'incompatible type "int"; expected "str | bytes"' in found
