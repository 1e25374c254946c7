"""A Docker engine of our own."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from kvnode.cli.cluster import until
from tests.container.tools import environment, run
from tests.nemesis.network import namespace

#: The way out of its namespace: a network stack in a process, which resolves names, too. So the
#: machine's own interfaces and rules stay as they are.
_WAY_OUT: Final = ("slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback")
_NAME_SERVER: Final = "nameserver 10.0.2.3\n"

#: Where the kernel shows the groups of processes that containers are.
_GROUPS: Final = Path("/sys/fs/cgroup")


class Engine:
    """dockerd; a context manager that leaves nothing of it, nor of what it ran."""

    def __init__(self, directory: Path) -> None:
        self.name = f"kvnode-{os.getpid()}-engine"
        self._directory = directory
        self._log = directory / "dockerd.log"
        self.environment = environment(DOCKER_HOST=f"unix://{directory / 'socket'}")
        self._stack = ExitStack()
        self._daemon_parent: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(namespace(self.name))
            stack.callback(self._remove_groups)
            way_out = (*_WAY_OUT, "--netns-type=path", f"/run/netns/{self.name}", "tap0")
            stack.callback(_end, self._started(*way_out))
            parent = self._started(*self._daemon())
            stack.callback(_end_child, parent)
            until("the engine answers", self._answers, 60)
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
        """With mounts and processes of its own, it leaves none, however it ends."""
        resolver = self._directory / "resolv.conf"
        resolver.write_text(_NAME_SERVER)
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        mounted = f'mount --bind {resolver} /etc/resolv.conf && exec "$@"'
        settings = {
            "host": f"unix://{self._directory / 'socket'}",
            "data-root": self._directory / "data",
            "exec-root": self._directory / "run",
            "pidfile": self._directory / "pid",
            "cgroup-parent": self.name,
            "exec-opt": "native.cgroupdriver=cgroupfs",
        }
        flags = [f"--{name}={value}" for name, value in settings.items()]
        return [*self.inside(), *alone, "sh", "-c", mounted, "sh", "dockerd", *flags]

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

    def _answers(self) -> bool:
        return self.docker("version", may_fail=True).returncode == 0

    def _remove_groups(self) -> None:
        """They are empty by now, but stay until they are removed."""
        for group in (_GROUPS / self.name, *_GROUPS.glob(f"*/{self.name}")):
            for inner in sorted(group.glob("**/"), reverse=True):
                inner.rmdir()


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
