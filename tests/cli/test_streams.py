"""Every command of both programs, with standard streams that are closed, full, gone or narrow: one
line, an exit code of its own, and no doubt about what was done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from kvnode.cli.cluster import PATIENCE_S, until
from kvnode.cli.kv import COMMANDS
from kvnode.errors import KvnodeError
from tests.cli import process

KV = [sys.executable, "-m", "kvnode.cli.kv"]
KVNODE = [sys.executable, "-m", "kvnode.cli.kvnode"]

SLOW = pytest.mark.slow

#: What each command is given; K stands for a key that is there.
ARGUMENTS = {
    "put": ["K", "1"],
    "get": ["K"],
    "read": ["K"],
    "del": ["K"],
    "touch": ["K", "60"],
    "persist": ["K"],
    "ls": ["K"],
    "scan": ["K"],
    "watch": ["K", "--for", "0"],
    "export": ["K"],
    "import": ["FILE"],
    "status": [],
    "members": [],
    "lag": [],
    "forget": ["nobody"],
    "ping": [],
}
EVERY = [[name, *arguments] for name, arguments in ARGUMENTS.items()]
EVERY += [["shell"], ["completion", "bash"], ["--help"], ["--version"], ["put", "--help"]]


class Tried:
    """A node, a key there, and a file that can be imported."""

    def __init__(self, trio, directory):
        self.node = trio["X"]
        self.key = "streams/key"
        self.file = directory / "file"
        self.file.write_text(json.dumps({"key": self.key, "value": "imported"}) + "\n")
        self._expected = {}

    def write(self, value="Grüße"):
        """The key is there, as it was."""
        with self.node.client() as client:
            client.put(self.key, value)

    def expected(self, command):
        """How the command ends where nothing is wrong; the key is as it was then."""
        name = " ".join(command)
        if name not in self._expected:
            self._expected[name] = self.run(command)
            self.write()
        return self._expected[name]

    def value(self):
        with self.node.client() as client:
            (version,) = client.read(self.key) or [None]
        return version and version.value

    def run(self, command, redirection="", program=KV, **options):
        """Run it in a shell which redirects its streams."""
        words = {"K": self.key, "FILE": str(self.file)}
        arguments = [words.get(word, word) for word in command]
        environment = process.ENVIRONMENT | {"KVNODE_NODE": self.node.listen}
        return subprocess.run(
            ["sh", "-c", f'exec "$@" {redirection}', "sh", *program, *arguments],
            env=environment | options.pop("env", {}),
            input=options.pop("input", f"get {self.key}\n".encode()),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            timeout=2 * PATIENCE_S,
            check=False,
            **options,
        )


@pytest.fixture(scope="module")
def trying(trio, tmp_path_factory):
    return Tried(trio, tmp_path_factory.mktemp("streams"))


@pytest.fixture
def tried(trying):
    trying.write()
    return trying


@pytest.fixture
def nobody_reads():
    """A pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def test_every_command_is_among_those_that_are_tried():
    assert set(ARGUMENTS) == set(COMMANDS)


@pytest.mark.parametrize(
    ("redirection", "reason"),
    [(">/dev/full", b"No space left on device"), (">&-", b"it is not open for writing")],
    ids=["full", "closed"],
)
@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_output_that_can_not_be_written_is_told_in_a_line_with_exit_code_6(
    command, redirection, reason, tried
):
    as_it_should = tried.expected(command)
    ended = tried.run(command, redirection)
    if not as_it_should.stdout:
        assert (ended.returncode, ended.stderr) == (as_it_should.returncode, as_it_should.stderr)
        return
    assert ended.returncode == 6
    assert ended.stderr.startswith(b"kv: ") and ended.stderr.count(b"\n") == 1
    assert b"the output can't be written: " + reason in ended.stderr


