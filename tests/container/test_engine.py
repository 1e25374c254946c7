"""The engine of the tests ends with them, however they end."""

from __future__ import annotations

import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from kvnode.cli.cluster import until
from tests.container.engine import groups, remove_groups
from tests.container.tools import ROOT, environment, why_not
from tests.nemesis.tools import run

#: An engine with a container that runs, while the base image's stand-in is made. Of the image only
#: its name is needed: the container's files are this machine's, and it has the mark of all others.
PROGRAM = """
import sys
from pathlib import Path
from tests.container.base import make_stand_in
from tests.container.engine import own_engine

with own_engine() as engine:
    engine.docker("import", sys.argv[1], "empty")
    system = [it for it in ("/bin", "/lib", "/lib64", "/usr") if Path(it).exists()]
    volumes = [f"--volume={it}:{it}:ro" for it in system]
    engine.docker("run", "--detach", "--env=TMPDIR", *volumes, "empty", "sleep", "infinity")
    make_stand_in(engine)
"""


class Program:
    """PROGRAM, running. What it starts bears its directory in its environment."""

    def __init__(self, directory):
        self.directory = directory / "temporary"
        self.directory.mkdir()
        self._output = directory / "output"
        archive = directory / "empty.tar"
        tarfile.open(archive, "w").close()
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, archive],
                cwd=ROOT,
                env=environment(TMPDIR=str(self.directory)),
                stdout=output,
                stderr=output,
            )
        self.name = f"kvnode-{self._process.pid}-engine"

    def commands(self):
        """The commands of its processes that there are."""
        mark = f"TMPDIR={self.directory}".encode()
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes():
                    found.add((process / "comm").read_text().strip())
            except OSError:  # it has just ended
                pass
        return found

    def wait_until_at_work(self):
        """Until the container runs, and the stand-in's packages are unpacked."""

        def at_work():
            assert self._process.poll() is None, self._output.read_text()
            unpacked = self.directory.glob("kvnode-engine-*/mmdebstrap.*/usr/bin")
            return any(unpacked) and "sleep" in self.commands()

        until("the stand-in is made", at_work, 120)

    def end(self, number):
        self._process.send_signal(number)
        self._process.wait(60)

    def remove(self):
        """What nobody removed who was killed."""
        self.end(signal.SIGKILL)
        until("its processes have ended", lambda: not self.commands())
        remove_groups(self.name)
        if Path("/run/netns", self.name).exists():
            run("ip", "netns", "delete", self.name)


@pytest.fixture
def program():
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with TemporaryDirectory() as directory:  # pytest's own are too long for the name of a socket
        program = Program(Path(directory))
        yield program
        program.remove()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_told_to_end_it_leaves_nothing(number, program):
    program.wait_until_at_work()
    assert groups(program.name)
    program.end(number)
    assert program.commands() == set()
    assert list(program.directory.iterdir()) == []
    assert not Path("/run/netns", program.name).exists()
    assert groups(program.name) == []


def test_killed_it_leaves_no_process(program):
    program.wait_until_at_work()
    assert program.commands() >= {"containerd", "dockerd", "mmdebstrap", "sleep", "slirp4netns"}
    program.end(signal.SIGKILL)
    until("its processes have ended", lambda: not program.commands())
