"""The unit for systemd: systemd takes it as it is meant, and the node takes what it says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kvnode.cli.exits import USAGE
from kvnode.daemon import config

SYSTEMD = Path(__file__).parent.parent.parent / "deploy" / "systemd"
UNIT = SYSTEMD / "kvnode.service"
SETTINGS = SYSTEMD / "kvnode.toml"

#: What systemd calls the exposure of a service, from 0 to 10. That of a service that talks to a
#: network is 1 at the least; above 2 some directive must be missing.
EXPOSURE_MAX = 20  # in tenths

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not there: install the package systemd",
)


def directives():
    """Each directive of the unit with its values, in order."""
    found = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def unit(tmp_path):
    """The unit, as if kvnode were installed where it says."""
    program = tmp_path / "kvnode"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m kvnode.cli.kvnode "$@"\n')
    program.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/kvnode/bin/kvnode", str(program)))
    return unit


def analyzed(*arguments):
    done = subprocess.run(
        ["systemd-analyze", "--no-pager", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@needs_systemd
def test_systemd_understands_all_of_the_unit(unit):
    assert analyzed("verify", unit) == (0, "", "")


@needs_systemd
def test_a_directive_that_systemd_does_not_know_would_be_found(unit):
    unit.write_text(unit.read_text().replace("WatchdogSec", "WatchdogSeconds"))
    _, _, errors = analyzed("verify", unit)
    assert "WatchdogSeconds" in errors


@needs_systemd
def test_the_service_can_do_little_but_its_work(unit):
    flags = ("security", "--offline=true")
    code, told, _ = analyzed(*flags, f"--threshold={EXPOSURE_MAX}", unit)
    assert code == 0, told
    code, _, _ = analyzed(*flags, "--threshold=1", unit)
    assert code != 0, "the threshold decides nothing"


def test_it_is_not_started_without_the_file_of_its_settings():
    (credential,) = directives()["LoadCredential"]
    assert directives()["AssertPathExists"] == [credential.partition(":")[2]]


def test_the_settings_that_come_with_it_are_sound():
    """Whoever follows the steps and edits nothing opens no port to strangers."""
    settings = config.load({"config": SETTINGS}, {"KVNODE_DATA": "/var/lib/kvnode"})
    assert (settings.listen, settings.gossip) == ("tcp://127.0.0.1:7411", "tcp://127.0.0.1:7412")


def test_the_settings_that_are_commented_out_are_sound_too(tmp_path):
    all_of_them = tmp_path / "kvnode.toml"
    all_of_them.write_text(re.sub(r"^#(?=\w+ = )", "", SETTINGS.read_text(), flags=re.MULTILINE))
    settings = config.load({"config": all_of_them}, {})
    assert (settings.name, settings.advertise_gossip) == ("X", "tcp://x.example:7412")
    assert (settings.listen, settings.gossip) == ("tcp://10.0.0.1:7411", "tcp://10.0.0.1:7412")
    assert settings.join == ("tcp://y.example:7411", "tcp://z.example:7411")


def test_the_node_takes_the_variables_of_the_unit():
    for variable in directives()["Environment"]:
        name, _, value = variable.partition("=")
        setting = name.removeprefix("KVNODE_").lower()
        assert str(getattr(config.load({"name": "X"}, {name: value}), setting)) == value


def test_the_unit_starts_a_command_that_is_there_and_never_again_if_it_is_wrong(unit, tmp_path):
    """With settings that are wrong it gets as far as to read them, from the file it names."""
    (tmp_path / "kvnode.toml").write_text('listen = "nowhere"')
    (command,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    command = command.replace("${CREDENTIALS_DIRECTORY}", str(tmp_path))
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False)
    assert (done.returncode, directives()["RestartPreventExitStatus"]) == (USAGE, [str(USAGE)])
    assert f"{tmp_path}/kvnode.toml: listen: 'nowhere' is no address" in done.stderr
