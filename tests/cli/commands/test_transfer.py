"""`kv export` and `kv import` at real nodes: what is taken out comes back, though interrupted."""

from __future__ import annotations

import io
import json
import math
import signal
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvnode.cli.cluster import until
from kvnode.errors import KvnodeError
from tests.cli import process
from tests.cli.test_records import keys, same, values


@pytest.fixture(scope="module")
def x(trio):
    with trio["X"].client() as client:
        yield client


@pytest.fixture
def export(at_x):
    """Runs an export; its lines."""

    def export(*arguments):
        code, output, errors = at_x("export", *arguments)
        assert (code, errors) == (0, "")
        return output

    return export


def state_of(client, prefix):
    return list(client.scan(prefix))


def test_an_export_has_a_line_for_each_key_of_the_prefix(export, x):
    x.put_many({"e/1": {"n": [1, None]}, b"e/\xff": b"\0", "e/2": "ä", "other": 1})
    x.touch("e/2", 3600)
    expires_at = x.read("e/2")[0].expires_at.isoformat()
    assert export("e/").decode().splitlines() == [
        '{"key": "e/1", "value": {"n": [1, null]}}',
        f'{{"key": "e/2", "value": "ä", "expires_at": "{expires_at}"}}',
        '{"key": {"base64": "ZS//"}, "bytes": "AA=="}',
    ]
    assert export("missing/") == b""


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.dictionaries(keys, values, max_size=8))
def test_what_is_exported_and_imported_is_as_it_was(pairs, at_x, x, tmp_path):
    before = {b"rt/" + key: value for key, value in pairs.items()}
    if before:
        x.put_many(before)
    exported = at_x("export", "rt/").output
    if before:
        x.delete_many(before)
    file = tmp_path / "exported"
    file.write_bytes(exported)
    code, output, errors = at_x("import", file)
    assert (code, output, errors) == (0, f"imported    {len(before)} keys\n".encode(), "")
    after = dict(x.scan(b"rt/"))
    assert after.keys() == before.keys()
    assert all(same(after[key], before[key]) for key in before)
    assert at_x("export", "rt/").output == exported
    if before:
        x.delete_many(before)


def test_expiries_come_back(at_x, x, tmp_path):
    file = tmp_path / "exported"
    x.put("ttl/1", 1, ttl_s=3600)
    (before,) = x.read("ttl/1")
    file.write_bytes(at_x("export", "ttl/").output)
    x.delete("ttl/1")
    assert at_x("import", file).code == 0
    (after,) = x.read("ttl/1")
    assert abs((after.expires_at - before.expires_at).total_seconds()) < 60


def test_an_import_may_be_piped_and_tells_as_json_what_it_did(at_x, x, monkeypatch):
    lines = b'{"key": "piped", "value": 1}\n{"key": "piped", "value": 2}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    code, output, errors = at_x("import", "--json")
    assert (code, errors) == (0, "")
    assert json.loads(output) == {"imported": 2, "expired": 0, "lines": 2, "begun_after": 0}
    assert x.get("piped") == 2


def test_a_pipe_from_one_node_to_another(trio, x):
    x.put_many({f"pipe/{number}": number for number in range(2500)})
    exported = process.start("export", "pipe/", "--node", trio["X"].listen)
    with exported:
        ended = process.run("import", "--node", trio["Y"].listen, stdin=exported.stdout)
        assert exported.stderr.read() == b""
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout == b"imported    2500 keys\n"


def test_siblings_that_are_left_out_are_told(at_x, x, trio, tmp_path):
    with trio["Y"].client() as y:
        for peer in "XZ":
            y.fault(peer, "gossip", "hold")
            y.fault(peer, "repair", "hold")
        x.put("siblings", 1)
        y.put("siblings", 2)
        for peer in "XZ":
            y.fault(peer, "gossip", "pass")
            y.fault(peer, "repair", "pass")
    until("both are there", lambda: len(x.read("siblings")) == 2)
    code, output, errors = at_x("export", "siblings")
    assert (code, output.count(b"\n")) == (0, 1)
    assert errors == "of 1 keys with siblings only the winners are exported\n"


