"""A Docker engine of our own."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType, TracebackType
from typing import Final, Self

from kvnode.cli.cluster import until
from tests.container.tools import BOUND, BOUND_WITH_ITS_OWN, environment, run
from tests.nemesis.network import namespace

#: The way out of its namespace: a network stack in a process, which resolves names, too. So the
#: machine's own interfaces and rules stay as they are.
_WAY_OUT: Final = ("slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback")
_NAME_SERVER: Final = "nameserver 10.0.2.3\n"

#: Where the kernel shows the groups of processes that containers are.
_GROUPS: Final = Path("/sys/fs/cgroup")


@contextmanager
def own_engine() -> Iterator[Engine]:
    """An engine in a directory of its own. Being told to end, or that the terminal is gone, counts
    as Ctrl-C meanwhile, so nothing is left. Who is killed leaves names and files, no process."""
    with (
        _interrupted_by(signal.SIGTERM),
        _interrupted_by(signal.SIGHUP),
        TemporaryDirectory(prefix="kvnode-engine-") as directory,
        Engine(Path(directory)) as engine,
    ):
        yield engine


class Engine:
    """dockerd; a context manager that leaves nothing of it, nor of what it ran."""

    def __init__(self, directory: Path) -> None:
        self.name = f"kvnode-{os.getpid()}-engine"
        self.directory = directory
        self._log = directory / "dockerd.log"
        #: That of all programs, whose temporary files are gone with the engine's.
        self.environment = environment(
            DOCKER_HOST=f"unix://{directory / 'socket'}", TMPDIR=str(directory)
        )
        self._stack = ExitStack()
        self._daemon_parent: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(namespace(self.name))
            stack.callback(remove_groups, self.name)
            way_out = (*_WAY_OUT, "--netns-type=path", f"/run/netns/{self.name}", "tap0")
            stack.callback(_end, self._started(*BOUND, *way_out))
            parent = self._started(*self._daemon())
            stack.callback(_end_child, parent)
            until("the engine answers", lambda: self._answers(parent), 60)
            self._daemon_parent = parent
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def docker(self, *arguments: str, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
        """Run `docker`."""
        return run("docker", *arguments, environment=self.environment, may_fail=may_fail)

    def kill(self, process: int) -> None:
        """Kill a process by the number that the engine has for it."""
        assert self._daemon_parent is not None
        (first,) = _children(self._daemon_parent)
        run(
            *("nsenter", f"--target={first}", "--pid", "--mount", "kill", "-KILL", str(process)),
            environment=self.environment,
        )

    def inside(self) -> list[str]:
        """The command prefix that runs a program where the published ports are."""
        return ["nsenter", f"--net=/run/netns/{self.name}"]

    def _daemon(self) -> list[str]:
        """With mounts and processes of its own, it leaves none, however it ends. Its images and
        volumes are in memory: that is faster, and they end with it, too."""
        resolver = self.directory / "resolv.conf"
        resolver.write_text(_NAME_SERVER)
        data = self.directory / "data"
        data.mkdir()
        mounts = f"mount --bind {resolver} /etc/resolv.conf && mount -t tmpfs kvnode {data}"
        settings = {
            "host": f"unix://{self.directory / 'socket'}",
            "data-root": data,
            "exec-root": self.directory / "run",
            "pidfile": self.directory / "pid",
            "cgroup-parent": self.name,
            "exec-opt": "native.cgroupdriver=cgroupfs",
        }
        flags = [f"--{name}={value}" for name, value in settings.items()]
        shell = ["sh", "-c", f'{mounts} && exec "$@"', "sh"]
        return [*self.inside(), *BOUND_WITH_ITS_OWN, *shell, "dockerd", *flags]

    def _started(self, *command: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _answers(self, parent: subprocess.Popen[bytes]) -> bool:
        assert parent.poll() is None, self._log.read_text()
        return self.docker("version", may_fail=True).returncode == 0


def groups(name: str) -> list[Path]:
    """The groups of processes of that name. The engine makes them beneath those that it is in
    itself, in each of the kernel's hierarchies."""
    return [Path(at) / name for at, inner, _ in os.walk(_GROUPS) if name in inner]


def remove_groups(name: str) -> None:
    """They stay until they are removed, and are busy until the last process has quite ended."""

    def removed(group: Path) -> bool:
        try:
            for inner in sorted(group.glob("**/"), reverse=True):
                inner.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
        return True

    for group in groups(name):
        until(f"{group} is removed", lambda group=group: removed(group))


@contextmanager
def _interrupted_by(number: signal.Signals) -> Iterator[None]:
    """A signal raises KeyboardInterrupt meanwhile, unless we were started to ignore it."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(f"signal {number}")

    before = signal.getsignal(number)
    if before is not signal.SIG_IGN:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        signal.signal(number, before)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _end_child(parent: subprocess.Popen[bytes]) -> None:
    """The first process of a namespace: when its parent has seen its end, all others have ended."""
    for child in _children(parent):
        os.kill(child, signal.SIGKILL)
    parent.wait()


def _children(parent: subprocess.Popen[bytes]) -> list[int]:
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    return [int(child) for child in children.read_text().split()]
