"""Runs `kv` as a real process, with a real pipe or terminal."""

from __future__ import annotations

import os
import subprocess
import sys

from kvnode.cli.cluster import PATIENCE_S

COMMAND = [sys.executable, "-m", "kvnode.cli.kv"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "KVNODE_NODE"} | {
    "PYTHONPATH": os.pathsep.join(sys.path)
}


def run(*arguments, **options):
    """Run it to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=ENVIRONMENT | options.pop("env", {}),
        capture_output=True,
        timeout=2 * PATIENCE_S,
        check=False,
        **options,
    )


def start(*arguments, **options):
    """Start it."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        env=ENVIRONMENT | options.pop("env", {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )
