"""The programs that the container tests need, and whether they are there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.nemesis.tools import SYSTEM_PATH

ROOT: Final = Path(__file__).parent.parent.parent

#: A build fetches some megabytes, and the stand-in for the base image some fifty.
PATIENCE_S: Final = 600

_TOOLS: Final = ("dockerd", "docker", "ip", "iptables", "mmdebstrap", "nsenter", "slirp4netns")


def why_not() -> str | None:
    """Why containers can't be tested here, or None if they can."""
    if os.geteuid() != 0:
        return "not root: no Docker engine can be started"
    for tool in _TOOLS:
        if shutil.which(tool, path=SYSTEM_PATH) is None:
            return f"the program {tool!r} is not installed"
    if compose_command() is None:
        return "neither `docker compose` nor `docker-compose` is installed"
    return None


def compose_command() -> list[str] | None:
    """`docker compose`, or the older program that does the same."""
    probe = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if probe.returncode == 0:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


def run(
    *command: str, environment: Mapping[str, str], may_fail: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a program in the checkout to its end. Unless it may fail, its failure is the test's."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if done.returncode and not may_fail:
        told = " ".join(command)
        raise AssertionError(f"{told}: exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def environment(**further: str) -> dict[str, str]:
    """That of the programs: ours, where they find all that is installed."""
    return dict(os.environ) | {"PATH": SYSTEM_PATH} | further
