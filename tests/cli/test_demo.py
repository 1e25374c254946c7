"""`kvnode demo`: the story is observed on real nodes, or it fails."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from kvnode.cli import demo as demo_module
from kvnode.cli.cluster import LocalNode, NotSeen
from kvnode.cli.kvnode import main
from kvnode.errors import Refused


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where the demo puts its nodes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_demo_tells_its_story_as_one_document(capsys, scratch):
    assert main(["demo", "--json"]) == 0
    output, errors = capsys.readouterr()
    assert errors == "" and output.count("\n") == 1
    document = json.loads(output)
    assert {"ok", "final", "steps"} <= set(document) and document["ok"] is True
    assert [step["step"] for step in document["steps"]] == list(
        range(1, len(document["steps"]) + 1)
    )
    assert all({"step", "title", "observed", "vectors"} == set(step) for step in document["steps"])
    assert [at["x"] for at in document["final"].values()] == [200, 200, 200]
    (digest,) = {at["digest"] for at in document["final"].values()}
    assert int(digest, 16) > 0
    assert {json.dumps(at["vector"]) for at in document["final"].values()} == {
        '{"X": 2, "Y": 2, "Z": 1}'
    }
    assert not list(scratch.iterdir()), "it removes what it made"


def test_the_document_has_the_steps_that_it_is_made_for(capsys, scratch):
    main(["demo", "--json"])
    observed = [step["observed"] for step in json.loads(capsys.readouterr().out)["steps"]]
    assert {"holds_back": "Y:2", "waits_for": "X:2"} in observed
    (delayed,) = [it for it in observed if it.get("status") == "delayed"]
    assert delayed["incoming"] == {"X": 2, "Y": 2, "Z": 1}
    assert delayed["local"] == {"X": 1, "Y": 1, "Z": 1}
    assert delayed["missing"] == [["X", 2, 2], ["Y", 2, 2]]
    (siblings,) = [it for it in observed if "siblings" in it]
    assert sorted(siblings["siblings"]) == ["blue", "red"]


def test_people_get_numbered_steps(capsys, scratch):
    assert main(["demo"]) == 0
    output, errors = capsys.readouterr()
    assert errors == "" and output.endswith("All steps were observed.\n")
    assert " 1. X, Y and Z run" in output and "X {X:2 Y:2 Z:1}" in output


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [(NotSeen("not there"), 1, "not there"), (KeyboardInterrupt(), 130, "interrupted")],
)
def test_a_step_that_is_not_seen_fails_the_demo(error, code, reason, capsys, scratch, monkeypatch):
    def not_seen(*_):
        raise error

    monkeypatch.setattr(demo_module, "until", not_seen)
    assert main(["demo", "--json"]) == code
    output, errors = capsys.readouterr()
    document = json.loads(output)
    assert (document["ok"], document["error"]) == (False, reason)
    assert errors == f"kvnode demo: step {len(document['steps']) + 1}: {reason}\n"
    assert not list(scratch.iterdir())


def test_links_are_cut_only_where_that_is_allowed(tmp_path):
    node = LocalNode("X", Path(tmp_path), [])
    node.start()
    try:
        with node.client() as client:
            with pytest.raises(Refused, match="--allow-faults"):
                client.fault("Y", "gossip", "drop")
            assert client.status()["faults"] == {}
            client.put("k", "v")
    finally:
        node.stop()
