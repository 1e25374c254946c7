"""`kvnode backup`, `restore` and `check`: what they print, and their exit codes."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from kvnode.cli.kvnode import main
from kvnode.client.sync import Client
from kvnode.errors import TimedOut
from kvnode.storage.directory import DataDirectory
from tests.cli.conftest import Ended
from tests.client.fake_node import FakeNode, answering
from tests.storage.sound import families_of, sound_directory


@pytest.fixture
def kvnode(capfd, monkeypatch):
    """Runs one command."""
    monkeypatch.delenv("KVNODE_NODE", raising=False)

    def kvnode(*arguments):
        capfd.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stopped:  # argparse ends so
            code = stopped.code
        return Ended(code, *capfd.readouterr())

    return kvnode


@pytest.fixture
def data(tmp_path):
    """A sound data directory that no node uses."""
    return sound_directory(tmp_path / "X")


def damage(directory):
    with families_of(directory) as families:
        families["table0"][b"b\n"] = b"\xc1"
        del families["table0"][b"c"]


# --- check


def test_a_sound_directory_is_told_in_numbers(kvnode, data):
    code, output, errors = kvnode("check", data)
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert lines[:3] == [f"directory   {data}", "node        X", "cluster     c"]
    assert re.fullmatch(r"vector      X:3 Y:3", lines[3])
    assert re.fullmatch(r"digest      [0-9a-f]{32}", lines[4])
    assert re.fullmatch(r"log         6 batches, 8 writes, \d+ bytes", lines[5])
    assert lines[6:] == ["table       6 keys, 7 versions", "problems    none"]


def test_problems_are_told_in_a_line_each_with_exit_code_1(kvnode, data):
    damage(data)
    code, output, errors = kvnode("check", data)
    assert (code, errors) == (1, "")
    *_, first, second, last = output.splitlines()
    assert first.startswith(r"problem     key b'b\n': versions is not sound msgpack: ")
    assert second.startswith("problem     the table has the digest")
    assert last == "problems    2"


def test_more_problems_than_are_told_are_counted(kvnode, data):
    with families_of(data) as families:
        for at in range(150):
            families["table0"][b"key %d" % at] = b"\xc1"
    lines = kvnode("check", data).output.splitlines()
    assert lines[-2:] == ["problem     and 50 more", "problems    150"]
    assert sum(line.startswith("problem ") for line in lines) == 101


def test_a_half_snapshot_is_told(kvnode, data):
    with families_of(data) as families:
        families["table1"][b"half"] = b""
    code, output, _ = kvnode("check", data)
    assert code == 0
    assert "staged      1 keys, which the next start forgets" in output.splitlines()


def test_what_is_found_can_be_had_as_json(kvnode, data):
    code, output, _ = kvnode("check", "--json", data)
    document = json.loads(output)
    assert code == 0 and document["problems"] == [] and document["problems_count"] == 0
    assert (document["name"], document["cluster"], document["keys"]) == ("X", "c", 6)
    assert sorted(document["vector"].values()) == [3, 3] and len(document["digest"]) == 32
    damage(data)
    code, output, errors = kvnode("check", data, "--json")
    assert (code, errors) == (1, "")
    assert len(json.loads(output)["problems"]) == json.loads(output)["problems_count"] == 2


@pytest.mark.parametrize("name", ["nowhere", "X/store"])
def test_what_is_no_data_directory_is_exit_code_2(kvnode, data, name):
    path = data.parent / name
    said = f"{path} is neither a data directory nor a backup: it has no node.json"
    assert kvnode("check", path) == (2, "", f"kvnode: {said}\n")
    code, output, errors = kvnode("check", path, "--json")
    assert (code, errors) == (2, "")
    assert json.loads(output)["message"] == said


def test_a_directory_in_use_is_exit_code_4(kvnode, data):
    used = DataDirectory(data, name="X", cluster="c")
    code, output, errors = kvnode("check", data)
    assert (code, output) == (4, "")
    assert re.fullmatch(rf"kvnode: the data directory {data} is in use by process \d+\n", errors)
    used.close()


# --- restore


def test_a_restored_directory_is_told_and_can_be_checked(kvnode, data):
    code, output, errors = kvnode("restore", data, "--data", data.parent / "new")
    assert (code, errors) == (0, "")
    *lines, last = output.splitlines()
    assert lines[0] == f"directory   {data.parent / 'new'}" and lines[-1] == "problems    none"
    assert last == "restored    start it with --name X --cluster c"
    assert kvnode("check", data.parent / "new").code == 0


def test_a_damaged_backup_is_exit_code_1(kvnode, data):
    damage(data)
    code, output, errors = kvnode("restore", data, "--data", data.parent / "new")
    assert (code, errors) == (1, "")
    assert output.splitlines()[-1] == f"not restored, since {data} is damaged"
    code, output, _ = kvnode("restore", data, "--data", data.parent / "new", "--json")
    document = json.loads(output)
    assert code == 1 and document["restored"] is False and document["problems_count"] == 2


def test_a_directory_that_is_not_empty_is_exit_code_2(kvnode, data):
    code, output, errors = kvnode("restore", data, "--data", data.parent)
    assert (code, output) == (2, "")
    assert errors == f"kvnode: {data.parent} is not empty: it has 'X'\n"


# --- backup


def test_a_backup_is_told_by_its_path_and_what_it_has(kvnode, trio):
    with trio["X"].client() as client:
        client.put("k", 1)
    code, output, errors = kvnode("backup", "--node", trio["X"].listen, "monday")
    assert (code, errors) == (0, "")
    path = trio["X"].data / "backups" / "monday"
    lines = output.splitlines()
    assert lines[:2] == [f"backup      {path}", "node        X"]
    assert [line.split()[0] for line in lines] == ["backup", "node", "vector", "digest", "size"]
    assert kvnode("check", path).code == 0


def test_a_backup_as_json(kvnode, trio):
    code, output, _ = kvnode("backup", "--json", "--node", trio["X"].listen, "tuesday")
    document = json.loads(output)
    assert code == 0 and document["path"].endswith("/X/backups/tuesday")
    assert set(document) == {"path", "name", "vector", "digest", "bytes"}


def test_a_backup_that_is_there_already_is_exit_code_4(kvnode, trio):
    node = trio["X"].listen
    assert kvnode("backup", "--node", node, "wednesday").code == 0
    code, output, errors = kvnode("backup", "--node", node, "wednesday")
    assert (code, output) == (4, "")
    assert errors.startswith("kvnode: there is a backup 'wednesday' already, in ")
    shutil.rmtree(trio["X"].data / "backups" / "wednesday")
    assert kvnode("backup", "--node", node, "wednesday").code == 0


def test_a_name_that_is_none_is_exit_code_2(kvnode, trio):
    code, output, errors = kvnode("backup", "--node", trio["X"].listen, "../monday")
    assert (code, output) == (2, "")
    assert errors.startswith("kvnode: a backup's name must match ") and errors.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("unavailable", 5),
        ("joining", 5),
        ("overloaded", 4),
        ("refused", 4),
        ("unknown_operation", 4),
    ],
)
def test_an_error_of_the_node_has_its_exit_code(kvnode, answer, code):
    with FakeNode(answering(("error", answer, "what is wrong", False))) as node:
        ended = kvnode("backup", "--node", node.listen, "monday")
    assert ended == (code, "", "kvnode: what is wrong\n")


def test_of_several_nodes_in_the_environment_the_first_makes_it(kvnode, monkeypatch):
    with FakeNode(answering(("error", "refused", "I was asked", False))) as node:
        monkeypatch.setenv("KVNODE_NODE", f"{node.listen}, tcp://127.0.0.1:1")
        assert kvnode("backup", "monday").errors == "kvnode: I was asked\n"


def test_a_flag_names_one_node(kvnode):
    code, _, errors = kvnode("backup", "--node", "a:1,b:2", "monday")
    assert code == 2 and "argument --node: 'a:1,b:2' is more than one address" in errors


def test_where_nobody_listens_is_exit_code_3(kvnode):
    arguments = ["--node", "tcp://127.0.0.1:1", "--timeout", "0.1", "monday"]
    code, output, errors = kvnode("backup", *arguments)
    assert (code, output) == (3, "") and errors.startswith("kvnode: no connection to ")


def test_a_backup_that_takes_too_long_may_be_made_all_the_same(kvnode, trio, monkeypatch):
    def slow(client, name):
        raise TimedOut("no answer from the node within 60 s")

    monkeypatch.setattr(Client, "backup", slow)
    code, output, errors = kvnode("backup", "--node", trio["X"].listen, "friday")
    assert (code, output) == (3, "")
    assert errors.endswith("the backup 'friday' may still be made: look before you retry\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["backup"],
        ["backup", "a", "b"],
        ["backup", "a", "--timeout", "soon"],
        ["restore", "a"],
        ["restore", "--data", "a"],
        ["check"],
        ["check", "a", "b"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_told_in_one_line_with_exit_code_2(arguments, kvnode):
    code, output, errors = kvnode(*arguments)
    assert (code, output) == (2, "")
    assert errors.startswith("kvnode") and errors.endswith(" --help\n") and errors.count("\n") == 1
