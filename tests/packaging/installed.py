"""kvnode as pip puts it on somebody's machine: from its wheel, in an environment of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from kvnode.cli.cluster import LISTENING, PATIENCE_S, LocalNode, until

ROOT = Path(__file__).parent.parent.parent

#: A package index may be far, and the machine busy.
PIP_PATIENCE_S = 300

#: What git does not track, or only it needs.
NOT_SOURCE = (".git", ".venv", ".venv.lock", ".*_cache", ".hypothesis", "__pycache__")
NOT_SOURCE += ("*.egg-info", "build", "dist", "kvnode-data", "node_modules")


class Installed:
    """An environment, and what runs in it; nothing of the checkout can be imported there."""

    def __init__(self, directory: Path, interpreter: str, wheel: Path) -> None:
        self.directory = directory
        self.python = directory / "bin" / "python"
        _run(interpreter, "-m", "venv", str(directory))
        self.run("python", "-m", "pip", "install", "--quiet", str(wheel))

    def run(self, command: str, *arguments: str) -> str:
        """Run a command of the environment to its end, which must be a good one; its output."""
        return _run(str(self.directory / "bin" / command), *arguments, cwd=self.directory)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """A node, started and stopped as a user would; where it listens."""
        node = LocalNode("X", self.directory, [])  # for its addresses
        flags = ("--name", "X", "--listen", node.listen, "--gossip", node.gossip)
        with node.log.open("wb") as log:
            process = subprocess.Popen(
                [self.directory / "bin" / "kvnode", "serve", *flags],
                cwd=self.directory,
                env=_environment(),
                stderr=log,
            )
        try:
            until("it listens", lambda: LISTENING in node.log.read_bytes())
            yield node.listen
            process.terminate()
            assert process.wait(PATIENCE_S) == 0, node.log.read_text()
        finally:
            process.kill()
            process.wait()


def build(directory: Path) -> tuple[Path, Path]:
    """A source distribution, and the wheel that is made of it."""
    source, out = directory / "source", directory / "dist"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*NOT_SOURCE), symlinks=True)
    _run(sys.executable, "-m", "build", "--outdir", str(out), str(source))
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


@cache
def interpreters() -> dict[str, str]:
    """Of the Pythons that setup.cfg promises, those that there are here, by their version."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    promised = re.findall(r":: (3\.\d+)$", parser["metadata"]["classifiers"], re.MULTILINE)
    found = {version: next(_interpreters(version), None) for version in promised}
    return {version: path for version, path in found.items() if path is not None}


def _interpreters(version: str) -> Iterator[str]:
    """This one, one on the PATH, or one of pyenv's, if it runs."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    of_pyenv = sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))
    for path in (sys.executable, shutil.which(f"python{version}"), *map(str, of_pyenv)):
        if path is not None and _version(path) == version:
            yield path


def _version(path: str) -> str:
    """Nothing if it does not run, as the stub of a version manager may not, or has no venv."""
    ask = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    found = subprocess.run([path, "-c", ask], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=PIP_PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
    return done.stdout


def _environment() -> dict[str, str]:
    """Ours, without what leads to the checkout or sets up a node."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KVNODE_")}
    return {
        name: value for name, value in kept.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
