"""The commands of README's "In containers", word for word, in a project of the test's own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess

import pytest

from kvnode.cli.cluster import until
from kvnode.client.sync import Client
from tests.container.project import PORTS
from tests.container.tools import BOUND, PATIENCE_S, ROOT, compose_command
from tests.nemesis.network import entered

SECTION = (ROOT / "README.md").read_text().partition("## In containers\n")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```bash\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)

#: What a build takes of the checkout, and what it and compose are told by.
CHECKOUT = ("kvnode", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "Dockerfile")
CHECKOUT += (".dockerignore", "compose.yaml")

#: Where only the older program is installed it stands for the newer.
OLDER = """
docker() {
    if [ "$1" = compose ]; then shift; command docker-compose "$@"; else command docker "$@"; fi
}
"""


def block(words):
    """The one block with these words."""
    (found,) = (it for it in BLOCKS if words in it)
    return found


REPLACED = block("lag --max 0 --within 60 &&\n    docker compose rm")


class Shell:
    """Runs commands as a reader does, in a checkout, but for the name of the project."""

    def __init__(self, project, directory):
        self._project = project
        self._directory = directory / "checkout"
        self._output = directory / "output"
        self._started = []
        self._directory.mkdir()
        for name in CHECKOUT:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self._directory / name)

    def start(self, commands):
        commands = commands.replace("kvnode_", f"{self._project.name}_")
        older = OLDER if compose_command() == ["docker-compose"] else ""
        with self._output.open("wb") as output:  # a pipe that nobody empties would hold them up
            process = subprocess.Popen(
                [*BOUND, "bash", "-c", older + commands],  # no -e: who pastes it has none
                cwd=self._directory,
                env=self._project.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def said(self):
        """What the last commands have said by now."""
        return self._output.read_text()

    def run(self, commands):
        """Run them to their end, which must be well; what they said."""
        assert self.exit_code(commands) == 0, f"{commands}\n{self.said()}"
        return self.said()

    def exit_code(self, commands):
        """Run them to their end; that of the last."""
        return self.start(commands).wait(timeout=PATIENCE_S)

    def replace(self, name, old, new):
        """Change a file of the checkout."""
        path = self._directory / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def interrupt(self, process):
        """Press Ctrl-C, and wait for what that stops."""
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=PATIENCE_S)

    def close(self):
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def shell(project, tmp_path):
    shell = Shell(project, tmp_path)
    yield shell
    shell.close()


def test_all_blocks_are_tried():
    assert len(BLOCKS) == 8


def test_up_builds_and_starts_three_nodes_until_ctrl_c(project, shell):
    up = shell.start(block("up --build"))
    for service in "xyz":
        project.wait_until_it_serves(service)
    project.wait_until_they_agree(*"xyz")
    shell.interrupt(up)
    for service in "xyz":
        state = project.inspected(service)["State"]
        assert (state["Running"], state["ExitCode"]) == (False, 0)


def test_the_demo_is_played_at_the_three_and_again(project, shell):
    up, again = block("--profile demo up").splitlines()
    process = shell.start(up)
    until("the demo has ended", lambda: has_ended(project, "demo"), PATIENCE_S)
    assert project.inspected("demo")["State"]["ExitCode"] == 0, shell.said()
    assert "All steps were observed." in shell.run(again)
    shell.interrupt(process)


def has_ended(project, service):
    try:
        return project.inspected(service)["State"]["Status"] == "exited"
    except ValueError:  # there is no container yet
        return False


def test_five_nodes_and_three_again(project, shell):
    project.up()
    with project.client("x") as client:
        client.put("k", "v")
        token = client.token
    shell.run(block("--profile five up"))
    for service in "uv":
        project.wait_until_it_serves(service)
        with project.client(service, token) as client:
            assert client.get("k") == "v"
    shell.run(block("--profile five rm"))
    with project.client("x") as client:
        assert {it["name"] for it in client.members()} == {"X", "Y", "Z"}


def test_a_rolling_restart_leaves_two_that_answer_and_renews_all(project, shell):
    project.up()
    before = {service: project.container(service) for service in "xyz"}
    addresses = [f"127.0.0.1:{PORTS[service]}" for service in "xyz"]
    rolling = shell.start(block("--force-recreate"))
    with entered(project.engine.name):
        client = Client(*addresses, timeout_s=PATIENCE_S, retry_writes=True)
    written = 0
    with client:
        while rolling.poll() is None:
            client.put(f"k/{written}", written)
            written += 1
        assert rolling.returncode == 0, shell.said()
        assert client.count("k/") == written > 0
    assert all(project.container(service) != before[service] for service in "xyz")
    project.wait_until_they_agree(*"xyz")


def test_a_rolling_restart_ends_at_the_first_node_with_a_bad_setting(project, shell):
    project.up()
    before = {service: project.container(service) for service in "xyz"}
    shell.replace("compose.yaml", "KVNODE_NAME: X", "KVNODE_NAME: X\n      KVNODE_LISTEN: nowhere")
    assert shell.exit_code(block("--force-recreate")) != 0
    assert project.container("x") != before["x"]
    assert [project.container(service) for service in "yz"] == [before["y"], before["z"]]


def test_nodes_are_not_removed_while_others_lack_what_they_have(project, shell):
    project.compose("--profile", "five", "up", "--detach")
    for service in "xyzuv":
        project.wait_until_it_serves(service)
    with project.client("x") as client:
        until("all are members", lambda: len(client.members()) == 5)
    project.wait_until_they_agree(*"xyzuv")
    before = {service: project.container(service) for service in "xuv"}
    project.compose("stop", "y", "z")
    with project.client("x") as client:
        client.put("k", "v")
    for commands in (REPLACED, block("--profile five rm")):
        assert shell.exit_code(commands.replace("--within 60", "--within 1")) == 5
    assert {service: project.container(service) for service in "xuv"} == before
    with project.client("x") as client:
        assert client.get("k") == "v"


def test_a_node_without_its_volume_comes_back_from_the_others_or_from_its_backup(project, shell):
    project.up()
    with project.client("x") as client:
        client.put("old", 1)
        shell.run(f"umask 077\n{block('kvnode backup')}")
        client.put("new", 2)
        token = client.token
    project.wait_until_they_agree(*"xyz")
    assert project.exec("x", "ls", "backups") == ""
    for commands in (REPLACED, block("kvnode restore")):
        said = shell.run(commands)
        project.wait_until_it_serves("x")
        with project.client("x", token) as client:
            assert client.get_many(["old", "new"]) == [1, 2]
        project.wait_until_they_agree(*"xyz")
    assert "problems    none" in said


def test_a_backup_alone_has_what_was_written_before_it(project, shell):
    project.up("x")
    with project.client("x") as client:
        client.put("old", 1)
        shell.run(block("kvnode backup"))
        client.put("new", 2)
    shell.run(block("kvnode restore"))
    project.wait_until_it_serves("x")
    with project.client("x") as client:
        assert client.get_many(["old", "new"]) == [1, None]
