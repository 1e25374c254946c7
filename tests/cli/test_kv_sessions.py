"""A session in a token file, carried from node to node."""

from __future__ import annotations

import json

import pytest

from kvnode.cli.cluster import until
from kvnode.codec.token import decode_token, token_of


@pytest.fixture
def token(tmp_path):
    return tmp_path / "token"


@pytest.fixture
def at(kv, trio, token):
    """Runs one command of the session at a node."""
    return lambda name, *arguments: kv(
        "--node", trio[name].listen, "--token-file", token, *arguments
    )


@pytest.fixture
def set_links(trio):
    """Says whether what comes to Z shall pass or be held; in the end it passes."""

    def set_links(action):
        with trio["Z"].client() as client:
            for peer in "XY":
                client.fault(peer, "gossip", action)
                client.fault(peer, "repair", action)

    yield set_links
    set_links("pass")


def seen(token):
    return decode_token(token_of(token.read_text()))[1]


def test_a_session_reads_its_own_writes_at_another_node(at, token):
    for number in range(20):
        assert at("XYZ"[number % 3], "put", "k", number) == (0, b"", "")
        assert at("XYZ"[(number + 1) % 3], "get", "k") == (0, str(number).encode(), "")
    assert len(seen(token)) == 3


def test_the_file_is_one_line_of_base64_and_nothing_else_is_left(at, token):
    at("X", "put", "k", "v")
    at("X", "get", "k")
    assert token.read_bytes().count(b"\n") == 1 and token.read_bytes().endswith(b"\n")
    assert list(token.parent.iterdir()) == [token]


def test_a_session_that_found_nothing_is_kept_too(at, token):
    assert at("X", "get", "missing").code == 1
    assert token.exists()


def test_ping_and_status_leave_the_session_as_it_was(at, token):
    at("X", "ping")
    at("X", "status")
    assert not token.exists()
    at("X", "put", "k", "v")
    before = token.read_bytes()
    at("Y", "ping")
    assert token.read_bytes() == before


def test_a_node_that_is_behind_says_what_it_lacks_with_exit_code_4(at, token, set_links, trio):
    with trio["X"].client() as client:
        client.put("before", 1)
    before = until("all agree", trio.agree)["Z"]["vector"]
    set_links("hold")
    at("X", "put", "k", "1")
    at("X", "put", "k", "2")
    kept = token.read_bytes()
    (origin,) = (origin for origin in before if origin.startswith("X~"))
    n = before[origin]

    code, output, errors = at("Z", "--wait", "0", "get", "k")
    assert (code, output) == (4, b"")
    first, incoming, local, missing = errors.splitlines()
    assert first == "kv: delayed: the session is ahead of this node"
    assert incoming.split()[0] == "incoming" and f"X:{n + 2}" in incoming.split()
    assert local.split()[0] == "local" and f"X:{n}" in local.split()
    assert missing == f"  missing   X:{n + 1}-{n + 2}"

    code, output, errors = at("Z", "get", "k", "--wait", "0", "--json")
    document = json.loads(output)
    assert (code, errors) == (4, "")
    assert (document["status"], document["error"], document["maybe"]) == (
        "delayed",
        "Delayed",
        False,
    )
    assert document["incoming"] == seen(token) and document["local"] == before
    assert document["missing"] == [[origin, n + 1, n + 2]]
    assert token.read_bytes() == kept, "a failed command keeps the session"

    set_links("pass")
    assert at("Z", "get", "k") == (0, b"2", "")


def test_siblings_are_counted_and_the_winner_is_shown(at, set_links, kv, trio):
    set_links("hold")
    at("X", "put", "colour", "red")
    kv("--node", trio["Z"].listen, "put", "colour", "blue")
    set_links("pass")
    until("all agree", trio.agree)
    code, output, errors = at("Y", "get", "colour")
    assert (code, errors) == (0, "") and output in (b"red", b"blue")
    document = json.loads(at("Y", "get", "colour", "--json").output)
    assert document["siblings"] == 1 and document["value"].encode() == output
    at("Y", "put", "colour", "green")
    assert json.loads(at("Y", "get", "colour", "--json").output)["siblings"] == 0


@pytest.mark.parametrize(
    "content",
    [b"A", b"AAAA\n", b"!!!!\n", b"\0\0\0\0", b"\xff\xfe", b"kqZrdm5vZGU=\n", b"AA AA"],
    ids=repr,
)
def test_a_corrupt_token_file_is_told_and_left_alone(content, at, token, trio):
    with trio["X"].client() as client:
        client.put("k", "before")
        token.write_bytes(content)
        code, output, errors = at("X", "put", "k", "after")
        assert (code, output) == (2, b"")
        assert errors.startswith("kv: ") and errors.count("\n") == 1 and "token" in errors
        assert str(token) in errors
        assert client.get("k") == "before" and token.read_bytes() == content


def test_an_empty_token_file_is_a_new_session(at, token):
    token.write_bytes(b"")
    assert at("X", "put", "k", "v").code == 0
    assert seen(token)


def test_a_token_file_that_is_a_directory_is_told(at, token):
    token.mkdir()
    code, output, errors = at("X", "get", "k")
    assert (code, output) == (2, b"") and str(token) in errors


def test_a_session_that_can_not_be_kept_is_told_though_the_command_was_done(kv, trio, tmp_path):
    token = tmp_path / "missing directory" / "token"
    code, output, errors = kv("--node", trio["X"].listen, "put", "k", "v", "--token-file", token)
    assert (code, output, errors.count("\n")) == (6, b"", 1)
    assert "the command was done" in errors and str(token) in errors
