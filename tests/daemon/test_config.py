"""Where a daemon's settings come from, and which win."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kvnode.cli.kvnode import main
from kvnode.client.addresses import addresses_of
from kvnode.daemon.config import PEERS_MAX, load
from kvnode.daemon.node import Durability
from kvnode.daemon.sink import Sink

DEFAULTS = {
    "cluster": "kvnode",
    "listen": "tcp://127.0.0.1:7411",
    "gossip": "tcp://127.0.0.1:7412",
    "join": (),
    "durability": Durability.ALWAYS,
    "sync_interval_ms": 1000,
    "heartbeat_ms": 500,
    "log_format": "human",
    "log_level": "info",
    "log_keep_s": 600,
    "log_keep_mib": 256,
    "log_max_mib": 4096,
    "cache_mib": 64,
    "scrub_interval_s": 86_400,
    "allow_faults": False,
}

# Each setting: in TOML, as a variable and as flags, and what each of the three means.
SETTINGS = [
    ("name", '"t"', "e", ["--name", "f"], ["t", "e", "f"]),
    ("cluster", '"t"', "e", ["--cluster", "f"], ["t", "e", "f"]),
    ("data", '"t/t"', "e/e", ["--data", "f"], [Path("t/t"), Path("e/e"), Path("f")]),
    (
        "listen",
        '"tcp://t:1"',
        "e:2",
        ["--listen", "[::1]:3"],
        ["tcp://t:1", "tcp://e:2", "tcp://[::1]:3"],
    ),
    ("gossip", '"t:1"', "e:2", ["--gossip", "f:3"], ["tcp://t:1", "tcp://e:2", "tcp://f:3"]),
    (
        "advertise_listen",
        '"t:1"',
        "e:2",
        ["--advertise-listen", "f:3"],
        ["tcp://t:1", "tcp://e:2", "tcp://f:3"],
    ),
    (
        "advertise_gossip",
        '"t:1"',
        "e:2",
        ["--advertise-gossip", "f:3"],
        ["tcp://t:1", "tcp://e:2", "tcp://f:3"],
    ),
    (
        "join",
        '["t:1", "t:2"]',
        "e:1, e:2",
        ["--join", "f:1", "--join", "tcp://f:2"],
        [("tcp://t:1", "tcp://t:2"), ("tcp://e:1", "tcp://e:2"), ("tcp://f:1", "tcp://f:2")],
    ),
    (
        "durability",
        '"interval"',
        "never",
        ["--durability", "always"],
        [Durability.INTERVAL, Durability.NEVER, Durability.ALWAYS],
    ),
    ("sync_interval_ms", "10", "60000", ["--sync-interval-ms", "30"], [10, 60_000, 30]),
    ("heartbeat_ms", "10", "60000", ["--heartbeat-ms", "30"], [10, 60_000, 30]),
    ("log_format", '"json"', "human", ["--log-format", "json"], ["json", "human", "json"]),
    ("log_level", '"debug"', "error", ["--log-level", "warning"], ["debug", "error", "warning"]),
    ("log_keep_s", "0", "31536000", ["--log-keep-s", "30"], [0, 31_536_000, 30]),
    ("log_keep_mib", "0", "1048576", ["--log-keep-mib", "30"], [0, 1 << 20, 30]),
    ("log_max_mib", "1", "1048576", ["--log-max-mib", "30"], [1, 1 << 20, 30]),
    ("cache_mib", "8", "1048576", ["--cache-mib", "30"], [8, 1 << 20, 30]),
    ("scrub_interval_s", "0", "31536000", ["--scrub-interval-s", "30"], [0, 31_536_000, 30]),
    ("allow_faults", "true", "no", ["--allow-faults"], [True, False, True]),
]


@pytest.fixture
def started(monkeypatch):
    """The settings that `kvnode serve` starts a daemon with; it starts none."""
    settings = []
    monkeypatch.setattr("kvnode.daemon.loop.run", lambda it, _: settings.append(it))
    monkeypatch.setattr("kvnode.daemon.logs.configure", lambda *_: Sink(2, lambda _: b""))
    return settings


@pytest.fixture
def toml(tmp_path):
    file = tmp_path / "kvnode.toml"
    file.write_text("")
    return file


@pytest.mark.parametrize(
    ("setting", "in_toml", "in_variable", "flags", "meant"), SETTINGS, ids=[s[0] for s in SETTINGS]
)
def test_flags_win_over_variables_and_variables_over_the_file(
    setting, in_toml, in_variable, flags, meant, started, toml, monkeypatch
):
    toml.write_text(f"{setting} = {in_toml}\n")
    assert main(["serve", "--config", str(toml)]) == 0
    monkeypatch.setenv(f"KVNODE_{setting.upper()}", in_variable)
    assert main(["serve", "--config", str(toml)]) == 0
    assert main(["serve", "--config", str(toml), *flags]) == 0
    assert [getattr(settings, setting) for settings in started] == meant


def test_what_nobody_sets_has_its_default():
    settings = load({"name": "X"}, {})
    assert {setting: getattr(settings, setting) for setting in DEFAULTS} == DEFAULTS
    assert settings.data == Path("kvnode-data/X")


def test_every_setting_is_in_the_table_of_this_test():
    assert {row[0] for row in SETTINGS} == set(load({"name": "X"}, {}).__slots__)


def test_the_file_can_be_named_by_a_variable_and_the_flag_wins(
    started, toml, tmp_path, monkeypatch
):
    toml.write_text('name = "variable"')
    flag = tmp_path / "flag.toml"
    flag.write_text('name = "flag"')
    monkeypatch.setenv("KVNODE_CONFIG", str(toml))
    assert main(["serve"]) == main(["serve", "--config", str(flag)]) == 0
    assert [settings.name for settings in started] == ["variable", "flag"]


def test_the_name_is_the_hosts_without_its_domain(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "rack4-7.example.org")
    assert load({}, {}).name == "rack4-7"


@pytest.mark.parametrize(
    ("given", "peers"),
    [
        ("", ()),
        (" a:1 ,, b:2,", ("tcp://a:1", "tcp://b:2")),
        ("a:1,tcp://a:1", ("tcp://a:1",)),
    ],
)
def test_peers_are_separated_by_commas(given, peers):
    assert load({"name": "X"}, {"KVNODE_JOIN": given}).join == peers


@pytest.mark.parametrize("given", ["10.0.0.1", "tcp://10.0.0.1", "node-1.example", "[::1]"])
def test_a_host_alone_has_the_port_that_it_has_for_clients(given):
    (peer,) = load({"name": "X"}, {"KVNODE_JOIN": given}).join
    assert [peer] == addresses_of([given]) and peer.endswith(":7411")


def test_a_node_has_room_for_the_peers_of_a_full_mesh():
    peers = [f"host{n}:7411" for n in range(PEERS_MAX)]
    assert len(load({"name": "X", "join": peers}, {}).join) == PEERS_MAX


@pytest.mark.parametrize("wildcard", ["*", "0.0.0.0", "[::]"])
def test_a_wildcard_is_advertised_as_the_host(wildcard, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "rack4")
    given = {"name": "X", "listen": f"{wildcard}:1", "gossip": f"{wildcard}:2"}
    settings = load(given, {})
    assert settings.listen == f"tcp://{wildcard}:1"
    assert settings.advertise_listen == "tcp://rack4:1"
    assert settings.advertise_gossip == "tcp://rack4:2"
    assert settings.by_host_name == ["advertise_listen", "advertise_gossip"]
    elsewhere = load(given | {"advertise_listen": "rack4.example:1"}, {})
    assert elsewhere.by_host_name == ["advertise_gossip"]


def test_a_plain_address_is_advertised_as_it_is():
    settings = load({"name": "X", "listen": "10.0.0.1:1", "advertise_gossip": "public:9"}, {})
    assert settings.advertise_listen == "tcp://10.0.0.1:1"
    assert settings.advertise_gossip == "tcp://public:9"
    assert settings.by_host_name == []


# --- kvnode config


@pytest.fixture
def shown(capsys, monkeypatch, toml):
    """What `kvnode config` shows of settings from everywhere."""
    toml.write_text('join = ["t:1", "t:2"]\nlog_level = "debug"\n')
    monkeypatch.setenv("KVNODE_LOG_LEVEL", "error")
    monkeypatch.setenv("KVNODE_PEERS", "a:1")

    def shown(*flags):
        assert main(["config", "--config", str(toml), *flags]) == 0
        output, errors = capsys.readouterr()
        assert errors == (
            "kvnode: KVNODE_PEERS is no setting (is KVNODE_JOIN meant?); it is ignored\n"
        )
        return output

    return shown


def test_each_setting_is_shown_with_its_source(shown, toml):
    lines = shown("--name", "X", "--listen", "10.0.0.1:1").splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "name X --name",
        "cluster kvnode default",
        "data kvnode-data/X default",
        "listen tcp://10.0.0.1:1 --listen",
        "gossip tcp://127.0.0.1:7412 default",
        "advertise_listen tcp://10.0.0.1:1 from listen",
        "advertise_gossip tcp://127.0.0.1:7412 from gossip",
        f"join tcp://t:1 tcp://t:2 {toml}: join",
        "durability always default",
        "sync_interval_ms 1000 default",
        "heartbeat_ms 500 default",
        "log_keep_s 600 default",
        "log_keep_mib 256 default",
        "log_max_mib 4096 default",
        "cache_mib 64 default",
        "scrub_interval_s 86400 default",
        "log_format human default",
        "log_level error KVNODE_LOG_LEVEL",
        "allow_faults false default",
    ]


def test_settings_can_be_shown_as_json(shown, toml):
    document = json.loads(shown("--json", "--name", "X", "--log-level", "info"))
    assert document["log_level"] == {"value": "info", "from": "--log-level"}
    assert document["join"] == {"value": ["tcp://t:1", "tcp://t:2"], "from": f"{toml}: join"}
    assert set(document) == set(load({"name": "X"}, {}).__slots__)


def test_a_wrong_setting_is_not_shown(capsys):
    assert main(["config", "--listen", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("kvnode: --listen: 'nowhere' is no address")
