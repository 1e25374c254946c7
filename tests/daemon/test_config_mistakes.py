"""A wrong setting ends the daemon with one line that names it, and exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kvnode.cli.cluster import until
from kvnode.cli.kvnode import main
from kvnode.daemon.config import PEERS_MAX, load, unknown_variables
from kvnode.daemon.sink import Sink

# Each is wrong as a flag, as a variable and as a string in TOML.
WRONG = [
    *[("name", text) for text in ("", "a b", "a/b", ".a", "a~b", "x" * 64, "é", "a\n")],
    *[("cluster", text) for text in ("", "x" * 65, "é" * 33, "a\nb")],
    ("data", ""),
    *[
        ("listen", text)
        for text in (
            "",
            "host",
            "host:",
            ":7411",
            "host:0",
            "host:65536",
            "host:123456",
            "host:-1",
            "host:http",
            "udp://host:1",
            "ipc:///tmp/socket",
            "tcp://tcp://host:1",
            "[::1:7411",
            "::1:7411",
            "host:1;host:2",
            "host:1 ",
        )
    ],
    ("gossip", "host"),
    ("advertise_listen", "host"),
    ("advertise_gossip", "host"),
    ("advertise_listen", "*:7411"),
    ("advertise_gossip", "0.0.0.0:7412"),
    ("join", "host:"),
    ("join", "7411"),
    ("join", "tcp://"),
    ("join", "*:7411"),
    ("durability", "sometimes"),
    ("durability", "ALWAYS"),
    *[("sync_interval_ms", text) for text in ("", "9", "60001", "1.5", "1s", "-10")],
    *[("heartbeat_ms", text) for text in ("", "9", "60001", "ten")],
    ("log_format", "xml"),
    ("log_level", "loud"),
    ("allow_faults", "maybe"),
    ("allow_faults", ""),
]

WRONG_IN_TOML = [
    ("name", "1"),
    ("cluster", "true"),
    ("data", "7"),
    ("listen", "7411"),
    ("join", "7411"),
    ("join", "[7411]"),
    ("join", "[0]"),
    ("join", '["host:1", ["host:2"]]'),
    ("durability", "1"),
    ("sync_interval_ms", "true"),
    ("sync_interval_ms", "100.0"),
    ("heartbeat_ms", "[100]"),
    ("log_format", '["json"]'),
    ("log_level", "{}"),
    ("allow_faults", "1"),
]


@pytest.fixture(autouse=True)
def no_daemon(monkeypatch):
    """A wrong value that is taken must fail the test, not start a daemon in it."""
    monkeypatch.setattr(
        "kvnode.daemon.loop.run", lambda settings, _: pytest.fail(f"ran {settings}")
    )
    monkeypatch.setattr("kvnode.daemon.logs.configure", lambda *_: Sink(2, lambda _: b""))


@pytest.fixture
def complaint(capfd):
    """What `kvnode serve` with these arguments complains of."""

    def complaint(*arguments):
        assert main(["serve", *arguments]) == 2
        output, errors = capfd.readouterr()
        assert output == ""
        assert errors.startswith("kvnode: ") and errors.count("\n") == 1, errors
        return errors

    return complaint


def flag_of(setting):
    return f"--{setting.replace('_', '-')}"


@pytest.mark.parametrize(
    ("setting", "text"), [wrong for wrong in WRONG if wrong[0] != "allow_faults"]
)
def test_a_wrong_flag_is_named(setting, text, complaint):
    errors = complaint(f"{flag_of(setting)}={text}")
    assert flag_of(setting) in errors or setting in errors


@pytest.mark.parametrize(("setting", "text"), WRONG)
def test_a_wrong_variable_is_named(setting, text, complaint, monkeypatch):
    monkeypatch.setenv(variable := f"KVNODE_{setting.upper()}", text)
    errors = complaint()
    assert variable in errors or setting in errors


@pytest.mark.parametrize(
    ("setting", "text"),
    [*((s, '"' + t.replace("\n", "\\n") + '"') for s, t in WRONG), *WRONG_IN_TOML],
)
def test_a_wrong_value_in_the_file_is_named(setting, text, complaint, tmp_path):
    file = tmp_path / "kvnode.toml"
    file.write_text(f"{setting} = {text}\n", encoding="utf-8")
    errors = complaint("--config", str(file))
    assert setting in errors
    assert str(file) in errors or setting.startswith("advertise")


def test_unknown_settings_in_the_file_are_named(complaint, tmp_path):
    file = tmp_path / "kvnode.toml"
    file.write_text('name = "X"\nnmae = "Y"\n[storage]\nlisten = "a:1"\n')
    errors = complaint("--config", str(file))
    assert f"{file}: unknown settings: nmae (is name meant?), storage\n" in errors


@pytest.mark.parametrize(
    "content",
    [b"name = ", b"name", b"\xff", b'name = "a"\nname = "b"\n', b"name = " + 100_000 * b"["],
    ids=["no value", "no equals", "no UTF-8", "twice", "nested too deep"],
)
def test_a_file_that_is_no_toml_is_named(content, complaint, tmp_path):
    file = tmp_path / "kvnode.toml"
    file.write_bytes(content)
    assert str(file) in complaint("--config", str(file))


def test_a_file_that_never_ends_is_named(complaint):
    assert "/dev/zero: it has more than" in complaint("--config", "/dev/zero")


def test_a_file_that_is_not_there_or_a_directory_is_named(complaint, tmp_path):
    missing = str(tmp_path / "missing.toml")
    assert missing in complaint("--config", missing)
    assert str(tmp_path) in complaint("--config", str(tmp_path))


def test_listen_and_gossip_must_differ(complaint):
    errors = complaint("--listen", "127.0.0.1:7000", "--gossip", "tcp://127.0.0.1:7000")
    assert "listen and gossip" in errors


def test_too_many_peers_are_counted(complaint, monkeypatch):
    monkeypatch.setenv("KVNODE_JOIN", ",".join(f"host{n}:1" for n in range(PEERS_MAX + 1)))
    errors = complaint()
    assert "KVNODE_JOIN" in errors and str(PEERS_MAX) in errors


def test_a_hosts_name_that_can_not_be_a_nodes_is_not_taken(complaint, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "-host")
    assert "--name" in complaint()


def test_a_hosts_odd_name_does_not_matter_where_a_name_is_given(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "-host")
    assert load({"name": "X"}, {}).name == "X"


def test_a_hosts_name_that_can_not_be_advertised_is_not_taken(complaint, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "hôte")
    assert "advertise" in complaint("--name", "X", "--listen", "*:7411")


def test_a_real_process_says_the_same(tmp_path):
    command = [sys.executable, "-m", "kvnode.cli.kvnode", "serve", "--listen", "nowhere"]
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = "kvnode: --listen: 'nowhere' is no address; write HOST:PORT or tcp://HOST:PORT\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", said)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("KVNODE_JION", " (is KVNODE_JOIN meant?)"),
        ("KVNODE_PEERS", " (is KVNODE_JOIN meant?)"),
        ("KVNODE_LOGLEVEL", " (is KVNODE_LOG_LEVEL meant?)"),
        ("KVNODE_ADVERTISED_LISTEN", " (is KVNODE_ADVERTISE_LISTEN meant?)"),
        ("KVNODE_COLOUR_OF_THE_SKY", ""),
        ("KVNODE_", ""),
    ],
)
def test_a_variable_that_is_no_setting_is_told_with_what_may_be_meant(variable, hint):
    told = unknown_variables({variable: "a:1", "HOME": "/"})
    assert told == [f"{variable} is no setting{hint}; it is ignored"]


@pytest.mark.parametrize(
    "variable",
    [
        *("KVNODE_CONFIG", "KVNODE_NODE", "KVNODE_SCRUB_INTERVAL_S", "KVNODE_JOIN", "HOME"),
        # What Kubernetes and Docker set for services.
        *("KVNODE_PORT", "KVNODE_SERVICE_HOST", "KVNODE_SERVICE_PORT_CLIENTS"),
        *("KVNODE_PORT_7411_TCP_ADDR", "KVNODE_PEERS_SERVICE_HOST", "KVNODE_PEERS_PORT"),
    ],
)
def test_nothing_is_said_of_other_variables(variable):
    assert unknown_variables({variable: "1"}) == []


def test_a_node_that_starts_warns_of_a_variable_that_is_no_setting(make_node, monkeypatch):
    monkeypatch.setenv("KVNODE_JION", "a:1")
    node = make_node("X")
    node.start()
    until("it serves", node.status)
    assert "WARNING X: KVNODE_JION is no setting (is KVNODE_JOIN meant?)" in node.log.read_text()
