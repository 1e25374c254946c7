"""`kvnode demo --chaos`: it looks for every write, and says when one is missing."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile

import pytest

from kvnode.cli import chaos as chaos_module
from kvnode.cli.cluster import LocalCluster, NotSeen
from kvnode.cli.kvnode import main
from kvnode.cli.load import Writers
from kvnode.cli.trouble import KINDS

CHAOS = ["demo", "--chaos", "--seconds", "1", "--seed", "1"]


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where the nodes are."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_document_is_just_the_tally(capsys, scratch):
    assert main([*CHAOS, "--seconds", "8", "--json"]) == 0
    output, errors = capsys.readouterr()
    assert errors == "" and output.count("\n") == 1
    document = json.loads(output)
    count = document["acknowledged"]
    assert count > 100
    faults = document.pop("faults")
    assert set(faults) == set(KINDS) and sum(faults.values()) >= 3
    assert document == {
        "ok": True,
        "acknowledged": count,
        "found": {"X": count, "Y": count, "Z": count},
        "lost": 0,
        "digests_equal": True,
    }
    assert not list(scratch.iterdir()), "it removes what it made"


def test_people_see_how_it_goes_and_what_came_of_it(capsys, scratch):
    assert main(CHAOS) == 0
    output, errors = capsys.readouterr()
    assert errors == "" and "\r" not in output and "\x1b" not in output
    assert re.search(r"^ +\d+\.\d s +0 acknowledged  X, Y and Z start$", output, re.MULTILINE)
    assert re.search(r"^lost +0$", output, re.MULTILINE)
    assert re.search(r"^digests +equal on X, Y and Z$", output, re.MULTILINE)
    assert re.search(r"^snapshots +\d+ taken", output, re.MULTILINE)
    assert "(seed 1)" in output


def test_a_write_that_is_missing_fails_it(capsys, scratch, monkeypatch):
    acknowledged = Writers.acknowledged
    monkeypatch.setattr(Writers, "acknowledged", lambda self: [*acknowledged(self), "w/X1/1000000"])
    assert main([*CHAOS, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["lost"]) == (False, 1)
    assert set(document["found"].values()) == {document["acknowledged"] - 1}


def test_nodes_that_differ_fail_it(capsys, scratch, monkeypatch):
    monkeypatch.setattr(chaos_module.Show, "_agree", lambda self: False)
    assert main(CHAOS) == 1
    assert re.search(r"^digests +NOT EQUAL$", capsys.readouterr().out, re.MULTILINE)


def test_what_goes_wrong_is_told(capsys, scratch, monkeypatch):
    def not_there(self):
        raise NotSeen("no mesh")

    monkeypatch.setattr(LocalCluster, "wait_for_mesh", not_there)
    assert main([*CHAOS, "--json"]) == 1
    output, errors = capsys.readouterr()
    assert json.loads(output)["ok"] is False
    assert errors == "kvnode demo: no mesh\n"
    assert not list(scratch.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_leaves_no_process_and_no_directory(number, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "kvnode.cli.kvnode", "demo", "--chaos", "--seed", "1"],
        env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while "stands still" not in (line := process.stdout.readline()):
            assert line, process.stderr.read()
        process.send_signal(number)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, errors) == (128 + number, "kvnode demo: interrupted\n")
    assert not list(tmp_path.iterdir())
    processes = subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True).stdout
    assert str(tmp_path) not in processes


def test_a_terminal_has_one_line_that_changes(tmp_path):
    leader, follower = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "kvnode.cli.kvnode", *CHAOS],
        env=os.environ | {"TMPDIR": str(tmp_path), "COLUMNS": "60"},
        stdout=follower,
    )
    os.close(follower)
    try:
        shown = _read_all(leader)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    progress, _, tally = shown.partition("\r\n")
    lines = progress.split("\r\x1b[K")[1:]
    assert len(lines) > 5 and all(len(line) < 60 for line in lines)
    assert tally.startswith("acknowledged ") and "\x1b" not in tally


def _read_all(terminal):
    shown = b""
    while select.select([terminal], [], [], 60)[0]:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # how Linux tells that the other side is closed
            break
        if not piece:
            break
        shown += piece
    return shown.decode()
