"""Runs `kv` as a real process, with a real pipe or terminal."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import termios

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


def start(*arguments, terminal=None, **options):
    """Start it; its output goes into pipes, or to a terminal, which is its own then."""
    out = subprocess.PIPE if terminal is None else terminal
    return subprocess.Popen(
        [*COMMAND, *arguments],
        env=ENVIRONMENT | options.pop("env", {}),
        stdout=out,
        stderr=out,
        preexec_fn=None if terminal is None else lambda: _own(terminal),
        start_new_session=terminal is not None,
        **options,
    )


def _own(terminal):
    """Ctrl-C there is for this process."""
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
