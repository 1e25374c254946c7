"""The unit runs under a real systemd, with all its restrictions: a booted one, in namespaces. It is
installed and served by the lines of docs/OPERATIONS.md."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from kvnode.cli.cluster import until
from tests.deploy.document import blocks, section
from tests.packaging.installed import build

HERE = Path(__file__).parent
SYSTEMD = Path("/lib/systemd/systemd")
GROUPS = Path("/sys/fs/cgroup")
#: Not one of somebody's home, which the unit hides.
PYTHON = Path("/usr/bin/python3")
#: It builds, installs and boots.
PATIENCE_S = 180

#: By what boot.sh and check.sh call it. There is one node, at the address that needs none.
TYPED = {
    "install": [it for it in blocks(section("From a checkout"))[0] if "kvnode serve" not in it],
    "start": blocks(section("Under systemd"))[0],
    "restore": blocks(section("Restoring one node"))[0],
    "damaged": [
        line.replace("--node 10.0.0.9:7411 ", "") for line in blocks(section("A damaged disk"))[0]
    ],
}

DONE = """\
started: active serves
privileges: 0000000000000000 0000000000000000 1 2
owner: kvnode
stopped: inactive success
restored: v
started again: v, 1 restart
new disk: 0 keys, active serves
no settings: inactive dead, Assertion failed on job for kvnode.service.
and with them: active serves
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
    sources, _ = build(tmp_path / "build")
    results = tmp_path / "results"
    results.mkdir()
    for name, lines in TYPED.items():
        (results / name).write_text("\n".join(lines))
    namespaces = ("--mount", "--pid", "--fork", "--ipc", "--uts", "--kill-child")
    group = f"kvnode-{os.getpid()}-systemd"
    arguments = (SYSTEMD, sources, results, group)
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
