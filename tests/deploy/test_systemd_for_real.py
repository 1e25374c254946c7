"""The unit runs under a real systemd, with all its restrictions: a booted one, in namespaces."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from kvnode.cli.cluster import until
from tests.packaging.installed import build

HERE = Path(__file__).parent
DEPLOY = HERE.parent.parent / "deploy"
SYSTEMD = Path("/lib/systemd/systemd")
GROUPS = Path("/sys/fs/cgroup")
#: Not one of somebody's home, which the unit hides.
PYTHON = Path("/usr/bin/python3")
#: It installs a wheel and boots.
PATIENCE_S = 180

DONE = """\
started: active serves
privileges: 0000000000000000 0000000000000000 1 2
owner: kvnode
stopped: inactive success
restored: v
started again: v, 1 restart
wrong setting: failed 2
done
"""


def why_not():
    """What is missing here to boot a systemd; None if nothing is."""
    if os.geteuid() != 0:
        return "needs root, for namespaces"
    if not SYSTEMD.exists():
        return "systemd is not there"
    ask = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    if not PYTHON.exists() or subprocess.run([PYTHON, "-c", ask], check=False).returncode:
        return f"{PYTHON} is no Python 3.11 with venv"
    ask = ["unshare", "--mount", "--pid", "--fork", "--cgroup", "true"]
    if shutil.which("unshare") is None or subprocess.run(ask, check=False).returncode:
        return "namespaces can't be made here"
    return None


def removed(group):
    """Whether no control group of that name is left; those without processes can be removed."""
    tops = [GROUPS / group, *GROUPS.glob(f"*/{group}")]
    for top in tops:
        for directory in (*sorted(top.rglob("*/"), reverse=True), top):  # the innermost first
            with suppress(OSError):
                directory.rmdir()
    return not any(top.exists() for top in tops)


@pytest.mark.slow
def test_the_unit_does_what_the_runbook_says(tmp_path):
    if reason := why_not():
        pytest.skip(reason)
    _, wheel = build(tmp_path / "build")
    results = tmp_path / "results"
    results.mkdir()
    namespaces = ("--mount", "--pid", "--fork", "--ipc", "--uts", "--kill-child")
    group = f"kvnode-{os.getpid()}-systemd"
    arguments = (SYSTEMD, DEPLOY, wheel, PYTHON, results, group)
    log = tmp_path / "log"
    with log.open("wb") as out:
        booted = subprocess.Popen(
            ["unshare", *namespaces, HERE / "boot.sh", *arguments], stdout=out, stderr=out
        )
    done = results / "done"

    def is_over():
        return booted.poll() is not None or (done.exists() and "done\n" in done.read_text())

    try:
        until("all is done", is_over, PATIENCE_S)
    finally:
        booted.kill()
        booted.wait()
        until("its control groups are gone", lambda: removed(group))
    assert done.exists(), log.read_text()
    errors = [it.read_text() for it in (results / "errors", results / "journal") if it.exists()]
    assert done.read_text() == DONE, "\n".join(errors)
