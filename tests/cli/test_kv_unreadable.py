"""A value that can't be read, as another client may have put it: its key is named, the rest goes
on, and its bytes can be had."""

from __future__ import annotations

import base64
import json

import pytest

from kvnode.cli.exits import UNREADABLE
from kvnode.codec import client as ask
from kvnode.codec.token import printable
from kvnode.core.vector import Dot
from tests.daemon.raw import Raw

#: A map with an empty list as a key, and what is said of it.
UNREAD = b"\x81\x90\x01"
WHY = "a map in it has a list or a map as a key"
NAMED = f"kv: the value of u/1 can't be read: {WHY}; `kv read --json` shows its bytes\n"
BYTES = {"msgpack": base64.b64encode(UNREAD).decode()}


@pytest.fixture
def dot(trio):
    """The write that put it, between two others."""
    with trio["X"].client() as client, Raw(trio["X"]) as other:
        client.mapping("u/").clear()
        client.put_many({"u/0": 0, "u/2": "two"})
        _, origin, seq, *_ = other.ask(ask.put(b"u/1", UNREAD)).results[0]
        yield Dot(origin, seq)
        client.mapping("u/").clear()


def documents(output):
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.usefixtures("dot")
def test_get_names_it(at_x):
    assert at_x("get", "u/1") == (UNREADABLE, b"", NAMED)
    assert at_x("get", "u/0", "u/1", "u/2") == (UNREADABLE, b"u/0\t0\nu/2\ttwo\n", NAMED)


def test_get_and_read_have_its_bytes_for_programs(dot, at_x):
    code, output, errors = at_x("get", "--json", "u/1")
    found = json.loads(output)
    assert (code, found["value"], found["unreadable"], errors) == (UNREADABLE, BYTES, WHY, "")
    code, output, errors = at_x("read", "--json", "u/1")
    (version,) = json.loads(output)["versions"]
    assert (code, version["value"], version["unreadable"], errors) == (UNREADABLE, BYTES, WHY, "")
    assert version["dot"] == [dot.origin, dot.seq]


def test_read_shows_its_dot_for_whoever_would_put_something_else_there(dot, at_x):
    assert at_x("read", "u/1") == (UNREADABLE, f"{dot.origin}:{dot.seq}  -\n".encode(), NAMED)
    assert at_x("put", "u/1", "1", "--if-version", f"{dot.origin}:{dot.seq}").code == 0
    assert at_x("get", "u/1") == (0, b"1", "")


@pytest.mark.usefixtures("dot")
def test_it_can_be_deleted(at_x):
    assert at_x("del", "u/1").code == 0
    assert at_x("scan", "u/") == (0, b"u/0\t0\nu/2\ttwo\n", "")


@pytest.mark.usefixtures("dot")
def test_a_scan_names_it_and_goes_on(at_x):
    assert at_x("scan", "u/") == (UNREADABLE, b"u/0\t0\nu/2\ttwo\n", NAMED)
    code, output, errors = at_x("scan", "--json", "u/")
    zero, one, two = documents(output)
    assert (zero["value"], one["value"], two["value"]) == (0, BYTES, "two")
    assert (code, one["key"], one["unreadable"], errors) == (UNREADABLE, "u/1", WHY, "")
    assert "unreadable" not in zero
    assert at_x("ls", "u/").output == b"u/0\nu/1\nu/2\n"
    assert at_x("ls", "--long", "u/").code == 0


@pytest.mark.usefixtures("dot")
def test_an_export_names_it_and_has_the_rest(at_x, tmp_path):
    code, output, errors = at_x("export", "u/")
    assert (code, errors) == (UNREADABLE, NAMED)
    assert documents(output) == [{"key": "u/0", "value": 0}, {"key": "u/2", "value": "two"}]
    file = tmp_path / "export"
    file.write_bytes(output)
    assert at_x("import", str(file)).code == 0


def test_a_watch_names_it_and_goes_on(at_x, trio, request):
    with trio["X"].client() as client:
        client.put("before", 0)
        since = printable(client.token)
    request.getfixturevalue("dot")
    command = ["watch", "u/", "--since", since, "--count", "3"]
    assert at_x(*command) == (UNREADABLE, b"put\tu/0\t0\nput\tu/2\ttwo\n", NAMED)
    code, output, errors = at_x(*command, "--json")
    *_, last = documents(output)
    assert (code, last["key"], last["unreadable"], errors) == (UNREADABLE, "u/1", WHY, "")


def test_an_import_refuses_it_by_its_line_and_key(at_x, tmp_path):
    file = tmp_path / "export"
    lines = [{"key": "u/0", "value": 0}, {"key": "u/1"} | BYTES, {"key": "u/2", "value": 2}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, _, errors = at_x("import", str(file))
    assert code == 2
    assert f"line 2: its `msgpack` is none: the value of 'u/1' can't be read: {WHY}" in errors
    assert at_x("get", "u/0").output == b"0" and at_x("get", "u/1").code == 1


def test_what_nests_as_deep_as_can_be_is_shown(at_x, trio):
    """Python's json and repr give up before msgpack does."""
    deep = 1
    for _ in range(1023):
        deep = [deep]
    with trio["X"].client() as client:
        client.put("deep", deep)
    packed = {"msgpack": base64.b64encode(1023 * b"\x91" + b"\x01").decode()}
    for command in (["read"], ["read", "--json"], ["scan"], ["scan", "--json"], ["export"]):
        code, output, errors = at_x(*command, "deep")
        assert (code, errors) == (0, "") and packed["msgpack"] in output.decode(), command
    assert at_x("del", "deep").code == 0
