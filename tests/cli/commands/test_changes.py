"""`kv watch`: changes as they come, where it begins, and how it ends."""

from __future__ import annotations

import json
import signal
import time

import pytest

from kvnode.codec.answers import encode_answer
from kvnode.codec.token import encode_token, printable, token_of
from kvnode.core.vector import new_origin
from tests.cli import process
from tests.client.fake_node import FakeNode


@pytest.fixture
def x(trio):
    with trio["X"].client() as client:
        client.put("before", 0)
        yield client


@pytest.fixture
def since(x):
    return printable(x.token)


def test_changes_are_printed_a_line_each(at_x, x, since):
    x.put("w/a\n", {"n": 1})
    x.put("other", 1)
    x.put("w/b", "text")
    x.delete("w/b")
    assert at_x("watch", "w/", "--since", since, "--count", "3") == (
        0,
        b'put\tw/a\\n\t{"n": 1}\nput\tw/b\ttext\ndel\tw/b\n',
        "",
    )


def test_changes_as_json_have_what_a_program_needs(at_x, x, since):
    put = x.put("w/a", float("nan"), ttl_s=60)
    delete = x.delete("w/a")
    code, output, errors = at_x("watch", "w/", "--since", since, "--count", "2", "--json")
    first, last = map(json.loads, output.splitlines())
    assert (code, errors) == (0, "")
    token = first.pop("token")
    assert first == {
        "key": "w/a",
        "value": {"msgpack": "y3/4AAAAAAAA"},
        "delete": False,
        "dot": list(put),
        "stamp_us": put.stamp_us,
        "expires_at": put.expires_at.isoformat(),
    }
    assert (last["value"], last["delete"], last["dot"]) == (None, True, list(delete))
    (again,) = at_x("watch", "w/", "--since", token, "--count", "1", "--json").output.splitlines()
    assert json.loads(again) == last


def test_a_watch_goes_on_where_its_file_says(at_x, x, tmp_path):
    file = tmp_path / "place"
    assert at_x("watch", "w/", "--resume", file, "--for", "0") == (0, b"", "")
    before = file.read_text()
    for number in range(3):
        x.put(f"w/{number}", number)
    assert (
        at_x("watch", "w/", "--resume", file, "--count", "2").output
        == b"put\tw/0\t0\nput\tw/1\t1\n"
    )
    assert at_x("watch", "w/", "--resume", file, "--count", "1").output == b"put\tw/2\t2\n"
    assert at_x("watch", "w/", "--resume", file, "--for", "0.1").output == b""
    assert file.read_text() != before


def test_a_watch_ends_when_its_time_is_up(at_x, x):
    begun = time.monotonic()
    assert at_x("watch", "--for", "0.3") == (0, b"", "")
    assert time.monotonic() - begun >= 0.3


def test_a_session_has_seen_what_its_watch_printed(at_x, x, since, trio, kv, tmp_path):
    token = tmp_path / "token"
    x.put("w/session", "seen")
    at_x("watch", "w/session", "--since", since, "--count", "1", "--token-file", token)
    arguments = ["--node", trio["Y"].listen, "--token-file", token]
    assert kv(*arguments, "get", "w/session").output == b"seen"


def test_ctrl_c_ends_it_without_a_traceback_and_keeps_the_session(trio, x, since, tmp_path):
    token = tmp_path / "token"
    x.put("w/1", 1)
    arguments = ["watch", "w/", "--since", since, "--token-file", str(token)]
    with process.start(*arguments, "--node", trio["X"].listen) as started:
        assert started.stdout.readline() == b"put\tw/1\t1\n"
        x.put("w/2", 2)
        assert started.stdout.readline() == b"put\tw/2\t2\n"
        started.send_signal(signal.SIGINT)
        assert started.stderr.read() == b""
    assert started.returncode == 130
    assert token.exists()


def test_a_watch_goes_on_at_another_node(make_cluster):
    cluster = make_cluster("XY")
    with cluster:
        cluster.wait_for_mesh()
        with cluster["Y"].client() as client:
            client.put("w/1", 1)
            since = printable(client.token)
            nodes = f"{cluster['X'].listen},{cluster['Y'].listen}"
            with process.start("watch", "w/", "--since", since, "--node", nodes) as started:
                client.put("w/2", 2)
                assert started.stdout.readline() == b"put\tw/2\t2\n"
                cluster["X"].stop(signal.SIGKILL)
                client.put("w/3", 3)
                assert started.stdout.readline() == b"put\tw/3\t3\n"
                cluster["Y"].stop(signal.SIGKILL)
                assert started.stderr.read().startswith(b"kv: ")
            assert started.returncode == 3


def test_a_loss_that_is_accepted_is_out_of_the_file_before_the_watch_goes_on(kv, tmp_path):
    """Whoever ends it while nothing comes has accepted it all the same."""
    gone, kept = new_origin("X", 1, 1), new_origin("Y", 1, 1)
    left = encode_token("c", {kept: 2})
    file = tmp_path / "place"
    file.write_text(printable(encode_token("c", {gone: 3, kept: 2})))
    found = []

    def answers(asked):
        if gone in asked.token:
            return [encode_answer(asked.id, None, [("lost", [(gone, 1, 3)], {kept: 2})])]
        found.append(token_of(file.read_text()))
        after = encode_token("c", {kept: 3})
        return [encode_answer(asked.id, after, [("ok", [(kept, 3, 1, b"k")])])]

    with FakeNode(answers) as node:
        watch = ("--accept-loss", "watch", "--resume", file, "--count", "1")
        assert kv("--node", node.listen, *watch) == (0, b"del\tk\n", "")
    assert found == [left]