@pytest.mark.parametrize("name", ["put", "del", "touch", "persist", "import"])
def test_a_command_that_is_to_print_what_it_writes_looks_first_whether_it_can(name, tried):
    ended = tried.run([name, *ARGUMENTS[name], "--json"], ">&-")
    assert (ended.returncode, ended.stderr) == (
        6,
        b"kv: nothing was done, since the output can't be written: it is not open for writing\n",
    )
    assert tried.value() == "Grüße"


#: How one sees at the key, which expired before, that the write was made.
MADE = {
    "put": lambda versions: versions[0].value == 1,
    "del": lambda versions: not versions,
    "touch": lambda versions: versions[0].expires_at - datetime.now(UTC) < timedelta(minutes=2),
    "persist": lambda versions: versions[0].expires_at is None,
    "import": lambda versions: versions[0].value == "imported",
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("is_full", [True, False], ids=["full", "reader gone"])
def test_a_write_whose_result_can_not_be_told_says_that_it_was_made(
    name, is_full, tried, nobody_reads
):
    with tried.node.client() as client:
        client.put(tried.key, "Grüße", ttl_s=3600)
    command = [name, *ARGUMENTS[name], "--json"]
    if is_full:
        ended = tried.run(command, ">/dev/full")
    else:
        ended = tried.run(command, stdout=nobody_reads)
    assert ended.returncode == (6 if is_full else 141)
    assert ended.stderr.startswith(b"kv: it was done, but the output can't be written: ")
    with tried.node.client() as client:
        assert MADE[name](client.read(tried.key))


@pytest.mark.slow
@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_a_reader_who_has_left_ends_what_prints_with_exit_code_141(command, tried, nobody_reads):
    as_it_should = tried.expected(command)
    ended = tried.run(command, stdout=nobody_reads)
    assert ended.returncode == (141 if as_it_should.stdout else as_it_should.returncode)
    writes = command[0] == "import"
    assert ended.stderr.count(b"\n") == as_it_should.stderr.count(b"\n") + writes


@pytest.mark.parametrize("redirection", ["2>&-", pytest.param("2>/dev/full", marks=SLOW)])
@pytest.mark.parametrize(
    "command", [*EVERY, ["get", "missing"], ["no-such"], ["import", "no-such"]], ids=" ".join
)
def test_errors_that_nobody_can_be_told_change_no_exit_code(command, redirection, tried):
    as_it_should = tried.expected(command)
    ended = tried.run(command, redirection)
    assert ended.returncode == as_it_should.returncode
    assert ended.stdout.count(b"\n") == as_it_should.stdout.count(b"\n"), "an error is among it"


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_who_reads_no_input_does_not_miss_it(command, tried):
    ended = tried.run(command, "<&-")
    if command == ["shell"]:
        assert ended.returncode == 2
    else:
        assert ended.returncode == tried.expected(command).returncode
    assert ended.stderr.count(b"\n") <= 1


@pytest.mark.parametrize("command", [["put", "K"], ["put", "K", "-"], ["import"], ["shell"]])
@pytest.mark.parametrize("redirection", ["<&-", "0>/dev/null"])
def test_input_that_can_not_be_read_is_exit_code_2(command, redirection, tried):
    ended = tried.run(command, redirection)
    told = b"kv: standard input can't be read: it is not open for reading\n"
    begun = b"0 lines are imported\n" if command == ["import"] else b""
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, b"", begun + told)
    assert tried.value() == "Grüße"


# --- encodings

ASCII = [
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.parametrize("environment", ASCII, ids=lambda it: next(iter(it)))
def test_what_an_encoding_lacks_is_escaped(environment, tried):
    shown = f"{tried.key}\tGr\\xfc\\xdfe\n".encode()
    ended = tried.run(["scan", "K"], env=environment)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, shown, b"")


@pytest.mark.parametrize("environment", [ASCII[0], pytest.param(ASCII[1], marks=SLOW)])
@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_no_command_fails_for_an_encoding(command, environment, tried):
    as_it_should = tried.expected(command)
    tried.write({"ü": "€"})
    ended = tried.run(command, env=environment)
    assert (ended.returncode, ended.stderr) == (as_it_should.returncode, as_it_should.stderr)


