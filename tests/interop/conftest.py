"""Runs the steps of check.mjs, and installs the packages that it needs beside it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent

#: What the packages ask for.
_NODE_MAJOR_MIN: Final = 18

#: A download of some megabytes takes seconds; a registry that hangs ends the wait.
_INSTALL_PATIENCE_S: Final = 300

#: A step takes a fraction of a second, unless it waits in vain.
_STEP_PATIENCE_S: Final = 120

#: From the lock file alone. Nothing is compiled: the packages bring their binaries with them.
#: Without a network it takes seconds to give up, not minutes.
_INSTALL: Final = (
    *("npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"),
    *("--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"),
)

#: How npm says that it can't reach its registry. All else that it says is a fault to mend.
_NO_NETWORK: Final = re.compile(
    "ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|E[A-Z_]*TIMEDOUT"
    "|ERR_SOCKET_TIMEOUT|ENOTCACHED"
)

Play = Callable[..., list[str]]


@pytest.fixture(scope="session")
def _able() -> str | None:
    return _lacking_node() or _lacking_packages()


@pytest.fixture
def javascript(_able: str | None) -> Play:
    """Plays a step with its arguments; the lines that it said. Skips where there is no Node.js."""
    if _able is not None:
        pytest.skip(_able)

    def play(step: str, *arguments: str) -> list[str]:
        done = _run("node", "check.mjs", step, *arguments, patience_s=_STEP_PATIENCE_S)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    return play


def _lacking_node() -> str | None:
    """Why JavaScript can't run here, or None if it can."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"the program {program!r} is not installed"
    version = _run("node", "--version", patience_s=_STEP_PATIENCE_S).stdout.strip()
    major = re.match(r"v(\d+)\.", version)
    if major is None or int(major[1]) < _NODE_MAJOR_MIN:
        return f"Node.js {_NODE_MAJOR_MIN} or newer is needed; this is {version or 'none'}"
    return None


def _lacking_packages() -> str | None:
    """Install what is not installed as the lock file says; why that can't be, or None."""
    installed = HERE / "node_modules" / ".package-lock.json"
    wanted_at = max((HERE / name).stat().st_mtime for name in ("package.json", "package-lock.json"))
    if installed.exists() and installed.stat().st_mtime >= wanted_at:
        return None
    try:
        done = _run(*_INSTALL, patience_s=_INSTALL_PATIENCE_S)
    except subprocess.TimeoutExpired:
        return f"npm had not installed the packages in {_INSTALL_PATIENCE_S} s"
    if done.returncode and _NO_NETWORK.search(done.stderr):
        return f"npm can't reach its registry: {done.stderr.strip().splitlines()[0]}"
    assert done.returncode == 0, done.stderr
    return None


def _run(*command: str, patience_s: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=HERE,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=patience_s,
        check=False,
    )
