"""compose.yaml as a project of a test's own: its containers, volumes and network."""

from __future__ import annotations

import json
import subprocess
from typing import Any, Final, cast

from kvnode.cli.cluster import PATIENCE_S, until
from kvnode.client.sync import Client
from kvnode.errors import KvnodeError
from tests.container.engine import Engine
from tests.container.tools import compose_command, run
from tests.nemesis.network import entered

#: Where compose.yaml publishes the request ports.
PORTS: Final = {"x": 7411, "y": 7421, "z": 7431, "u": 7441, "v": 7451}


class Project:
    """The nodes by the names of their services."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        #: That of people who play with it: no other project is meant.
        self.environment = engine.environment | {"COMPOSE_PROJECT_NAME": name}
        self._is_founded = False

    def compose(self, *arguments: str, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
        """Run `docker compose`."""
        command = compose_command()
        assert command is not None
        return run(*command, *arguments, environment=self.environment, may_fail=may_fail)

    def up(self, *services: str) -> None:
        """Start services, all if none is named, and wait until the nodes serve. A new cluster
        begins with all of its nodes; those that are not named are stopped then."""
        wanted = services or tuple("xyz")
        if not self._is_founded:
            self._is_founded = True
            self.up()
            if others := set("xyz") - set(wanted):
                self.compose("stop", *sorted(others))
        self.compose("up", "--detach", *services)
        for service in wanted:
            self.wait_until_it_serves(service)

    def down(self) -> None:
        """Remove all of it."""
        profiles = [f"--profile={name}" for name in ("demo", "five")]
        self.compose(*profiles, "down", "--volumes", "--timeout", "0")

    def client(self, service: str, token: bytes | None = None) -> Client:
        """A client at the published port."""
        with entered(self.engine.name):
            return Client(
                f"127.0.0.1:{PORTS[service]}",
                timeout_s=PATIENCE_S,
                wait_s=PATIENCE_S,
                token=token,
            )

    def status(self, service: str) -> dict[str, Any]:
        """What a node says of itself."""
        with self.client(service) as client:
            return client.status()

    def wait_until_it_serves(self, service: str) -> None:
        """Until a node takes writes, and has data if others do. Whether it has caught up, too, is
        another question, which takes it ten seconds where one that it is to ask is away."""
        until(f"{service} serves", lambda: self._serves(service), 2 * PATIENCE_S)

    def wait_until_they_agree(self, *services: str) -> None:
        """Until nodes answer clients, and have the same writes, and the same of them."""

        def agree() -> bool:
            said = [self.status(service) for service in services]
            are_one = len({(it["digest"], *sorted(it["vector"].items())) for it in said}) == 1
            return are_one and not any(it["joining"] for it in said)

        until(f"{', '.join(services)} agree", agree, 2 * PATIENCE_S)

    def _serves(self, service: str) -> bool:
        try:
            status = self.status(service)
        except KvnodeError:
            return False
        return bool(not status["joining"] and status["storage"]["writable"])

    # --- containers

    def container(self, service: str) -> str:
        """The id of a service's container, running or not."""
        listed = self.engine.docker(
            *("ps", "--all", "--quiet", "--no-trunc"),
            *("--filter", f"label=com.docker.compose.project={self.name}"),
            *("--filter", f"label=com.docker.compose.service={service}"),
            *("--filter", "label=com.docker.compose.oneoff=False"),
        )
        (container,) = listed.stdout.split()
        return container

    def volume(self, service: str) -> str:
        """The name of a service's volume."""
        return f"{self.name}_{service}-data"

    def inspected(self, service: str) -> dict[str, Any]:
        """What the engine knows of a container."""
        shown = self.engine.docker("inspect", self.container(service)).stdout
        return cast(dict[str, Any], json.loads(shown)[0])

    def exec(self, service: str, *command: str) -> str:
        """Run a command in a container; what it printed."""
        return self.engine.docker("exec", self.container(service), *command).stdout
