"""After a cluster was restored from a backup: what has seen more goes on, once that is accepted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kvnode.codec.token import printable
from kvnode.storage.backups import restore
from tests.cli.process import run


@pytest.fixture
def kv_at(make_node, kv):
    """A node, a command at it, and what takes it back to a backup of a moment ago."""
    node = make_node("X")
    node.start()
    with node.client() as client:
        client.put("old", 1)
        backup = Path(client.backup("monday")["path"])

    def kv_at(*arguments):
        return kv("--node", node.listen, "--timeout", "30", *arguments)

    def go_back():
        assert node.stop() == 0
        kept = backup.rename(node.data.parent / "monday")
        shutil.rmtree(node.data)
        restore(kept, node.data)
        node.start()

    kv_at.node, kv_at.go_back = node, go_back
    return kv_at


def test_a_watch_goes_on_from_its_file(kv_at, tmp_path):
    file = tmp_path / "watched"
    watch = ("watch", "--resume", file, "--for")
    assert kv_at(*watch, "0").code == 0
    assert kv_at("put", "new", "1").code == 0
    assert kv_at(*watch, "20", "--count", "1").code == 0
    kv_at.go_back()
    code, output, errors = kv_at(*watch, "20")
    assert (code, output) == (4, b"") and "add --accept-loss" in errors
    assert kv_at("--accept-loss", *watch, "0.1").code == 0
    assert kv_at("put", "newer", "1").code == 0, "and its file has no more of what was lost"
    code, output, errors = kv_at(*watch, "20", "--count", "1")
    assert (code, errors) == (0, "") and b"newer" in output


def test_a_watch_that_is_ended_amid_what_came_has_no_more_of_what_was_lost(kv_at, tmp_path):
    file = tmp_path / "watched"
    watch = ("watch", "--resume", file, "--for", "20", "--count", "1")
    kv_at("watch", "--resume", file, "--for", "0")
    kv_at("put", "new", "1")
    assert kv_at(*watch).code == 0
    kv_at.go_back()
    kv_at("put", "first", "1")
    kv_at("put", "second", "1")
    code, output, _ = kv_at("--accept-loss", *watch)
    assert code == 0 and b"first" in output
    code, output, errors = kv_at(*watch)
    assert (code, errors) == (0, "") and b"second" in output


def test_a_watch_goes_on_from_a_token(kv_at):
    with kv_at.node.client() as client:
        client.put("new", 1)
        token = printable(client.token)
    kv_at.go_back()
    kv_at("put", "newer", "1")
    watch = ("watch", "newer", "--since", token, "--count", "1", "--for", "20")
    assert kv_at(*watch).code == 4
    code, output, errors = kv_at("--accept-loss", "--json", *watch)
    assert (code, errors) == (0, "") and json.loads(output)["key"] == "newer"


def test_an_import_goes_on_from_its_file(kv_at, tmp_path):
    lines = [json.dumps({"key": f"k{n}", "value": n}) for n in range(4)]
    file, state = tmp_path / "lines", tmp_path / "state"
    file.write_text("\n".join([*lines[:2], ""]))
    importing = ("import", file, "--resume", state)
    assert kv_at(*importing).code == 0
    kv_at.go_back()
    file.write_text("\n".join([*lines, ""]))
    code, _, errors = kv_at(*importing)
    assert code == 4 and "add --accept-loss" in errors and "goes on" not in errors
    code, output, errors = kv_at("--accept-loss", *importing)
    assert code == 0 and b"imported    4 keys" in output
    assert f"of {file} may be lost" in errors and "beginning again at line 1" in errors
    assert kv_at("ls", "k").output == b"k0\nk1\nk2\nk3\n", "and nothing of the lost is left out"
    file.write_text("\n".join([*lines, json.dumps({"key": "k4", "value": 4}), ""]))
    assert kv_at(*importing).code == 0, "its file has no more of what was lost"


def test_an_import_that_was_done_is_not_called_done_where_it_is_lost(kv_at, tmp_path):
    file, state = tmp_path / "lines", tmp_path / "state"
    file.write_text(json.dumps({"key": "k", "value": 1}) + "\n")
    importing = ("import", file, "--resume", state)
    assert kv_at(*importing).code == 0
    kv_at.go_back()
    assert kv_at(*importing).code == 4
    assert kv_at("--accept-loss", *importing).code == 0
    assert kv_at("get", "k").output == b"1"
    assert b"imported    0 keys" in kv_at(*importing).output, "and it is done once more"


def test_a_session_goes_on_from_its_file(kv_at, tmp_path):
    session = ("--token-file", tmp_path / "session")
    assert kv_at(*session, "put", "new", "1").code == 0
    kv_at.go_back()
    assert kv_at(*session, "get", "old").code == 4
    assert kv_at(*session, "--accept-loss", "get", "old").output == b"1"
    assert kv_at(*session, "get", "old").output == b"1"


def test_a_shell_goes_on_with_each_of_its_tokens(kv_at, tmp_path):
    session = ("--token-file", tmp_path / "session")
    file = tmp_path / "watched"
    assert kv_at(*session, "put", "new", "1").code == 0
    assert kv_at("watch", "--resume", file, "--for", "0").code == 0
    kv_at.go_back()
    typed = f"get old\nwatch --resume {file} --for 0.1\nput newer 1\n"
    options = ("--node", kv_at.node.listen, "--timeout", "30", "--accept-loss")
    ended = run(*options, *session, "shell", input=typed.encode())
    assert (ended.returncode, ended.stderr) == (0, b"") and ended.stdout.startswith(b"1")