@pytest.mark.parametrize("environment", ASCII, ids=lambda it: next(iter(it)))
def test_what_is_typed_is_its_bytes_whatever_the_encoding(environment, tried):
    key, value = "Schlüssel".encode(), "Größe €".encode()
    assert tried.run(["put", key, value], env=environment).returncode == 0
    assert tried.run(["get", key], env=environment).stdout == value
    script = b"put " + key + b" '" + value + b"'\nget " + key + b"\n"
    ended = tried.run(["shell"], env=environment, input=script)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, value, b"")
    ended = tried.run(["get", b"missing \xff " + key], env=environment)
    told = b"kv: missing \\xff Schl\\xfcssel: not found\n"
    assert (ended.returncode, ended.stderr) == (1, told)


# --- kvnode

ADMIN = [["backup", "monday"], ["check", "nowhere"], ["restore", "nowhere", "--data", "new"]]


@pytest.mark.parametrize("command", [["demo"], ["demo", "--chaos"], *ADMIN], ids=" ".join)
def test_kvnode_does_nothing_that_it_can_not_tell(command, tried, tmp_path):
    ended = tried.run(command, ">&-", KVNODE, cwd=tmp_path, env={"TMPDIR": str(tmp_path)})
    assert (ended.returncode, ended.stderr) == (
        6,
        b"kvnode: nothing was done, since the output can't be written: it is not open for writing"
        b"\n",
    )
    assert not list(tmp_path.iterdir())
    assert not (tried.node.data / "backups").exists()


def test_a_backup_that_can_not_be_told_of_is_made(tried, tmp_path):
    name = f"b{uuid.uuid4()}"
    ended = tried.run(["backup", name], ">/dev/full", KVNODE)
    assert (ended.returncode, ended.stderr) == (
        6,
        b"kvnode: the backup is made, but the output can't be written: No space left on device\n",
    )
    made = tried.node.data / "backups" / name
    ended = tried.run(["restore", str(made), "--data", str(tmp_path / "new")], ">/dev/full", KVNODE)
    assert ended.returncode == 6 and ended.stderr.startswith(b"kvnode: it was restored, but ")
    ended = tried.run(["check", str(tmp_path / "new")], ">/dev/full", KVNODE)
    assert (ended.returncode, ended.stderr.count(b"\n")) == (6, 1)
    assert tried.run(["check", str(tmp_path / "new")], "2>&- <&-", KVNODE).returncode == 0


@pytest.mark.parametrize("flags", [["--help"], ["serve", "--help"], ["--version"]], ids=" ".join)
def test_the_help_of_kvnode_needs_somewhere_to_go(flags, tried):
    ended = tried.run(flags, ">/dev/full", KVNODE)
    assert (ended.returncode, ended.stderr.count(b"\n")) == (6, 1)


def test_a_demo_whose_reader_leaves_stops_its_nodes(tmp_path):
    with subprocess.Popen(
        [*KVNODE, "demo"],
        env=process.ENVIRONMENT | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as demo:
        assert demo.stdout.readline().startswith(b"Three nodes")
        demo.stdout.close()
        assert demo.stderr.read() == b""
        assert demo.wait(2 * PATIENCE_S) == 141
    assert not list(tmp_path.iterdir())


def answers(node):
    try:
        return node.status()
    except KvnodeError:
        return None


@pytest.mark.parametrize("redirection", ["<&- >&- 2>&-", "2>/dev/full"])
def test_a_node_runs_with_no_streams_at_all(redirection, make_node):
    node = make_node("N")
    node.start()
    node.stop()
    node._prefix = ("sh", "-c", f'exec "$@" {redirection}', "sh")
    node.launch()  # nobody can read in its log that it listens
    until("it answers", lambda: answers(node))
    with node.client() as client:
        client.put("k", "v")
    assert node.stop() == 0
    until("the daemon is gone", lambda: node.process is None)
