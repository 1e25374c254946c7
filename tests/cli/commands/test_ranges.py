"""`kv ls` and `kv scan`: keys in order, raw, in lines, and as JSON."""

from __future__ import annotations

import json
import math
import sys

import pytest

from tests.cli import process

KEYS = [b"r/a", b"r/b\nc", b"r/b\xff", "r/ä".encode()]


@pytest.fixture(scope="module")
def x(trio):
    """With some keys: one is no line, one no text, one has a sibling, one expires."""
    with trio["X"].client() as client:
        for number, key in enumerate(KEYS):
            client.put(key, {"n": number} if number else "text")
        client.touch(KEYS[3], 3600)
        yield client


def lines(output):
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["r/"], KEYS),
        (["r/b"], KEYS[1:3]),
        (["r/", "--limit", "2"], KEYS[:2]),
        (["r/", "--limit", "0"], []),
        (["r/", "--reverse"], KEYS[::-1]),
        (["r/", "--reverse", "--limit", "1"], KEYS[3:]),
        (["r/", "--start", "r/b"], KEYS[1:]),
        (["r/", "--end", "r/b"], KEYS[:1]),
        (["--start", "r/b", "--end", "r/c"], KEYS[1:3]),
        (["missing/"], []),
    ],
    ids=str,
)
def test_ls_prints_raw_keys_when_piped(arguments, printed, at_x, x):
    assert at_x("ls", *arguments) == (0, b"".join(key + b"\n" for key in printed), "")
    code, output, errors = at_x("ls", *arguments, "--json")
    assert (code, errors, len(lines(output))) == (0, "", len(printed))


def test_keys_as_json_are_strings_or_bytes(at_x, x):
    assert [line["key"] for line in lines(at_x("ls", "r/", "--json").output)] == [
        "r/a",
        "r/b\nc",
        {"base64": "ci9i/w=="},
        "r/ä",
    ]


def test_a_terminal_gets_no_line_ends_of_keys(at_x, x, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output = at_x("ls", "r/").output.decode()
    assert output == "r/a\nr/b\\nc\nr/b\\xff\nr/ä\n"


@pytest.mark.parametrize(
    ("arguments", "count"), [(["r/"], 4), (["r/", "--start", "r/b"], 3), (["missing/"], 0)]
)
def test_ls_counts(arguments, count, at_x, x):
    assert at_x("ls", *arguments, "--count") == (0, f"{count}\n".encode(), "")
    assert lines(at_x("ls", *arguments, "--count", "--json").output) == [{"count": count}]


def test_ls_describes(at_x, x):
    (version,) = x.read(KEYS[3])
    dot, expires_at = version.dot, version.expires_at.isoformat()
    *_, last = at_x("ls", "r/", "--long").output.decode().splitlines()
    assert last == f"{dot.origin}:{dot.seq}\t0\t{expires_at}\tr/ä"
    first, *_, last = lines(at_x("ls", "r/", "--long", "--json").output)
    assert last == {
        "key": "r/ä",
        "siblings": 0,
        "dot": list(dot),
        "stamp_us": version.stamp_us,
        "expires_at": expires_at,
    }
    assert first["expires_at"] is None


def test_scan_prints_keys_and_values_a_line_each(at_x, x):
    assert at_x("scan", "r/") == (
        0,
        b'r/a\ttext\nr/b\\nc\t{"n": 1}\nr/b\\xff\t{"n": 2}\nr/\xc3\xa4\t{"n": 3}\n',
        "",
    )
    assert at_x("scan", "r/", "--limit", "1", "--reverse").output == b'r/\xc3\xa4\t{"n": 3}\n'


def test_scan_as_json_has_what_get_has(at_x, x):
    first, *_, last = lines(at_x("scan", "r/", "--json").output)
    gotten = json.loads(at_x("get", "r/a", "--json").output)
    assert gotten.items() <= first.items()
    assert last["value"] == {"n": 3} and last["expires_at"]


def test_one_value_that_json_has_no_form_for_hides_no_others(at_x, trio):
    with trio["X"].client() as client:
        client.put_many({"odd/1": math.nan, "odd/2": 2})
    assert at_x("scan", "odd/") == (0, b"odd/1\tnan\nodd/2\t2\n", "")
    values = [line["value"] for line in lines(at_x("scan", "odd/", "--json").output)]
    assert values == [{"msgpack": "y3/4AAAAAAAA"}, 2]


def test_a_reader_that_has_seen_enough_is_no_mishap(trio, x):
    x.put_many({f"many/{number:04}": bytes(2000) for number in range(1000)})
    with process.start("scan", "many/", "--node", trio["X"].listen) as started:
        started.stdout.readline()
        started.stdout.close()
        assert started.stderr.read() == b""
    assert started.returncode == 141