def test_a_wrong_line_is_exit_code_2_and_tells_how_to_go_on(at_x, x, tmp_path):
    file, state = tmp_path / "exported", tmp_path / "state"
    file.write_text('{"key": "wrong/1", "value": 1}\n{"key": "wrong/2"}\n')
    code, output, errors = at_x("import", file, "--resume", state)
    assert (code, output) == (2, b"")
    assert errors == (
        f"1 lines are imported; the same --resume {state} goes on\n"
        f"kv: {file}, line 2: it must have just one of `value`, `bytes` and `msgpack`; "
        "all before it is imported\n"
    )
    file.write_text('{"key": "wrong/1", "value": 1}\n{"key": "wrong/2", "value": 2}\n')
    code, output, errors = at_x("import", file, "--resume", state)
    assert (code, output) == (0, b"imported    1 keys\n")
    assert errors == f"going on after line 1 of {file}\n"
    assert state_of(x, "wrong/") == [("wrong/1", 1), ("wrong/2", 2)]


def test_progress_is_told_if_it_is_asked_for(at_x, x, tmp_path):
    file = tmp_path / "exported"
    x.put("progress", math.pi)
    ended = at_x("export", "progress", "--progress")
    assert ended.errors == "1 keys\n"
    file.write_bytes(ended.output)
    assert at_x("import", file, "--progress").code == 0


@pytest.mark.parametrize("error", [KvnodeError("the node is gone"), KeyboardInterrupt()])
@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["plain", "json"])
def test_an_export_that_is_cut_short_is_not_taken_for_a_whole_one(
    error, flags, at_x, monkeypatch, tmp_path
):
    def fails(*_, **__):
        raise error
        yield

    monkeypatch.setattr("kvnode.client.sync.Client.entries", fails)
    code, output, _ = at_x("export", *flags)
    assert code == (130 if isinstance(error, KeyboardInterrupt) else 4)
    file = tmp_path / "exported"
    file.write_bytes(output)
    code, _, errors = at_x("import", file)
    assert code == 2 and "the export ended here before it was whole" in errors


def test_a_node_that_dies_in_an_import_and_a_ctrl_c_lose_nothing(make_node, tmp_path):
    node = make_node("N")
    node.start()
    count = 20_000
    file, state = tmp_path / "exported", str(tmp_path / "state")
    with file.open("w") as out:
        for number in range(count):
            print(json.dumps({"key": f"k/{number:05}", "value": number}), file=out)
    arguments = ["import", str(file), "--resume", state, "--node", node.listen, "--timeout", "1"]

    def lines_done():
        try:
            return json.loads((tmp_path / "state").read_text())["lines"]
        except FileNotFoundError:
            return 0

    def interrupted(by):
        before = lines_done()
        with process.start(*arguments) as started:
            until("it gets on", lambda: lines_done() > before or started.poll() is not None)
            by(started)
            errors = started.stderr.read().decode()
        assert f"{lines_done():,} lines are imported" in errors or started.returncode == 0
        return started.returncode

    assert interrupted(lambda _: node.stop(signal.SIGKILL)) in (3, 0)
    node.start()
    node.status()  # it answers again
    assert interrupted(lambda started: started.send_signal(signal.SIGINT)) in (130, 0)
    ended = process.run(*arguments)
    assert ended.returncode == 0, ended.stderr
    with node.client() as client:
        assert dict(client.scan("k/")) == {f"k/{number:05}": number for number in range(count)}


def test_a_node_that_dies_in_an_export_is_exit_code_3_or_4(make_node):
    node = make_node("N")
    node.start()
    with node.client() as client:
        client.put_many({f"k/{number:04}": bytes(5_000) for number in range(2_000)})
    with process.start("export", "--node", node.listen, "--timeout", "1") as started:
        started.stdout.readline()  # it waits until the rest is read
        node.stop(signal.SIGKILL)
        *_, last = started.stdout.read().splitlines()
        assert started.stderr.read().startswith(b"kv: ")
    assert started.returncode == 3
    assert "error" in json.loads(last)
