"""The programs that the container tests need, and whether they are there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.nemesis import tools as nemesis
from tests.nemesis.tools import SYSTEM_PATH

ROOT: Final = Path(__file__).parent.parent.parent

#: A build fetches some megabytes, and the stand-in for the base image some fifty.
PATIENCE_S: Final = 600

_TOOLS: Final = (
    *("docker", "dockerd", "mmdebstrap", "mount", "nsenter", "setpriv", "slirp4netns", "unshare"),
)

#: A program that is started so ends with the thread that started it, even if that is killed.
BOUND: Final = ("setpriv", "--pdeathsig", "KILL")

#: So does all that it starts itself, and its mounts go with it: it is the first process of a
#: namespace.
BOUND_WITH_ITS_OWN: Final = (
    *(*BOUND, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
)


def why_not() -> str | None:
    """Why containers can't be tested here, or None if they can."""
    reason = nemesis.why_not(_TOOLS)
    if reason is not None:
        return reason
    try:
        nemesis.run(*BOUND_WITH_ITS_OWN, "true")
    except RuntimeError as error:
        return f"this root may not make namespaces of mounts and processes: {error}"
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
