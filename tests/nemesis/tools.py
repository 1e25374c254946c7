"""The programs of the system that the nemesis needs, and whether they are there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

#: Not in everybody's PATH, not even in root's.
SYSTEM_PATH: Final = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

#: One call changes a setting of the kernel: it hangs only if the machine is in trouble.
_PATIENCE_S: Final = 60

NETWORK_TOOLS: Final = ("ip", "iptables", "tc")


def run(*command: str | Path) -> str:
    """Run a program to its end; what it printed. Raises with what it complained of."""
    tool = shutil.which(command[0], path=SYSTEM_PATH) or command[0]
    done = subprocess.run(
        [tool, *command[1:]], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
    )
    if done.returncode:
        told = " ".join(map(str, command))
        raise RuntimeError(f"{told}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def fake_time_library() -> Path | None:
    """libfaketime for programs with threads, where Debian and its kin keep it."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def why_not(further: Iterable[str] = ()) -> str | None:
    """Why the nemesis can't run here, or None if it can."""
    if os.geteuid() != 0:
        return "not root: network namespaces can't be made"
    for tool in (*NETWORK_TOOLS, *further):
        if shutil.which(tool, path=SYSTEM_PATH) is None:
            return f"the program {tool!r} is not installed"
    probe = f"kvnode-{os.getpid()}-probe"
    try:
        run("ip", "netns", "add", probe)
    except RuntimeError as error:
        return f"this root may not make network namespaces: {error}"
    try:
        run("ip", "netns", "exec", probe, "iptables", "-w", "-L", "-n")
    except RuntimeError as error:
        return f"iptables does not work in a namespace: {error}"
    finally:
        run("ip", "netns", "delete", probe)
    return None
